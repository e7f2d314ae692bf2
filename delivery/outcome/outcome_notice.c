/* outcome_notice.c - which notifications the outcomes of a settlement cause. */
#include "base/log.h"
#include "base/metric.h"
#include "delivery/outcome/settlement.h"
#include "event/event_privacy.h"
#include "queue/flow.h"

const struct recipient *settled_recipient(const struct settlement *s, const struct settled *r)
{
    uint32_t number = pending_number(r->pending);

    if (s->message == NULL)
        return NULL;
    check(number < s->message->recipient_count);
    return &s->message->recipients[number];
}

int64_t settled_accepted_ms(const struct settlement *s, const struct settled *r)
{
    return stub_age_from_ms(pending_stub(r->pending), engine_now_ms(s->outcomes->engine));
}

static bool is_delay_due(const struct settlement *s, const struct settled *r)
{
    const struct retry_rule *rule =
        outcomes_retry_rule(s->outcomes, domain_name(pending_domain(r->pending)));
    int64_t age_ms =
        engine_now_ms(s->outcomes->engine) - outcomes_waits_from_ms(s->outcomes, r->pending);

    return rule->delay_notice_s != 0 && (r->pending->flags & PENDING_DELAY_TOLD) == 0 &&
           age_ms >= (int64_t)rule->delay_notice_s * 1000;
}

/* What, if anything, the sender is to be told of this recipient. */
bool settled_wants_notice(const struct settlement *s, const struct settled *r,
                          enum dsn_action *action_out)
{
    if (s->message == NULL)
        return false;
    switch (r->judgement.kind) {
    case JUDGEMENT_CANCELLED:
        return false;
    case JUDGEMENT_DELIVERED:
        *action_out = DSN_RELAYED;
        if (r->facts->peer_has_dsn)
            return false;
        break;
    case JUDGEMENT_FILED:
        *action_out = r->judgement.is_expanded ? DSN_EXPANDED : DSN_DELIVERED;
        break;
    case JUDGEMENT_FORWARDED: /* one address is to tell of it itself (RFC 3461 section 5.2.7.2) */
        *action_out = DSN_EXPANDED;
        if (!r->judgement.is_expanded)
            return false;
        break;
    case JUDGEMENT_DEFERRED:
    case JUDGEMENT_BOUNCED:
    case JUDGEMENT_EXPIRED:
        *action_out = r->kind == EVENT_DEFERRED ? DSN_DELAYED : DSN_FAILED;
        if (r->kind == EVENT_DEFERRED && !is_delay_due(s, r))
            return false;
        break;
    }
    return dsn_is_wanted(s->message, settled_recipient(s, r), *action_out);
}

static struct smtp_enhanced status_of(const struct settled *r, enum dsn_action action)
{
    static const uint8_t classes[] = {[DSN_FAILED] = 5,
                                      [DSN_DELAYED] = 4,
                                      [DSN_RELAYED] = 2,
                                      [DSN_DELIVERED] = 2,
                                      [DSN_EXPANDED] = 2};
    struct smtp_enhanced status = r->judgement.enhanced;

    /* RFC 3463 section 3.5: delivery time expired, of a transient failure. */
    if (r->kind == EVENT_EXPIRED && !is_for_tls(&r->judgement))
        return (struct smtp_enhanced){4, 4, 7};
    if (status.class == 0)
        return (struct smtp_enhanced){classes[action], 0, 0};
    return status;
}

/* Of the original. */
static size_t returned_max(const struct settlement *s)
{
    size_t wanted = s->outcomes->settings.returned_max;
    bool is_scarce = s->outcomes->notice_bytes >= NOTICES_FULL || shard_is_full(s->shard);

    return is_scarce ? MIN(wanted, (size_t)NOTICE_RETURNED_MIN) : wanted;
}

struct message *settlement_write_notice(struct settlement *s, bool of_failure)
{
    struct dsn_recipient *recipients = arena_alloc(&s->arena, s->count * sizeof(*recipients));
    enum dsn_action action;
    size_t count = 0;

    check(recipients != NULL);
    for (size_t i = 0; i < s->count; i++) {
        const struct settled *r = &s->recipients[i];

        if (!settled_wants_notice(s, r, &action) || (action == DSN_FAILED) != of_failure)
            continue;
        recipients[count++] = (struct dsn_recipient){
            .recipient = settled_recipient(s, r),
            .action = action,
            .status = status_of(r, action),
            .is_ours = r->judgement.is_ours,
            .code = r->judgement.code,
            .enhanced = r->judgement.enhanced,
            .text = r->judgement.text,
            .mx_host = r->judgement.is_ours ? BYTES_NONE : r->facts->mx_host,
            .attempt_ms = r->facts->is_attempt ? r->facts->started_ms : 0,
            .retry_until_ms = outcomes_wall_ms(s->outcomes, r->retry_end_ms),
        };
    }
    if (count == 0)
        return NULL;
    struct dsn_request request = {
        .hostname = s->outcomes->settings.hostname,
        .id = shard_next_id(s->shard),
        .now_ms = engine_wall_ms(s->outcomes->engine),
        .message = s->message,
        .head = s->head,
        .returned_max = returned_max(s),
        .count = count,
        .recipients = recipients,
    };
    struct message *notice = dsn_create(&request);
    char id[MESSAGE_ID_TEXT_MAX], shown[PRIVACY_ADDRESS_MAX];

    if (notice == NULL) {
        message_id_format(s->message->id, id);
        log_limited(LOG_LEVEL_ERROR, "id=%s notification=lost to=%s why=\"%s\"", id,
                    LOG_TEXT(privacy_address(s->message->tenant, s->message->reverse_path, shown)),
                    "its reverse-path cannot be written to, or memory ran dry");
        return NULL;
    }
    metric_inc(METRIC_DELIVERY_NOTIFICATIONS);
    s->notice_bytes += notice->content.size;
    s->outcomes->notice_bytes += notice->content.size;
    return notice;
}

bool settlement_has_notice(const struct settlement *s)
{
    enum dsn_action action;

    for (size_t i = 0; i < s->count; i++)
        if (settled_wants_notice(s, &s->recipients[i], &action))
            return true;
    return false;
}
