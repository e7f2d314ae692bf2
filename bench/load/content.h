/*
 * content.h - the messages load sends: each different, each cheap to make.
 *
 * A message names its id in Subject, Message-ID and X-Bench-Id, and in X-Bench-Hash the XXH3 of
 * its body without the last CRLF, so that a receiver can tell whether what arrived is what was
 * sent. Bodies are slices of one pool of text without dots, so no line needs stuffing.
 */
#pragma once

#include "base/buf.h"

enum { CONTENT_DOMAIN_MAX = 128 };

struct content {
    uint8_t *pool;
    /* Of a message, header and all; what does not fit the header is not exceeded. */
    size_t size_min, size_max;
    char date[64];
    struct bytes whole; /* content_read(): every message; ptr NULL: none */
};

/* What changes from message to message. */
struct content_names {
    struct bytes id;
    struct bytes sender;
    struct bytes recipient; /* the first */
    uint64_t variant;       /* chooses the body and its size */
};

void content_init(struct content *content, size_t size_min, size_t size_max, uint64_t seed);
/* From now on every message is what the file has: lines that end in CRLF, none of them long or with
 * a dot in front. NULL, or what is wrong with it. */
const char *content_read(struct content *content, const char *path);
void content_free(struct content *content);
/* Appends the header to `buf` and says where the body stands; it ends without its last CRLF. False
 * if the buffer is full. */
must_use bool content_build(const struct content *content, const struct content_names *names,
                            struct buf *buf, struct bytes *body_out);
