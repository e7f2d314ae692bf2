/*
 * tls_tickets.h - the keys that session tickets are sealed with: the process's, so that a session
 * begun on one engine resumes on any other (RFC 5077 section 4, RFC 8446 section 4.6.1).
 *
 * A key seals for TLS_TICKETS_LIFE_MS and opens for as long again; then it is wiped. What was said
 * under a ticket is as safe as its key, so keys live in memory only and die with the process.
 *
 * Any thread.
 */
#pragma once

#include <stdint.h>

struct tls_tickets;

enum { TLS_TICKETS_LIFE_MS = 4 * 3600 * 1000 };

/* `now_ms`: a monotonic clock. */
struct tls_tickets *tls_tickets_create(int64_t (*now_ms)(void));
void tls_tickets_free(struct tls_tickets **tickets); /* no context uses it any more */
