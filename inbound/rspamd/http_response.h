/*
 * http_response.h - the answer of an HTTP/1.1 server (RFC 9112), taken whole off what has arrived.
 *
 * Stateless: asked again with more input until it is whole. Answers of 1xx before it are passed
 * over. Bounded: HTTP_HEAD_MAX bytes of a head, HTTP_BODY_MAX of a body. A length that is said
 * twice in two ways, or beside a transfer coding, is refused, as is any other coding than chunked.
 * Pure functions over bytes.
 */
#pragma once

#include "base/buf.h"

enum { HTTP_HEAD_MAX = 16 * 1024, HTTP_BODY_MAX = 256 * 1024, HTTP_INPUT_MAX = 320 * 1024 };

enum http_step {
    HTTP_MORE, /* it has not come whole; input is unchanged */
    HTTP_DONE, /* taken off the front */
    HTTP_BAD,
};

struct http_response {
    unsigned status;
    bool keeps_alive; /* another question may follow on the connection */
};

/* `body` is what came of it, cleared first. `is_end`: nothing follows the input. */
enum http_step http_response_take(struct bytes *input, bool is_end, struct http_response *out,
                                  struct buf *body);
