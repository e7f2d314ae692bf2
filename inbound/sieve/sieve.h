/*
 * sieve.h - Sieve scripts (RFC 5228): read, checked, and run over one message.
 *
 * What a script comes to is a list of actions; carrying them out is the caller's. Either all of a
 * script counts or, where it fails while it runs, nothing but the keep that is implied (RFC 5228
 * section 2.10.6).
 *
 * Known: the base language with fileinto and envelope, encoded-character, copy (RFC 3894),
 * imap4flags (RFC 5232), subaddress (RFC 5233), reject and ereject (RFC 5429), vacation (RFC 5230),
 * the last one and redirect only where the host has them. Lines of a script end in CRLF or in LF,
 * which is CRLF in strings.
 *
 * Pure: no file, no clock, no socket. Any thread, a script one at a time.
 */
#pragma once

#include "auth/mail_header.h"
#include "base/arena.h"

enum {
    SIEVE_SIZE_MAX = 128 * 1024, /* bytes of a script */
    SIEVE_DEPTH_MAX = 64,        /* tests in tests and blocks in blocks, together */
    SIEVE_LIST_MAX = 1000,       /* strings in a list */
    SIEVE_ACTIONS_MAX = 32,      /* of a run */
    SIEVE_REDIRECTS_MAX = 4,     /* among these */
    SIEVE_FLAGS_MAX = 32,        /* on a message; more are passed over */
    SIEVE_REASON_MAX = 1000,     /* bytes of reject's and ereject's: what an event can tell */
    SIEVE_DAYS_MAX = 365,        /* vacation's */
    SIEVE_ERROR_MAX = 200,
};

/* What the host does with actions. */
struct sieve_host {
    bool can_redirect, can_answer; /* redirect; vacation */
    /* Whether mail can be filed there; the name is UTF-8 and not the inbox. NULL: any. */
    bool (*is_mailbox)(struct bytes name);
};

struct sieve_error {
    unsigned line;              /* from 1; 0: of none */
    char what[SIEVE_ERROR_MAX]; /* UTF-8, one line: what was expected */
};

struct sieve_script;

/* The whole script; `text` and `host` are of no use afterwards. NULL: it is none, *error_out says
 * why. */
must_use struct sieve_script *sieve_parse(struct bytes text, const struct sieve_host *host,
                                          struct sieve_error *error_out);
void sieve_free(struct sieve_script **script);

struct sieve_message {
    const struct mail_header *header; /* in_body */
    uint64_t size;                    /* bytes of all of it */
    struct bytes from;                /* reverse path without brackets; empty: the null path */
    struct bytes to;                  /* the recipient, as it was given in RCPT */
};

struct sieve_flags {
    size_t count;
    struct bytes of[SIEVE_FLAGS_MAX]; /* atoms, or "\Seen" and the like; each once, in any case */
};

struct sieve_strings {
    size_t count;
    struct bytes *of;
};

/* RFC 5230 section 4. */
struct sieve_vacation {
    uint64_t days; /* 1 to SIEVE_DAYS_MAX */
    struct bytes reason;
    bool has_subject, has_from, has_handle, is_mime;
    struct bytes subject;
    struct bytes from; /* as it stands in the script: a list of mailboxes */
    struct bytes handle;
    struct sieve_strings addresses;
};

enum sieve_action_kind {
    SIEVE_FILE,     /* into `text`, "INBOX" for the inbox; empty: where it goes without a script */
    SIEVE_REDIRECT, /* to `text`, a valid address */
    SIEVE_REJECT,   /* `text` is the reason, lines ending in CRLF */
    SIEVE_VACATION,
};

struct sieve_action {
    enum sieve_action_kind kind;
    unsigned line; /* 0: of the implicit keep */
    struct bytes text;
    struct sieve_flags flags;              /* SIEVE_FILE */
    const struct sieve_vacation *vacation; /* SIEVE_VACATION */
};

/* All that it points to is the script's. */
struct sieve_result {
    bool is_failed; /* `error` says why; the only action is the implicit keep */
    struct sieve_error error;
    size_t count; /* 0: the message was discarded */
    struct sieve_action actions[SIEVE_ACTIONS_MAX + 1];
};

/* Each mailbox is in the actions once; where a message goes without a script is one beside the
 * inbox. A message is looked at for a bounded time: a script that
 * needs longer fails. */
void sieve_run(const struct sieve_script *script, const struct sieve_message *message,
               struct sieve_result *result_out);
