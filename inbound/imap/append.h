/*
 * append.h - APPEND (RFC 9051 section 6.3.12, RFC 3502): messages stream into files as they come.
 *
 *   COMMAND: a literal that is a message --> WORK: opens, has room? --> UPLOAD <--> WORK: writes
 *   --> COMMAND: the line goes on with another message, or ends --> WORK: files them all
 *
 * What is refused behind a literal that the client does not wait with is read and dropped, where it
 * is not too much for that.
 *
 * Private to the folder.
 */
#pragma once

#include "inbound/imap/work.h"

/* An APPEND that has no message: BAD. */
enum step imap_handle_append(struct imap_session *session, struct bytes arguments);
/* The line behind a message, which is to be empty. */
enum step imap_end_of_append(struct imap_session *session, struct bytes line);
