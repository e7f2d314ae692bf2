/*
 * delivery.h - one engine's outbound side: from a due recipient to its outcome.
 *
 *   pending --> destination (domain; route or MX set) --> site (same MX set) --> egress (site from
 *   one source; limits, back-off, health; shared by all engines) --> carrier (a connection)
 *
 * A due recipient waits at its destination, in the line of its flow. A site with waiting recipients
 * opens connections as its egresses' limits allow; a ready connection pulls the next message of the
 * line whose turn it is at the site (turns.h: tenants by weight, classes, domains), takes along
 * every waiting recipient of that message which belongs to the site, loads it, and sends. Each
 * recipient's outcome goes to the shard in one commit with the DSN it causes.
 *
 * Thread: the engine's; egress.h is the only shared thing.
 */
#pragma once

#include "delivery/line/constraint.h"
#include "delivery/line/site_state.h"
#include "delivery/line/source.h"
#include "delivery/line/tls_policy.h"
#include "delivery/outcome/retry.h"
#include "dns/mx.h"
#include "queue/flow.h"
#include "queue/shard.h"

/* What a 0 in the settings below means. */
enum {
    DELIVERY_CONNECTIONS_DEFAULT = 5000, /* of the process */
    DELIVERY_CONNECT_S_DEFAULT = 30,
    DELIVERY_DSN_SIZE_DEFAULT = 64 << 10,
    DELIVERY_NOTICE_WAIT_S_DEFAULT = 5, /* of the configuration: 0 below means 0 */
    EGRESS_CONNECTIONS_DEFAULT = 20,
    EGRESS_MESSAGES_DEFAULT = 1000, /* of a connection */
    EGRESS_IDLE_S_DEFAULT = 5,
    EGRESS_RECIPIENTS_DEFAULT = 100,
};

struct route {
    const char *match; /* domain, or "*.suffix", or "*" ; lower case */
    size_t target_count;
    const char **targets; /* "host", "host:port", "10.0.0.9:2500", "[::1]:2500": tried in order */
    bool use_mx;          /* false: the targets; true: MX of the first target's name */
};

/* Sets of mail hosts that judge us as one (provider.h). */
struct provider_rule {
    const char *name;
    size_t mx_count;
    const char *const *mx; /* patterns as in routes, of the names of MX hosts */
};

/* What one egress may do: limits.h says which rules count for a site. */
struct egress_rule {
    const char *match;     /* domain, host or site pattern; "*"; empty where it is a provider's */
    const char *provider;  /* name; NULL: `match` says what it is for */
    unsigned connections;  /* at once, of the whole process */
    double messages_per_s; /* 0: no limit */
    unsigned messages_per_connection;
    unsigned idle_s;     /* a ready connection is kept this long */
    unsigned recipients; /* in one transaction */
};

struct delivery_settings {
    const char *hostname;
    size_t source_count;
    const struct source *sources; /* at least one */
    size_t route_count;
    const struct route *routes;
    size_t retry_count;
    const struct retry_rule *retries; /* at least one; last is "*" */
    size_t egress_rule_count;
    const struct egress_rule *egress_rules; /* at least one; last is "*" */
    size_t provider_count;
    const struct provider_rule *providers;
    size_t tls_rule_count;
    const struct tls_rule *tls_rules; /* the last is "*"; none: opportunistic */
    bool dane, mta_sts;               /* what receivers publish is asked for, and heeded */
    struct mx_rules mx;
    unsigned connections_max; /* of the whole process */
    unsigned connect_timeout_s;
    unsigned dsn_size_max;     /* bytes of the original returned */
    unsigned notice_wait_s;    /* a failure waits for others of its message; 0: not at all */
    struct egress_rule filing; /* of the store: connections are messages at once */
};

struct delivery;
struct egress_table; /* shared by all engines (egress.h) */
struct carrier_kind; /* carrier.h */
struct sts_store;

/* The store of accounts' mail, which is one site: "local:store". Mail of a domain that we receive
 * for goes there, whoever submitted it, whatever routes and DNS say. */
struct delivery_store {
    const struct carrier_kind *carriers; /* copied */
    struct egress_table *egresses;       /* its own: it takes no connection from anybody */
    /* The directory's: whether we receive for a domain. */
    bool (*is_hosted)(void *context, struct bytes domain);
    /* Another number each time that is_hosted() may say something else; 0: nothing is known yet,
     * and nothing is tried before it is. */
    uint64_t (*version)(void *context);
    void *context;
};

struct delivery_setup {
    struct engine *engine;
    struct resolver *resolver;
    struct flows *flows;
    struct egress_table *egresses;
    struct sts_store *sts;               /* shared by all engines; NULL: no MTA-STS */
    const struct carrier_kind *carriers; /* what sites open; copied */
    const struct delivery_store *store;  /* copied; NULL: there is none */
    struct shard *home;                  /* the engine's own; NULL until set: delivery_set_home().
                                  Notifications go to the shard of the message they are about, in
                                  one commit with its outcome, also where that one is adopted */
    const struct delivery_settings *settings;
    /* Monotonic: outcomes_trust_ages(). 0: nothing that a start finds is sure. */
    int64_t ages_sure_from_ms;
    struct signer *signer; /* signs our notifications (signing/signer.h); NULL: nobody does */
    /* Nothing uses these settings any more, nor what they point to. Once for each that was given;
     * may be NULL. */
    void (*settings_unused)(void *context, const struct delivery_settings *settings);
    void *context;
};

