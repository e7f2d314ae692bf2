/*
 * chat_service.h - what a service brings to be tested by tests/chat/server: chat_server.c runs the
 * scripts and makes the connections, a chat_service takes them.
 */
#pragma once

#include "io/engine.h"
#include "smtpd/smtp_server.h"
#include "support/chat.h"

struct chat_service {
    const char *name; /* CONFIG service NAME */
    /* Before the CONFIG lines. */
    void *(*create)(struct engine *engine, struct buf *facts);
    bool (*config)(void *service, struct bytes key, struct bytes value);
    bool (*start)(void *service); /* after them */
    void (*accept)(void *service, int fd);
    /* Before start(). `context` (or NULL) outlives the service. */
    void (*set_tls)(void *service, struct tls_context *context, enum smtp_tls tls);
    bool (*command)(void *service, struct bytes word, struct bytes argument);
    void (*abort)(void *service);   /* ends every session; turns follow */
    bool (*is_idle)(void *service); /* nothing is in flight any more */
    void (*free)(void *service);
};

extern const struct chat_service chat_service_stub;
extern const struct chat_service chat_service_submission;
extern const struct chat_service chat_service_inbound;
