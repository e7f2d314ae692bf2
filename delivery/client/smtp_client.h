/*
 * smtp_client.h - the SMTP connections of one engine, as carriers of the line's mail.
 *
 * Thread: the engine's.
 */
#pragma once

struct carrier_kind;
struct smtp_clients;

struct smtp_clients *smtp_clients_create(void);
/* When nothing carries any more: after delivery_free(). */
void smtp_clients_free(struct smtp_clients **clients);
/* For a delivery of that engine; lives as long as the clients. */
const struct carrier_kind *smtp_clients_kind(const struct smtp_clients *clients);
