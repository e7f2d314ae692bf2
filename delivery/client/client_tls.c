/*
 * client_tls.c - STARTTLS: whether, how it ends, and what follows where it does not work.
 *
 *   EHLO --offered, wanted--> STARTTLS --220--> HANDSHAKE --secured--> EHLO again --> READY
 *    |                           |                  |
 *    |                           '---- failed ------+--demanded--> failed: the host rests
 *    |                                              '--else--> REOPEN --closed--> CONNECT, in plain
 *    '--not offered, or refused: READY in plain, or failed where TLS is demanded
 *
 * In plain on the same host is no failure of the host's, and it is remembered (tls_memory.h), so
 * that not each connection begins with a handshake that fails. What was said before the handshake
 * is forgotten (RFC 3207 section 4.2).
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "delivery/client/transaction.h"

enum {
    HANDSHAKE_S = 60,
    REQUIRETLS_NO_TLS = 10, /* X.7.10 and X.7.30, RFC 8689 section 4.2.1 */
    REQUIRETLS_NOT_OFFERED = 30,
};

static const struct tls_policy *policy_of(const struct smtp_client *c)
{
    return c->carrier.tls;
}

static uint16_t port_of(const struct smtp_client *c)
{
    return address_port(&c->carrier.address);
}

/* --- what is told of it ----------------------------------------------------------------------- */

/* What the search for a policy found wrong is told unless there is something worse. */
static void tell(struct smtp_client *c, enum tls_result result, const char *why)
{
    const struct tls_policy *p = policy_of(c);
    struct attempt_tls *tls = &c->carrier.seen;

    if (p->found != TLS_RESULT_NONE && result <= TLS_RESULT_SUCCESS) {
        result = (enum tls_result)p->found;
        snprintf(c->tls_why, sizeof(c->tls_why), "%.*s",
                 (int)MIN(p->found_why.len, sizeof(c->tls_why) - 1),
                 (const char *)p->found_why.ptr);
    } else {
        snprintf(c->tls_why, sizeof(c->tls_why), "%s", why != NULL ? why : "");
    }
    tls->policy = tls_level_name(p->level);
    tls->source = tls_source_name(p->source);
    tls->result = result != TLS_RESULT_NONE ? tls_result_name(result) : NULL;
    tls->reason = bytes_of(c->tls_why);
}

static enum metric metric_of(enum tls_result result)
{
    return (enum metric)(METRIC_DELIVERY_TLS_FAILED_STARTTLS +
                         (int)(result - TLS_RESULT_STARTTLS_NOT_SUPPORTED));
}

_Static_assert(METRIC_DELIVERY_TLS_FAILED_STS_WEBPKI - METRIC_DELIVERY_TLS_FAILED_STARTTLS ==
                   TLS_RESULT_STS_WEBPKI_INVALID - TLS_RESULT_STARTTLS_NOT_SUPPORTED,
               "a counter for each result of failure, in their order");

void client_tls_begin(struct smtp_client *c)
{
    const struct tls_policy *p = policy_of(c);
    enum tls_result result;
    const char *why;

    c->is_plain = p->level == TLS_LEVEL_NONE;
    tell(c, TLS_RESULT_NONE, NULL);
    if (c->is_plain || !tls_policy_may_be_plain(p) ||
        !tls_memory_is_broken(c->clients->memory, &c->carrier.address, client_now_ms(c), &result,
                              &why))
        return;
    c->is_plain = true;
    tell(c, result, why);
}

/* --- without it ------------------------------------------------------------------------------- */

/* Of a message that demands it (RFC 8689 section 4.2.1): the host is left with QUIT where it still
 * listens, the next one is tried, and after the last the message bounces. `detail`: 5.7.X. */
static bool fail_message(struct smtp_client *c, uint16_t detail, const char *rule, const char *text)
{
    struct judgement judgement =
        judgement_of_ours(JUDGEMENT_BOUNCED, 7, detail, CLASS_TLS, rule, bytes_of(text));

    return c->state == CLIENT_EHLO || c->state == CLIENT_STARTTLS
               ? client_fail_with_quit(c, &judgement)
               : client_fail(c, &judgement);
}

/* TLS is demanded and cannot be had; is_for_now: by the peer's word. */
static bool fail_demand(struct smtp_client *c, uint16_t detail, enum tls_result result,
                        const char *what, const char *why, bool is_for_now)
{
    char text[BROKEN_LINE_MAX];
    const struct tls_policy *p = policy_of(c);

    metric_inc(metric_of(result));
    tell(c, result, why);
    snprintf(text, sizeof(text), "%s%s%s, and TLS is demanded (%s by %s%s%.*s)", what,
             why != NULL ? ": " : "", why != NULL ? why : "", tls_level_name(p->level),
             tls_source_name(p->source), p->rule.len > 0 ? ", " : "",
             (int)MIN(p->rule.len, (size_t)160), (const char *)p->rule.ptr);
    if (tls_policy_is_of_message(p) && !is_for_now)
        return fail_message(c, REQUIRETLS_NO_TLS, tls_result_name(result), text);
    return client_fail_ours(c, 7, detail, CLASS_TLS, tls_result_name(result), text);
}