struct delivery *delivery_create(const struct delivery_setup *setup);
void delivery_set_home(struct delivery *delivery, struct shard *home);
/* New attempts use these (reload.h says what a change concerns); attempts under way keep theirs,
 * until settings_unused() says that the last has ended. */
void delivery_configure(struct delivery *delivery, const struct delivery_settings *settings);
/* shard_hooks: */
void delivery_due(void *delivery, struct shard *shard, struct pending *pending);
void delivery_domain_idle(void *delivery, struct domain *domain);
int64_t delivery_delay_max_ms(void *delivery, const struct domain *domain);

/* Stop: no new attempts; those in flight finish until deadline_ms (monotonic), then are broken off
 * (their recipients stay unfinished on disk). stopped() is called once nothing is held. */
void delivery_stop(struct delivery *delivery, int64_t deadline_ms, void (*stopped)(void *context),
                   void *context);
void delivery_abort(struct delivery *delivery);
void delivery_free(struct delivery **delivery);

/* --- the operator's side --------------------------------------------------------------------- */

/* A rule that holds mail back; kept by the program in state_dir, the same on every engine. */
struct suspension {
    uint32_t number;       /* shown, and named by resume */
    const char *domain;    /* pattern, or NULL: any */
    const char *sender;    /* address or "@domain", or NULL */
    const char *recipient; /* address, or NULL */
    uint64_t message;      /* id value, or 0 */
    int64_t until_ms;      /* monotonic; 0: until resumed */
};
/* Replaces all rules. Held recipients are looked at again: at once where a rule went. */
void delivery_suspend(struct delivery *delivery, size_t count, const struct suspension *rules);

/* Ends a READY recipient that only waits, or one taken with shard_take(), as cancelled (event with
 * `reason`). False if an attempt holds it. done may be NULL. */
bool delivery_cancel(struct delivery *delivery, struct shard *shard, struct pending *pending,
                     const char *reason);
/* Terms of tenants changed (flow.h): who waits for its rates is asked again. */
void delivery_terms_changed(struct delivery *delivery);
/* An attempt, or what ends it without one, holds a READY recipient. */
bool delivery_is_busy(const struct pending *pending);
/* Lets a resting destination/site be tried at once (queue retry). */
void delivery_wake(struct delivery *delivery, struct domain *domain);

/* Where delivery has an unfinished recipient, which is what operators mean by its state. */
enum pending_waits {
    WAITS_SCHEDULED,
    WAITS_HELD,  /* due, and suspended, or its tenant's rates hold it */
    WAITS_READY, /* in line at its destination */
    WAITS_IN_ATTEMPT,
    WAITS_COMMITTING, /* its outcome is being written */
};
enum { PENDING_WAITS_MAX = WAITS_COMMITTING + 1 };
enum pending_waits delivery_pending_waits(const struct pending *pending);
const char *pending_waits_name(enum pending_waits waits); /* "in-attempt" */

/* What one recipient waits for: state, constraint, rule, until when; one JSON object. `message` may
 * be its envelope only, or NULL: then its address is null. */
must_use bool delivery_explain_pending(struct delivery *delivery, const struct pending *pending,
                                       const struct message *message, struct buf *json_out);
/* What this engine knows of a domain: its route, its site, what stands in line; one JSON object, or
 * nothing where it has no mail for it. */
must_use bool delivery_explain_domain(struct delivery *delivery, struct bytes domain,
                                      struct buf *json_out);

/* A domain's unfinished recipients, counted one by one, on engine after engine. */
struct delivery_survey {
    uint64_t unfinished, scheduled, ready, in_attempt, held, committing;
    int64_t due_ms;      /* wall; of the next that is scheduled; 0: none is */
    int64_t accepted_ms; /* wall; of the oldest; 0: none */
    int64_t expires_ms;  /* wall; of the one whose time is over first */
    unsigned weight;     /* of the one that `constraint` is of: in line before scheduled */
    struct constraint constraint;
};
void delivery_survey_add(struct delivery *delivery, const struct pending *pending,
                         struct delivery_survey *survey);
/* As a JSON object; `engines` is a JSON array to put in it. */
must_use bool delivery_survey_explain(const struct delivery_survey *survey, struct bytes domain,
                                      struct bytes engines, struct buf *json_out);

/* Per site: one JSON object {"site":..,"waiting":..,"connections":..,"resting_until":..}. */
void delivery_sites(struct delivery *delivery, void (*line)(void *context, struct bytes json),
                    void *context);

struct delivery_status {
    uint64_t throttled; /* of those that wait, by their tenants' rates */
    uint64_t waiting, in_attempt, committing, connections, sites, destinations;
    uint64_t site_states[SITE_STATE_COUNT];
    uint64_t resting_sites; /* of these, failing or resting */
    uint64_t unheld; /* broken invariant: waiting with nothing that will wake it, as found by the
                        last look (unheld.h); must stay 0 */
};
/* Counts only, whatever the number of sites and destinations: to be asked at any time. */
void delivery_status(const struct delivery *delivery, struct delivery_status *out);
