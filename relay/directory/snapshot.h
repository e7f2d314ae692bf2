/*
 * snapshot.h - what the directory says at one moment: who sends, from which domains, for whom we
 * receive. Never changed once it is made.
 *
 * Rows are found in constant time whatever their number. They, and every text in them, live as long
 * as their snapshot: a reader gets the newest from its snapshot_reader (snapshot_feed.h), uses it
 * within one turn of its engine and copies what it keeps for longer (ids, names).
 *
 * A row's id is of its table and never given to another row. Names are compared byte for byte:
 * normalise before. Domains are as smtp_domain_normalise() says, a tenant's name and the id of a
 * credential are lower case by their syntax, an account's address as directory_address() says.
 *
 * Made by snapshot_build.h. Thread: any, as the reader's rules allow.
 */
#pragma once

#include "auth/dkim/algorithm.h"
#include "base/bytes.h"
#include "io/address.h"

struct snapshot;

enum { CREDENTIAL_ID_LEN = 12, CREDENTIAL_SALT_LEN = 16, CREDENTIAL_HASH_LEN = 32 };

/* What a tenant is held to; 0: no limit of its own. tenant_limit.h has names and bounds. */
enum tenant_limit {
    LIMIT_MESSAGE_SIZE, /* bytes */
    LIMIT_RECIPIENTS,   /* of one message */
    LIMIT_PER_SECOND,   /* rates and quotas count recipients: queue/allowance.h, in its order */
    LIMIT_PER_HOUR,
    LIMIT_PER_DAY,
    LIMIT_PER_MONTH,
    LIMIT_QUOTA_DAY,
    LIMIT_QUOTA_MONTH,
    LIMIT_BACKLOG,
    LIMIT_WEIGHT, /* against other tenants' */
    LIMIT_COUNT
};

struct directory_tenant {
    uint32_t id;
    bool is_disabled;
    bool allows_null_sender; /* MAIL FROM:<> */
    uint8_t
        showing_count; /* accounts that show what is the tenant's (account_shows.h): their ids */
    const uint32_t *showing;
    struct bytes name;
    uint64_t limits[LIMIT_COUNT];
};

/* Bits of directory_credential.scopes. */
enum credential_scope { SCOPE_SUBMIT = 1, SCOPE_API = 2, SCOPE_MAIL = 4, SCOPE_ALL = 7 };

/* How its secret is compared: credential_secret.h. */
struct directory_credential {
    uint32_t id;
    uint32_t tenant;       /* its id */
    uint32_t account;      /* of a mailbox: its id; else 0 */
    uint8_t scopes;        /* enum credential_scope */
    uint8_t class;         /* enum mail_class: of mail that names none */
    uint8_t network_count; /* 0: from anywhere */
    const struct network *networks;
    int64_t expires_s;            /* wall; 0: never */
    char name[CREDENTIAL_ID_LEN]; /* its id as text: in the secret, in events; no NUL */
    uint8_t salt[CREDENTIAL_SALT_LEN];
    uint8_t hash[CREDENTIAL_HASH_LEN];       /* SHA-256 of salt and secret */
    uint8_t stored_key[CREDENTIAL_HASH_LEN]; /* SCRAM-SHA-256, RFC 5802 section 3 */
    uint8_t server_key[CREDENTIAL_HASH_LEN];
};
enum { CREDENTIAL_ITERATIONS = 4096 }; /* of SCRAM, for every credential */

enum dkim_key_state {
    DKIM_KEY_PUBLISHED, /* its record is to be in DNS; does not sign yet */
    DKIM_KEY_ACTIVE,    /* signs */
    DKIM_KEY_RETIRED,   /* does not sign any more; its record stays while mail is on its way */
};

struct directory_key {
    uint32_t id;
    uint8_t algorithm; /* enum signature_algorithm; as the database has it */
    uint8_t state;     /* enum dkim_key_state */
    struct bytes selector;
    struct bytes file;    /* below state_dir/keys: "shop.example/rp2026a.pem" */
    uint64_t public_hash; /* bytes_hash() of what its record says behind p= */
};

