/*
 * smtp_client.h - the SMTP connections of one engine, as carriers of the line's mail.
 *
 * Thread: the engine's.
 */
#pragma once

struct carrier_kind;
struct smtp_clients;

struct tls_context;

/* Without TLS: smtp_clients_speak_tls(). */
struct smtp_clients *smtp_clients_create(void);
/* New connections do, by a client's context (io/tls_client.h), which is kept. What sessions were
 * kept under another is forgotten. NULL: they do not. */
void smtp_clients_speak_tls(struct smtp_clients *clients, struct tls_context *context);
/* When nothing carries any more: after delivery_free(). */
void smtp_clients_free(struct smtp_clients **clients);
/* For a delivery of that engine; lives as long as the clients. */
const struct carrier_kind *smtp_clients_kind(const struct smtp_clients *clients);
