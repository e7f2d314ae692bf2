/*
 * mime_preview.h - PREVIEW (RFC 8970): the first words of a message, as a reader would see them.
 *
 * Of the first text/plain, else the first text/html without its markup; decoded to UTF-8, white
 * space as single spaces, quoted lines ("> ") left out while others are to be had. At most 200
 * characters (the RFC allows 256). Reads no more than 64 KiB of the part. Any thread.
 */
#pragma once

#include "inbound/mime/mime_message.h"

enum { MIME_PREVIEW_CHARACTERS = 200 };

/* Appends it, without quotes; nothing for a message without text. False: `out` is full. */
must_use bool mime_preview_write(const struct mime_message *message, struct buf *out);
