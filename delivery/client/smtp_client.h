/*
 * smtp_client.h - the SMTP connections of one engine, as carriers of the line's mail.
 *
 * Thread: the engine's.
 */
#pragma once

#include "base/bytes.h"

struct carrier_kind;
struct message;
struct smtp_clients;

struct tls_context;

/* Without TLS: smtp_clients_speak_tls(). */
struct smtp_clients *smtp_clients_create(void);
/* New connections do, by a client's context (io/tls_client.h), which is kept. What sessions were
 * kept under another is forgotten. NULL: they do not. */
void smtp_clients_speak_tls(struct smtp_clients *clients, struct tls_context *context);
/* How MAIL FROM is written where bounces are to come to us: an address, in `out`; 0: the message's
 * own stays. `recipient`: its number, UINT32_MAX where the transaction is for several. */
enum { SMTP_RETURN_PATH_MAX = 320 };
typedef size_t smtp_return_path_fn(void *context, const struct message *message, uint32_t recipient,
                                   char out[static SMTP_RETURN_PATH_MAX]);
/* Before anything is carried. */
void smtp_clients_return_by(struct smtp_clients *clients, smtp_return_path_fn *path, void *context);
/* When nothing carries any more: after delivery_free(). */
void smtp_clients_free(struct smtp_clients **clients);
/* For a delivery of that engine; lives as long as the clients. */
const struct carrier_kind *smtp_clients_kind(const struct smtp_clients *clients);