/* The host has none, or not now: RFC 3207 section 4 leaves it to us. */
static bool go_on_without(struct smtp_client *c, const char *what, const char *why, bool is_for_now)
{
    enum tls_result result = TLS_RESULT_STARTTLS_NOT_SUPPORTED;

    if (!tls_policy_may_be_plain(policy_of(c)))
        return fail_demand(c, 4, result, what, why, is_for_now);
    c->is_plain = true;
    tell(c, result, why);
    return client_greeted(c);
}

/* --- STARTTLS --------------------------------------------------------------------------------- */

static bool perform_starttls(struct smtp_client *c)
{
    client_enter(c, CLIENT_STARTTLS);
    c->is_tls_begun = true;
    if (!conn_write(&c->conn, BYTES("STARTTLS\r\n")))
        return false; /* the connection is broken, which is about to be handled */
    pipeline_push(&c->pipeline, COMMAND_STARTTLS, 0, c->conn.written);
    return true;
}

static void keep_session(struct smtp_client *c)
{
    struct tls_session *session = conn_tls_take_session(&c->conn);

    if (session != NULL)
        tls_memory_keep(c->clients->memory, c->carrier.host_name, port_of(c), policy_of(c), session,
                        client_now_ms(c));
}

void client_tls_end(struct smtp_client *c)
{
    if (c->has_greeted && !c->is_plain)
        keep_session(c);
}

bool client_choose_tls(struct smtp_client *c)
{
    if (conn_is_under_tls(&c->conn)) {
        keep_session(c);
        if (tls_policy_is_of_message(policy_of(c)) && !c->extensions.requiretls)
            return fail_message(c, REQUIRETLS_NOT_OFFERED, "requiretls",
                                "the host offers no REQUIRETLS, which the message demands");
        return client_greeted(c);
    }
    if (c->is_plain)
        return client_greeted(c);
    if (!c->extensions.starttls)
        return go_on_without(c, "the host offers no STARTTLS", NULL, false);
    if (c->clients->tls == NULL) /* a program that was given none; it must not go in plain for it */
        return go_on_without(c, "no TLS is spoken here", NULL, true);
    return perform_starttls(c);
}

/* A byte behind the 220 is no reply of the peer's to anything: whoever stands between us may have
 * put it there (RFC 3207 section 4.2). */
static bool secure(struct smtp_client *c)
{
    const struct tls_policy *p = policy_of(c);
    struct bytes host = c->carrier.host_name;
    struct tls_client_setup setup = {
        .server_name = p->server_name.len > 0 ? p->server_name : host,
        .must_verify = p->level == TLS_LEVEL_VERIFY,
        .name_count = p->name_count > 0 ? p->name_count : 1,
        .names = p->name_count > 0 ? p->names : &host,
        .record_count = p->record_count,
        .records = p->records,
        .session = tls_memory_session(c->clients->memory, host, port_of(c), p, client_now_ms(c)),
    };
    struct conn_layer *layer = tls_client_layer(c->clients->tls, &setup);

    if (layer == NULL)
        return client_tls_failed(c, TLS_RESULT_VALIDATION_FAILURE,
                                 "a name or record to hold the host against cannot be used");
    if (!conn_secure(&c->conn, layer)) {
        tls_layer_free(&layer);
        return client_tls_failed(c, TLS_RESULT_VALIDATION_FAILURE,
                                 "the host sent something behind its reply to STARTTLS");
    }
    smtp_reply_reader_init(&c->reader);
    c->extensions = (struct smtp_extensions){0};
    c->tls_began_ms = client_now_ms(c);
    client_enter(c, CLIENT_HANDSHAKE);
    conn_deadline(&c->conn, HANDSHAKE_S * 1000);
    return true;
}

bool client_on_starttls_reply(struct smtp_client *c, const struct smtp_reply *reply, uint32_t none)
{
    char text[TLS_WHY_LEN];

    (void)none;
    if (reply->code == 220)
        return secure(c);
    snprintf(text, sizeof(text), "%u %.*s", reply->code,
             (int)MIN(reply->text.len, sizeof(text) - 8), (const char *)reply->text.ptr);
    if (reply->code < 400)
        return client_tls_failed(c, TLS_RESULT_VALIDATION_FAILURE,
                                 "the reply to STARTTLS makes no sense");
    return go_on_without(c, "the host refused STARTTLS", text, reply->code < 500);
}

/* --- the handshake ---------------------------------------------------------------------------- */