struct directory_domain {
    uint32_t id;
    uint32_t tenant;         /* its id */
    bool is_active;          /* may be used: its DNS was seen, or it was added with --active */
    bool is_hosted;          /* we receive for it */
    bool allows_sub_domains; /* its tenant may send from names below it too */
    uint8_t key_count;
    const struct directory_key *keys; /* newest first */
    struct bytes name;
};

struct directory_account {
    uint32_t id;
    uint32_t tenant;
    uint32_t domain;
    uint32_t credential; /* the newest that is of it; 0: none */
    bool is_disabled;
    bool files_sent; /* what it submits is filed in its Sent too */
    uint8_t shows;   /* which folders of its tenant's it has: bits of enum account_shows */
    uint64_t quota;  /* bytes; 0: no limit */
    struct bytes address;
    struct bytes sends_as; /* besides its own addresses: account_sends.h */
};

struct directory_alias {
    uint32_t id;
    uint32_t tenant;
    uint32_t domain;
    uint32_t target_count;
    const struct bytes *targets; /* addresses */
    struct bytes address;        /* or "@domain": for all that has no account and no alias */
};

/* What a tenant says of a sender or client: sender_rules.h. */
struct directory_rule {
    uint32_t id;
    uint32_t tenant;
    bool is_allowed; /* else blocked */
    struct bytes key;
};

/* NULL: there is none. */
const struct directory_tenant *snapshot_tenant(const struct snapshot *snapshot, struct bytes name);
const struct directory_tenant *snapshot_tenant_of(const struct snapshot *snapshot, uint32_t id);
/* By the id as text, which is the user name of SCRAM and stands inside the secret. */
const struct directory_credential *snapshot_credential(const struct snapshot *snapshot,
                                                       struct bytes name);
const struct directory_credential *snapshot_credential_of(const struct snapshot *snapshot,
                                                          uint32_t id);
const struct directory_domain *snapshot_domain(const struct snapshot *snapshot, struct bytes name);
const struct directory_domain *snapshot_domain_of(const struct snapshot *snapshot, uint32_t id);
/* The domain itself, or else the nearest above it where that allows sub-domains. */
const struct directory_domain *snapshot_domain_above(const struct snapshot *snapshot,
                                                     struct bytes name);
const struct directory_account *snapshot_account(const struct snapshot *snapshot,
                                                 struct bytes address);
const struct directory_account *snapshot_account_of(const struct snapshot *snapshot, uint32_t id);
/* The alias of that address and no other: ask for "@domain" afterwards. */
const struct directory_alias *snapshot_alias(const struct snapshot *snapshot, struct bytes address);
const struct directory_rule *snapshot_rule(const struct snapshot *snapshot, struct bytes key);

enum snapshot_table {
    SNAPSHOT_TENANTS,
    SNAPSHOT_CREDENTIALS,
    SNAPSHOT_DOMAINS,
    SNAPSHOT_ACCOUNTS,
    SNAPSHOT_ALIASES,
    SNAPSHOT_RULES,
    SNAPSHOT_TABLE_COUNT
};
/* Whether we receive for it: its tenant may. NULL: not. */
bool snapshot_takes_mail(const struct snapshot *snapshot, const struct directory_domain *domain);
/* The first, by id, for which we receive; NULL: there is none. */
const struct directory_domain *snapshot_first_hosted(const struct snapshot *snapshot);
/* How many rows a table has. */
uint32_t snapshot_count(const struct snapshot *snapshot, enum snapshot_table table);
/* Every row of a table, in no order; `row` is of the table's struct. Not for engines: it takes as
 * long as there are rows. */
void snapshot_for_each(const struct snapshot *snapshot, enum snapshot_table table,
                       void (*visit)(void *context, const void *row), void *context);
/* How far the directory had changed when it was made; grows. 0: it was not read yet, so that what
 * is not found may exist. */
uint64_t snapshot_version(const struct snapshot *snapshot);
/* What it takes of the process, with what it shares with its predecessors. */
size_t snapshot_memory(const struct snapshot *snapshot);
