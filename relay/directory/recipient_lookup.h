/*
 * recipient_lookup.h - whom an address means: an account, an alias' targets, everybody's box.
 *
 * Asked at RCPT, to say there who is unknown, and again when mail is filed, since the directory may
 * have changed meanwhile. In this order:
 *
 *   1. the account or alias of the whole address, case ignored
 *   2. the same without what stands behind the first "+" (a sub-address, RFC 5233), which is detail
 *   3. "@domain", the catch-all
 *
 * postmaster and abuse always reach somebody (RFC 5321 section 4.5.1, RFC 2142): where neither is
 * there, abuse is postmaster's, then the catch-all's, then of rules.postmaster; last of all it is a
 * role's mailbox, which is filed under the address itself without an account. A disabled account is
 * passed over for them. "<postmaster>" without a domain is postmaster at `hostname` where that is
 * hosted, else rules.postmaster, else postmaster at the nearest hosted domain that `hostname` lies
 * in, or else at the first one that was added. It is unknown where nothing is hosted.
 *
 * Targets of an alias are resolved in turn, where their domain is hosted, and each stands once in
 * the result; those that are unknown or disabled are left out. An alias that was met before is not
 * followed again: of a loop what it leads to besides itself is left, which may be nothing.
 *
 * Names that other servers would read as a route ("user%elsewhere", "elsewhere!user",
 * "\"user@elsewhere\"") are known only where they stand in the directory as they are; a catch-all
 * does not take them.
 *
 * At a domain that our mail returns to (return_path.h) the signed addresses, "complaints" and
 * "reports" are for reports; accounts, aliases and roles are looked up as elsewhere, and there is
 * no catch-all.
 *
 * Thread: any; results are slices of the snapshot and of the arena.
 */
#pragma once

#include "base/arena.h"
#include "directory/return_path.h"

enum {
    RECIPIENT_TARGETS_MAX = 1000, /* of one address in all */
    RECIPIENT_DEPTH_MAX = 10,     /* aliases of aliases */
    RECIPIENT_ARENA_MAX = 1 << 20 /* what one look-up may take */
};

/* What to fall back to. */
struct recipient_rules {
    struct bytes hostname;     /* "<postmaster>" without a domain is its; normalised */
    struct bytes postmaster;   /* an address, as directory_address() says; empty: none */
    const uint8_t *return_key; /* of signed return paths (return_path.h); NULL: there are none */
};

enum recipient_kind {
    RECIPIENT_FOREIGN,   /* no hosted domain */
    RECIPIENT_UNKNOWN,   /* nobody has that name: 550 5.1.1 */
    RECIPIENT_ROUTED,    /* the same, and it asks us to relay: 550 5.7.1 */
    RECIPIENT_DISABLED,  /* whom it means are disabled: 550 5.2.1 */
    RECIPIENT_SUSPENDED, /* whose domain it is is disabled: for now */
    RECIPIENT_BROKEN,    /* an alias that leads to nobody, to itself or to too many: for now */
    RECIPIENT_KNOWN,
    RECIPIENT_RETURN, /* nobody's mail: what comes there is a report (return_path.h) */
};

struct recipient_target {
    /* NULL: a role's mailbox where the domain is hosted, else an address of another server's. */
    const struct directory_account *account;
    bool is_role;
    struct bytes address; /* of the account, the role; or where else it goes */
    struct bytes detail;  /* behind the "+", in lower case; empty: none */
};

struct recipient_found {
    enum recipient_kind kind;
    bool is_signed; /* RECIPIENT_RETURN: `back` holds; else any report of that domain */
    struct return_path back;
    struct bytes address; /* the one that was asked for, as directory_address() says */
    bool is_catch_all;
    bool is_alias; /* its targets are those of an alias */
    size_t target_count;
    struct recipient_target *targets; /* in the arena */
};

/*
 * `address` is "local@domain" in any valid form, or "postmaster" alone. Anything that is no address
 * is RECIPIENT_UNKNOWN; that the arena is full is RECIPIENT_BROKEN.
 */
void recipient_look_up(const struct snapshot *snapshot, const struct recipient_rules *rules,
                       struct bytes address, struct arena *arena, struct recipient_found *out);
/* Whether we receive for a domain (normalised): its mail is filed and not sent on. That its DNS was
 * seen is not asked: a domain becomes active by an MX that leads here, and mail comes with it. */
bool recipient_domain_is_hosted(const struct snapshot *snapshot, struct bytes domain);
