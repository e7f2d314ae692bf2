/*
 * tls_memory.h - what an engine remembers of other servers' TLS: sessions to resume, and with whom
 * it does not work.
 *
 * Both are bounded in number and in time. A session is of a host and of what was demanded of it: it
 * is as good as the handshake it comes from, in which that was looked at. That TLS is broken is of
 * an address, and heeded only where mail may go in plain.
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/line/tls_policy.h"
#include "io/address.h"

enum {
    TLS_SESSIONS_MAX = 1000, /* about 6 KB each, with the peer's certificates */
    TLS_SESSION_MS = 3600 * 1000,
    TLS_BROKEN_MAX = 4000,
    TLS_BROKEN_MS = 30 * 60 * 1000,
    TLS_WHY_LEN = 96,
};

struct tls_memory;

struct tls_memory *tls_memory_create(void);
void tls_memory_free(struct tls_memory **memory);

/* A session with this host, or NULL; it stays the memory's, until the next call. */
const struct tls_session *tls_memory_session(struct tls_memory *memory, struct bytes host,
                                             uint16_t port, const struct tls_policy *policy,
                                             int64_t now_ms);
/* Takes it. */
void tls_memory_keep(struct tls_memory *memory, struct bytes host, uint16_t port,
                     const struct tls_policy *policy, struct tls_session *session, int64_t now_ms);
/* What was demanded may be looked at otherwise from now on. */
void tls_memory_forget_sessions(struct tls_memory *memory);

/* It failed there a while ago: that is not tried again for the time being. `why_out` lives until
 * the next call. */
must_use bool tls_memory_is_broken(struct tls_memory *memory, const struct address *peer,
                                   int64_t now_ms, enum tls_result *result_out,
                                   const char **why_out);
void tls_memory_broke(struct tls_memory *memory, const struct address *peer, enum tls_result result,
                      const char *why, int64_t now_ms);
