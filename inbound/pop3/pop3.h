/*
 * pop3.h - an account's INBOX by POP3 (RFC 1939, 2449, 2595, 3206, 5034): what
 * inbound/access/access.h is to be given. docs/pop3.md says what is offered.
 */
#pragma once

#include "inbound/access/access.h"

extern const struct access_kind pop3_access;
