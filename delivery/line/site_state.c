/* site_state.c - the table of a site's states, the door between them, and their names. */
#include "base/log.h"
#include "base/metric.h"
#include "delivery/line/site.h"

#define BIT(state) (1U << (state))
enum {
    WORKING = BIT(SITE_CONNECTING) | BIT(SITE_SERVING) | BIT(SITE_THROTTLED) | BIT(SITE_LIMITED) |
              BIT(SITE_STARVED),
    AT_REST = BIT(SITE_FAILING) | BIT(SITE_RESTING),
    FROM_WORK = BIT(SITE_IDLE) | WORKING | AT_REST,
};

static const struct {
    const char *name;
    enum metric gauge;
    unsigned next; /* states that may follow, besides itself */
} states[SITE_STATE_COUNT] = {
    [SITE_IDLE] = {"idle", METRIC_SITE_IDLE, WORKING | AT_REST},
    [SITE_CONNECTING] = {"connecting", METRIC_SITE_CONNECTING, FROM_WORK},
    [SITE_SERVING] = {"serving", METRIC_SITE_SERVING, FROM_WORK},
    [SITE_THROTTLED] = {"throttled", METRIC_SITE_THROTTLED, FROM_WORK},
    [SITE_LIMITED] = {"limited", METRIC_SITE_LIMITED, FROM_WORK},
    [SITE_STARVED] = {"starved", METRIC_SITE_STARVED, FROM_WORK},
    [SITE_FAILING] = {"failing", METRIC_SITE_FAILING, BIT(SITE_RESTING) | BIT(SITE_IDLE)},
    [SITE_RESTING] = {"resting", METRIC_SITE_RESTING, BIT(SITE_IDLE)},
};

const char *site_state_name(enum site_state state)
{
    return states[state].name;
}

bool site_may_enter(enum site_state state, enum site_state next)
{
    return state != next && (states[state].next & BIT(next)) != 0;
}

void site_state_init(struct site *site)
{
    site->state = SITE_IDLE;
    metric_inc(states[SITE_IDLE].gauge);
    site->delivery->site_states[SITE_IDLE]++;
}

void site_state_end(struct site *site)
{
    metric_dec(states[site->state].gauge);
    site->delivery->site_states[site->state]--;
}

void site_enter(struct site *site, enum site_state next)
{
    if (site->state == next)
        return;
    check(site_may_enter((enum site_state)site->state, next));
    check((BIT(next) & AT_REST) == 0 || site->carrier_count == 0);
    log_debug("site=%s state=%s next=%s waiting=%zu", LOG_TEXT(site->name),
              states[site->state].name, states[next].name, site->waiting_count);
    site_state_end(site);
    site->state = (uint8_t)next;
    metric_inc(states[next].gauge);
    site->delivery->site_states[next]++;
}

/* --- for operators ---------------------------------------------------------------------------- */

static const char *name_limit(const struct site *site)
{
    for (const struct site_egress *e = site->egresses; e != NULL; e = e->next)
        if (e->is_waiting)
            return egress_is_full_by_receiver(e->egress) ? "peer-refuses-more-connections"
                                                         : "connection-limit";
    return "connection-limit";
}

const char *site_constraint(const struct site *site, int64_t *until_ms_out)
{
    *until_ms_out = 0;
    switch ((enum site_state)site->state) {
    case SITE_FAILING:
    case SITE_RESTING:
        *until_ms_out = site->rest.until_ms;
        return "site-resting";
    case SITE_IDLE: /* mail that came in this very turn is looked at when it ends */
        return site->waiting_count == 0 ? "nothing-waits" : "connecting";
    case SITE_STARVED:
        return outcomes_are_many(site->delivery->outcomes) ? "outcomes-unwritten" : "disk-full";
    case SITE_THROTTLED:
        *until_ms_out = site_share_at_ms(site);
        return "message-rate";
    case SITE_LIMITED:
        return name_limit(site);
    case SITE_CONNECTING:
        return "connecting";
    case SITE_SERVING:
    case SITE_STATE_COUNT:
        break;
    }
    return "connections-busy";
}
