/*
 * login.h - logins by the directory: a secret that was told, or an exchange of SASL.
 *
 * Who may log in has a credential of the scope mail whose account has mail. Failed logins are
 * answered later (DELAY) and counted by network (serve/login_guard.h). The lines of an exchange and
 * what they decode to are secrets: no log has a word of them.
 *
 * Thread: the engine's.
 */
#pragma once

#include "auth/sasl/sasl.h"
#include "inbound/access/session.h"

enum { ACCESS_AUTH_LINE_MAX = 12288 };

/* May it log in now, without TLS or with it? */
bool access_may_log_in(const struct access_session *session);
/* Too many failed from its network; counted. It is told by access_say_blocked(). Users of a shared
 * network are blocked one by one, once their names are told. */
bool access_is_blocked(const struct access_session *session);
enum step access_say_blocked(struct access_session *session);
bool access_offers(const struct access_session *session, enum sasl_mechanism mechanism);

/* By LOGIN or PASS, which `verb` is in the log. */
enum step access_log_in(struct access_session *session, const char *verb, struct bytes user,
                        struct bytes secret);
/* `initial`: the initial response as it stands in the command; NULL: there is none. */
enum step access_authenticate(struct access_session *session, enum sasl_mechanism mechanism,
                              const struct bytes *initial);
/* In AUTH: a line without its end. */
enum step access_respond(struct access_session *session, struct bytes line);
void access_forget_login(struct access_session *session);
/* May what the session logged in with still be used? */
bool access_login_still_good(const struct access_session *session);
