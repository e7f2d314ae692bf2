/*
 * chat_tls_server.h - TLS for scripts that play the server: certificates of several kinds, and a
 * client's context that believes the authority of the right ones.
 */
#pragma once

#include "io/tls_client.h"
#include "support/chat.h"

extern const struct chat_tls chat_tls_server;

/* What is shown from now on: "right" (for mx.rcpt.example), "wrong-name", "expired", "self-signed",
 * "1.2" (the right one, and that version). False: no such kind. */
bool chat_tls_server_show(struct bytes kind);
/* The caller releases it. */
struct tls_context *chat_tls_server_clients(void);
void chat_tls_server_forget(void);
