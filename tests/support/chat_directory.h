/*
 * chat_directory.h - a directory for scripts: the tenant "shop" with one credential, whose secret
 * is CHAT_SECRET, with some domains (chat_directory.c), and what RULE makes of them.
 *
 *   CONFIG login 127.0.0.0/8   there is a directory, and who comes from there may log in plainly
 *   RULE tenant_disabled 1, revoked 1, expires_s 1 (wall), scopes 2, networks 192.0.2.0/24,
 *   null_sender 1, limit_size 2000, limit_recipients 2, class 1 (enum mail_class), account 8 (the
 *   credential is a user's)
 */
#pragma once

#include "directory/snapshot_feed.h"

#define CHAT_CREDENTIAL "abcdefghijkl"
#define CHAT_SECRET "rp_abcdefghijkl_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct chat_directory {
    struct snapshot_feed *feed; /* NULL: there is none */
    struct snapshot_reader *reader;
    struct directory_tenant tenant;
    struct directory_credential credential;
    struct network network;
    bool is_revoked;
    uint64_t version;
};

void chat_directory_init(struct chat_directory *directory);
void chat_directory_free(struct chat_directory *directory);
/* False: no such rule. */
bool chat_directory_rule(struct chat_directory *directory, struct bytes key, struct bytes value);
