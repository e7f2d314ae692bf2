/*
 * login_rule.h - whom a user's name and secret say, and what stands against it: the rules of every
 * service that has logins.
 *
 * A credential is named by its id, by the address of its account, or by nothing: "apikey" with the
 * secret as password, for the secret has the id inside. SCRAM is told no secret, so there it is the
 * id or the address. Pure; rows are the snapshot's.
 */
#pragma once

#include "directory/snapshot.h"

/* The name that says nobody: the secret has to. */
bool login_is_apikey(struct bytes user);
/* Whom the user's name alone says; NULL: nobody. */
const struct directory_credential *login_of_user(const struct snapshot *snapshot,
                                                 struct bytes user);
/* Whose secret it is, where the user's name fits it; NULL: nobody's. Takes as long for all. */
const struct directory_credential *login_of_secret(const struct snapshot *snapshot,
                                                   struct bytes user, struct bytes secret);

struct login_place {
    enum credential_scope scope;
    const struct address *client;
    int64_t wall_s;
};
/* Why it may not be used there and now, a word for the log; NULL: it may. */
const char *login_obstacle(const struct snapshot *snapshot,
                           const struct directory_credential *credential,
                           const struct login_place *place);

/* A user's name for the log; "?" where it is none, or may be what was pasted into the wrong
 * field. */
struct bytes login_user_told(struct bytes user);
struct bytes login_credential_name(const struct directory_credential *credential);
