/*
 * mime_structure.h - BODY and BODYSTRUCTURE (RFC 9051 section 7.5.2) of a message, with its
 * parentheses.
 *
 * A multipart without parts gets an empty text/plain, for the grammar wants one; a multipart or a
 * message that was not taken apart (mime_message.h) is told as application/octet-stream.
 * Any thread. False: `out` is full, with a part appended.
 */
#pragma once

#include "inbound/mime/mime_message.h"

must_use bool mime_structure_write(const struct mime_message *message, bool is_extended,
                                   struct buf *out);
