/*
 * tls.h - STARTTLS or STLS, and TLS from the first byte on (RFC 8314). Thread: the engine's.
 */
#pragma once

#include "inbound/access/session.h"

enum step access_begin_tls(struct access_session *session);
enum step access_handle_starttls(struct access_session *session, struct bytes arguments);
enum step access_handshake_step(struct session *session);
/* Is it offered now? */
bool access_offers_starttls(const struct access_session *session);
void access_tell_tls_failure(const struct access_session *session);
