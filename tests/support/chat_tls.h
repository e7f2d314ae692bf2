/*
 * chat_tls.h - TLS for scripts: our side by OpenSSL, and a certificate for theirs.
 */
#pragma once

#include "io/tls_context.h"
#include "support/chat.h"

extern const struct chat_tls chat_tls;

/* Of a server that shows a certificate of its own, which is made once; the caller releases it. */
struct tls_context *chat_tls_context(void);
void chat_tls_forget(void);