static enum tls_result result_of(enum tls_fault fault)
{
    static const uint8_t results[] = {
        [TLS_FAULT_NONE] = TLS_RESULT_SUCCESS,
        [TLS_FAULT_NAME] = TLS_RESULT_CERTIFICATE_HOST_MISMATCH,
        [TLS_FAULT_EXPIRED] = TLS_RESULT_CERTIFICATE_EXPIRED,
        [TLS_FAULT_NO_RECORD] = TLS_RESULT_TLSA_INVALID,
        [TLS_FAULT_UNTRUSTED] = TLS_RESULT_CERTIFICATE_NOT_TRUSTED,
        [TLS_FAULT_UNVERIFIED] = TLS_RESULT_VALIDATION_FAILURE,
    };

    return (enum tls_result)results[fault];
}

/* The result of a policy that is not enforced (MTA-STS in testing) is told as if it were; where the
 * configuration alone speaks, whoever answers is welcome. */
static void tell_secured(struct smtp_client *c, const struct tls_facts *facts, enum tls_fault fault,
                         const char *why)
{
    struct attempt_tls *tls = &c->carrier.seen;
    bool is_judged =
        policy_of(c)->source != TLS_SOURCE_CONFIG && policy_of(c)->level != TLS_LEVEL_REQUIRE;

    tell(c, is_judged ? result_of(fault) : TLS_RESULT_SUCCESS, why);
    tls->version = facts->version;
    tls->cipher = facts->cipher;
    tls->verified = fault == TLS_FAULT_NONE ? EVENT_YES : EVENT_NO;
    c->tls_ms = (int32_t)(client_now_ms(c) - c->tls_began_ms);
    log_debug("client=%p site=%s tls=%s cipher=%s resumed=%d verified=%d why=%s", (void *)c,
              LOG_TEXT(carrier_site_name(&c->carrier)), LOG_STRING(facts->version),
              LOG_STRING(facts->cipher), facts->is_resumed, fault == TLS_FAULT_NONE,
              LOG_STRING(why != NULL ? why : ""));
}

void client_secured(struct smtp_client *c)
{
    struct tls_facts facts;
    const char *why;
    enum tls_fault fault = conn_tls_fault(&c->conn, &why);

    if (policy_of(c)->level == TLS_LEVEL_VERIFY && fault != TLS_FAULT_NONE) {
        client_tls_failed(c, result_of(fault), why);
        return;
    }
    check(conn_tls_facts(&c->conn, &facts));
    tell_secured(c, &facts, fault, why);
    client_enter(c, CLIENT_EHLO);
    perform_ehlo(c);
    client_arm_deadline(c);
}

bool client_handshake_failed(struct smtp_client *c, const char *otherwise)
{
    const char *why, *failure = conn_tls_failure(&c->conn);
    enum tls_fault fault = conn_tls_fault(&c->conn, &why);

    if (policy_of(c)->level == TLS_LEVEL_VERIFY && why != NULL)
        return client_tls_failed(c, result_of(fault), why);
    return client_tls_failed(c, TLS_RESULT_VALIDATION_FAILURE,
                             failure != NULL ? failure : otherwise);
}

/* --- and in plain ----------------------------------------------------------------------------- */

static void fall_back(struct smtp_client *c, enum tls_result result, const char *why)
{
    char address[ADDRESS_TEXT_MAX];
    size_t len = address_format_port(&c->carrier.address, address);

    metric_inc(metric_of(result));
    metric_inc(METRIC_DELIVERY_TLS_FALLBACKS);
    log_limited(LOG_LEVEL_INFO,
                "site=%s host=%s ip=%s what=\"TLS failed, goes on in plain\" why=%s",
                LOG_TEXT(carrier_site_name(&c->carrier)), LOG_TEXT(c->carrier.host_name),
                LOG_TEXT(bytes_range(address, len)), LOG_STRING(why));
    tls_memory_broke(c->clients->memory, &c->carrier.address, result, why, client_now_ms(c));
    tell(c, result, why);
    c->carrier.seen.version = NULL;
    c->carrier.seen.cipher = NULL;
    c->carrier.seen.verified = EVENT_UNKNOWN;
    c->is_plain = true;
    client_enter(c, CLIENT_REOPEN);
    conn_close(&c->conn);
}

bool client_tls_failed(struct smtp_client *c, enum tls_result result, const char *why)
{
    if (!tls_policy_may_be_plain(policy_of(c)))
        return fail_demand(c, 5, result, "TLS with the host failed", why, false);
    fall_back(c, result, why);
    return true;
}

bool client_falls_back(struct smtp_client *c, const struct judgement *judgement)
{
    char why[TLS_WHY_LEN];

    if (!c->is_tls_begun || c->is_plain || c->has_greeted || !judgement->is_ours ||
        c->state == CLIENT_REOPEN || !tls_policy_may_be_plain(policy_of(c)))
        return false;
    snprintf(why, sizeof(why), "%.*s", (int)MIN(judgement->text.len, sizeof(why) - 1),
             (const char *)judgement->text.ptr);
    fall_back(c, TLS_RESULT_VALIDATION_FAILURE, why);
    return true;
}
