/*
 * maildrop.h - INBOX as a session has it from its login to its end (RFC 1939 section 5): messages
 * by number, those that are to go, and the one that is being sent.
 *
 * It is a view of its own: what others do meanwhile changes no number. A message that they removed
 * stays listed and is refused by RETR. DELE is a mark in it; the mailbox changes at QUIT.
 *
 * Functions of the pool block; errors are -errno. Private to the folder.
 */
#pragma once

#include "base/buf.h"
#include "inbound/mailbox/mailbox_change.h"

enum { MAILDROP_MESSAGES_MAX = 1000 * 1000 /* the first; others come when some are gone */ };

struct maildrop_message {
    uint32_t uid;
    bool is_deleted, was_read;
    uint64_t size; /* with CRLF */
};

struct maildrop {
    /* Whose. */
    char *domain, *local;
    uint64_t quota;
    struct mail_account *account;
    struct mailbox *mailbox;
    uint32_t uidvalidity;
    struct maildrop_message *messages; /* number 1 first */
    size_t count, capacity;
    size_t deleted_count;
    uint64_t bytes, deleted_bytes;
    /* Opening, listing and updating go on here. */
    uint32_t next_uid;
    size_t next;
    /* The message that is being sent. */
    int fd; /* -1: none */
    uint64_t offset;
    uint64_t lines_left; /* of the body */
    bool in_header, in_cr, at_line_start, line_is_empty;
};

void maildrop_init(struct maildrop *maildrop, struct bytes domain, struct bytes local,
                   uint64_t quota);
/* On the pool: closes what is open. */
void maildrop_close(struct maildrop *maildrop);
void maildrop_free(struct maildrop *maildrop);
size_t maildrop_memory(const struct maildrop *maildrop);

/* The message of a number, from 1; NULL: there is none, or it is deleted. */
struct maildrop_message *maildrop_find(struct maildrop *maildrop, uint64_t number);
void maildrop_delete(struct maildrop *maildrop, struct maildrop_message *message);
void maildrop_reset(struct maildrop *maildrop); /* RSET */

/* On the pool, in slices; 1: not over yet, 0: over. */
must_use int maildrop_open(struct mail_accounts *accounts, struct maildrop *maildrop);
/* What was read is marked so, what is deleted goes. */
must_use int maildrop_update(struct maildrop *maildrop);

/* `lines`: of the body, at most; UINT64_MAX: all. On the pool; or where it is quick on the engine,
 * which holds the mailbox: -EAGAIN is then what a disk may have to be asked for. */
must_use int maildrop_begin(struct maildrop *maildrop, const struct maildrop_message *message,
                            uint64_t lines, bool is_quick);
/* Appends more of it, its lines ended by CRLF and dots stuffed (RFC 1939 section 3): some 64 KiB.
 * 1: there is more; 0: that was all, with the end of its last line. Where, as above; after -EAGAIN
 * it goes on where it stood. */
must_use int maildrop_send(struct maildrop *maildrop, bool is_quick, struct buf *out);
