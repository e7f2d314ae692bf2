/*
 * unpack.h - a report that came packed: gzip, or a zip archive of which the first file counts.
 *
 * Built on libarchive; the length of what comes out is bounded by the buffer, whatever the packed
 * bytes promise. Any thread; not for an engine.
 */
#pragma once

#include "base/buf.h"

/* Whether `bytes` begin as gzip (RFC 1952) or zip do. */
bool unpack_is_packed(struct bytes bytes);
/* Appends what is packed in `packed`. False, with a sentence of ours in *why_out: it is damaged, it
 * holds no file, or it does not fit. */
must_use bool unpack(struct bytes packed, struct buf *out, const char **why_out);
