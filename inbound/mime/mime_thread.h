/*
 * mime_thread.h - THREAD (RFC 5256 section 3): REFERENCES and ORDEREDSUBJECT over what is known of
 * the messages.
 *
 * Memory and time are n log n in the number of messages and references; without recursion, so that
 * a chain of a million replies is as good as any. Any thread.
 */
#pragma once

#include "base/buf.h"

enum { MIME_REFERENCES_MAX = 1000 }; /* of a message; more are not looked at (the last count) */

struct mime_threaded {
    uint32_t id;                    /* what the answer calls it: a sequence number or a UID */
    bool is_reply;                  /* by its subject (mime_sort_subject) */
    int64_t sent_s;                 /* its Date, else when it came (section 2.2) */
    struct bytes subject;           /* base subject, as mime_sort_subject makes it */
    struct bytes message_id;        /* as mime_sort_take_id makes it; empty: none */
    const struct bytes *references; /* oldest first; else the first of In-Reply-To */
    size_t reference_count;
};

/*
 * Appends "(1)(2 3 (4)(5 6))", nothing for no messages. Messages are in the order of the mailbox
 * and outlive the call. False: `out` is full, with a part appended.
 */
must_use bool mime_thread_references(const struct mime_threaded *messages, size_t count,
                                     struct buf *out);
must_use bool mime_thread_ordered_subject(const struct mime_threaded *messages, size_t count,
                                          struct buf *out);
