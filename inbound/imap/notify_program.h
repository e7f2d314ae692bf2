/*
 * notify_program.h - what NOTIFY asks to be told of (RFC 5465 section 8), read.
 *
 * Pure, any thread; all of it is the arena's or the command's.
 */
#pragma once

#include "inbound/imap/fetch_program.h"

enum { NOTIFY_GROUPS_MAX = 32, NOTIFY_NAMES_MAX = 256 /* of all groups */ };

enum notify_event {
    NOTIFY_NEW = 1,
    NOTIFY_EXPUNGE = 2,
    NOTIFY_FLAGS = 4,
    NOTIFY_NAME = 8,
    NOTIFY_SUBSCRIPTION = 16,
    NOTIFY_METADATA = 32,
    NOTIFY_SERVER_METADATA = 64,
};
enum { NOTIFY_MESSAGES = NOTIFY_NEW | NOTIFY_EXPUNGE | NOTIFY_FLAGS };

enum notify_filter {
    NOTIFY_PERSONAL, /* "inboxes" too: scripts file into any mailbox (section 6.3) */
    NOTIFY_SUBSCRIBED,
    NOTIFY_SUBTREE,
    NOTIFY_MAILBOXES,
};

struct notify_group {
    enum notify_filter filter;
    unsigned events;
    size_t count;
    struct bytes *names;
};

struct notify_program {
    bool tells_status;
    bool has_unknown; /* an event that is none of ours: NO [BADEVENT] */
    bool has_selected, is_delayed;
    unsigned selected; /* events of the selected mailbox */
    bool has_fetch;    /* of new messages there */
    struct fetch_program fetch;
    size_t count;
    struct notify_group groups[NOTIFY_GROUPS_MAX];
    size_t name_count; /* of all groups */
};

/* "MessageNew MessageExpunge ...": all there are. */
extern const char notify_event_names[];

/* What stands behind "NOTIFY". Names are as mailbox_name_read() has them. False: BAD. */
must_use bool notify_program_take(struct arena *arena, struct bytes input, bool is_utf8,
                                  struct notify_program *program_out);
/* Which events of a mailbox that is not selected are wanted. */
unsigned notify_program_events(const struct notify_program *program, struct bytes name,
                               bool is_subscribed);
/* Of whatever mailbox. */
unsigned notify_program_all_events(const struct notify_program *program);
