/*
 * append.h - APPEND (RFC 9051 section 6.3.12, RFC 3502): messages stream into files as they come.
 *
 *   COMMAND: a literal that is a message --> WORK: opens, has room? --> UPLOAD <--> WORK: writes
 *   --> COMMAND: the line goes on with another message, or ends --> WORK: files them all
 *
 * What came together is worked on at once: a message in one piece, with the end of its command, is
 * opened, written and filed on one way to the pool.
 *
 * What is refused behind a literal that the client does not wait with is read and dropped, where it
 * is not too much for that.
 *
 * Private to the folder.
 */
#pragma once

#include "inbound/imap/work.h"

/* What REPLACE names before its mailbox; replace.c. */
struct replaced {
    bool is_one;     /* else it is an APPEND */
    uint32_t number; /* as it came, or SEQUENCE_LAST */
    bool is_uid;
    uint32_t uid;  /* 0: there is none */
    uint64_t size; /* of its file; what goes makes room */
};
/* "[UID ]REPLACE n" and a space. */
must_use bool imap_take_replace(struct bytes *text, struct replaced *replaced_out);
/* On the pool: finds the message. WORK_DONE: an answer says why it cannot be. */
enum work_step imap_find_replaced(struct imap_work *work, struct replaced *replaced);

/* An APPEND or REPLACE that has no message: BAD, or NO where its mailbox cannot be. */
enum step imap_handle_append(struct imap_session *session, struct bytes arguments);
/* The line behind a message, which is to be empty. */
enum step imap_end_of_append(struct imap_session *session, struct bytes line);
