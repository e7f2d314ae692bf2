/*
 * login.h - who a submission's client is (smtpd/policy.h's logins), by the directory. Private to
 * the folder.
 *
 * A credential is named by its id, by the address of its account, or by nothing: "apikey" with the
 * secret as password, for the secret has the id inside. SCRAM is told no secret, so there it is the
 * id or the address. What may not be used (expired, of a tenant or account that is disabled,
 * without the scope `submit`, from another network) is refused like a wrong secret; the log says
 * which.
 *
 * Thread: the engine's.
 */
#pragma once

#include "submission/session.h"

unsigned login_mechanisms(void *context, const struct smtp_server *server, struct verdict *why_out);
struct verdict login_begin(void *context, struct smtp_server *server,
                           struct sasl_settings *settings_out);
struct verdict login_asked(void *context, struct smtp_server *server,
                           const struct smtp_login *login);
struct verdict login_done(void *context, struct smtp_server *server,
                          const struct smtp_login *login);
struct verdict login_failed(void *context, struct smtp_server *server,
                            const struct smtp_login *login);

/* May what the session logged in with still be used? At each MAIL: 421 where it may not. */
struct verdict login_still_good(const struct submission *submission,
                                struct submission_session *session);
