/* idle.h - IDLE (RFC 9051 section 6.3.13). Private to the folder. */
#pragma once

#include "inbound/imap/session.h"

enum step imap_handle_idle(struct imap_session *session, struct bytes arguments);
enum step imap_idle_step(struct session *session);
