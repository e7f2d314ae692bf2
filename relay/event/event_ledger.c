/* event_ledger.c - the first reading: which messages do not add up. */
#include "event/event_ledger.h"

#include <stdlib.h>
#include <string.h>

#include "event/event_ledger_private.h"

static const enum ledger_final finals[EVENT_KIND_COUNT] = {
    [EVENT_DELIVERED] = LEDGER_DELIVERED,   [EVENT_BOUNCED] = LEDGER_BOUNCED,
    [EVENT_EXPIRED] = LEDGER_EXPIRED,       [EVENT_CANCELLED] = LEDGER_CANCELLED,
    [EVENT_SUPPRESSED] = LEDGER_SUPPRESSED, [EVENT_FILED] = LEDGER_DELIVERED,
};

struct ledger *ledger_create(const struct ledger_settings *settings)
{
    struct ledger *ledger = calloc(1, sizeof(*ledger));

    check(ledger != NULL);
    ledger->settings = *settings;
    map_init(&ledger->tallies);
    map_init(&ledger->tenants);
    map_init(&ledger->suspects);
    return ledger;
}

static struct tally *tally_of(struct map_node *node)
{
    return container_of(node, struct tally, node);
}

static void free_tally(void *context, struct map_node *node)
{
    (void)context;
    free(tally_of(node));
}

static void free_tenant(void *context, struct map_node *node)
{
    (void)context;
    free(container_of(node, struct ledger_tenant, node));
}

void ledger_free(struct ledger **ledger)
{
    map_for_each(&(*ledger)->tallies, free_tally, NULL);
    map_for_each(&(*ledger)->tenants, free_tenant, NULL);
    ledger_free_suspects(*ledger);
    map_free(&(*ledger)->tallies);
    map_free(&(*ledger)->tenants);
    map_free(&(*ledger)->suspects);
    free(*ledger);
    *ledger = NULL;
}

static struct ledger_tenant *tenant_named(struct ledger *ledger, struct bytes name)
{
    struct map_node *node = map_find(&ledger->tenants, name);

    if (node != NULL)
        return container_of(node, struct ledger_tenant, node);
    struct ledger_tenant *tenant = calloc(1, sizeof(*tenant) + name.len);
    check(tenant != NULL);
    if (name.len > 0)
        memcpy(tenant->name, name.ptr, name.len);
    map_insert(&ledger->tenants, &tenant->node, (struct bytes){tenant->name, name.len});
    return tenant;
}

static struct tally *find_tally(struct ledger *ledger, struct message_id id)
{
    struct map_node *node = map_find(&ledger->tallies, ledger_key(&id.value));

    return node == NULL ? NULL : tally_of(node);
}

static struct tally *add_tally(struct ledger *ledger, struct message_id id)
{
    struct tally *tally = calloc(1, sizeof(*tally));

    check(tally != NULL);
    tally->id = id.value;
    map_insert(&ledger->tallies, &tally->node, ledger_key(&tally->id));
    return tally;
}

static void drop_tally(struct ledger *ledger, struct tally *tally)
{
    map_remove(&ledger->tallies, &tally->node);
    free(tally);
}

static bool is_asked_for(const struct ledger *ledger, struct message_id id)
{
    return event_head_id_us(id) >= ledger->settings.since_us;
}

/* --- events ---------------------------------------------------------------------------------- */

static void count_accepted(struct ledger *ledger, struct tally *tally,
                           const struct event_head *head)
{
    if (!tally->has_accepted) {
        uint64_t *first = &ledger->first_accepted[message_id_shard(head->id)];

        tally->has_accepted = true;
        tally->is_later = ledger->is_cut;
        tally->tenant = tenant_named(ledger, head->tenant);
        if (*first == 0 || *first > head->id.value)
            *first = head->id.value;
        ledger->totals.messages += !tally->is_later;
        ledger->totals.later_messages += tally->is_later;
    }
    tally->accepted++;
    if (head->recipient.ptr == NULL)
        tally->is_vague = true;
    else
        tally->sum += bytes_hash(head->recipient);
    if (!tally->is_later)
        tally->tenant->sum.accepted++;
}

/* Where the spool lost the addresses the final event has none. */
static void count_final(struct ledger *ledger, struct tally *tally, const struct event_head *head)
{
    tally->ended++;
    tally->ended_later += ledger->is_cut;
    if (head->recipient.ptr == NULL)
        tally->is_vague = true;
    else
        tally->sum -= bytes_hash(head->recipient);
    if (tally->has_accepted && !tally->is_later)
        tally->tenant->sum.ended[finals[head->kind]]++;
}

static void count_seq(struct tally *tally, const struct event_head *head)
{
    if (tally->has_event && head->seq != tally->next_seq)
        tally->is_wrong = true;
    if (!tally->has_event && head->seq != 0 && head->kind == EVENT_ACCEPTED)
        tally->is_wrong = true;
    tally->has_event = true;
    tally->next_seq = head->seq + 1;
}

static bool is_finished(const struct tally *tally)
{
    return tally->has_accepted && tally->ended == tally->accepted &&
           (tally->sum == 0 || tally->is_vague) && !tally->is_wrong;
}

void ledger_event(struct ledger *ledger, const struct event_head *head)
{
    /* Other kinds may come to finished messages. */
    bool is_known =
        head->kind <= EVENT_DELAYED || head->kind == EVENT_FILED || head->kind == EVENT_FORWARDED;

    if (!head->has_seq || head->id.value == 0 || !is_asked_for(ledger, head->id))
        return;
    struct tally *tally = find_tally(ledger, head->id);
    if (tally == NULL && !is_known)
        return;
    if (tally == NULL)
        tally = add_tally(ledger, head->id);
    ledger->totals.events++;
    count_seq(tally, head);
    if (!is_known)
        return;
    if (head->kind == EVENT_ACCEPTED)
        count_accepted(ledger, tally, head);
    else if (event_kind_is_final(head->kind))
        count_final(ledger, tally, head);
    if (!ledger->is_cut && is_finished(tally))
        drop_tally(ledger, tally);
}

void ledger_cut(struct ledger *ledger)
{
    ledger->is_cut = true;
}

void ledger_queued(struct ledger *ledger, struct message_id id, uint32_t recipients)
{
    if (!is_asked_for(ledger, id))
        return;
    struct tally *tally = find_tally(ledger, id);
    if (tally == NULL)
        tally = add_tally(ledger, id);
    tally->queued += recipients;
}

/* --- the judgement --------------------------------------------------------------------------- */

/* Its accepted events may have stood in a file that was removed: ids of a shard are given in the
 * order in which its messages are accepted. */
static bool is_early(const struct ledger *ledger, const struct tally *tally)
{
    uint64_t first = ledger->first_accepted[message_id_shard((struct message_id){tally->id})];

    return !tally->has_accepted && !ledger->settings.is_whole && (first == 0 || tally->id < first);
}

/* Between what waits at the last event and what waited at the cut. */
static bool queue_agrees(const struct tally *tally)
{
    uint64_t open = (uint64_t)tally->accepted - tally->ended;

    if (tally->ended > tally->accepted)
        return false;
    if (open == 0 && tally->sum != 0 && !tally->is_vague)
        return false;
    if (tally->is_later)
        return tally->queued <= tally->accepted;
    return tally->queued >= open && tally->queued <= open + tally->ended_later;
}

static void judge(void *context, struct map_node *node)
{
    struct ledger *ledger = context;
    struct tally *tally = tally_of(node);

    if (is_early(ledger, tally)) {
        ledger->totals.early_messages++;
        ledger->totals.early_queued += tally->queued;
    } else if (tally->has_accepted && !tally->is_later && tally->ended <= tally->accepted) {
        uint64_t open = (uint64_t)tally->accepted - tally->ended;

        tally->tenant->sum.queued += MIN(open, (uint64_t)tally->queued);
    }
    bool is_right = is_early(ledger, tally) || (tally->has_accepted && queue_agrees(tally));
    if (is_right && !tally->is_wrong)
        return;
    ledger->totals.wrong_messages++;
    ledger_suspect(ledger, tally);
}

static void add_sum(void *context, struct map_node *node)
{
    struct ledger_sum *sum = context;
    const struct ledger_sum *part = &container_of(node, struct ledger_tenant, node)->sum;

    sum->accepted += part->accepted;
    sum->queued += part->queued;
    for (size_t i = 0; i < LEDGER_FINALS; i++)
        sum->ended[i] += part->ended[i];
}

void ledger_judge(struct ledger *ledger)
{
    map_for_each(&ledger->tallies, judge, ledger);
    map_for_each(&ledger->tenants, add_sum, &ledger->totals.sum);
}

/* --- sums ------------------------------------------------------------------------------------ */

bool ledger_sum_adds_up(const struct ledger_sum *sum)
{
    uint64_t ended = sum->queued;

    for (size_t i = 0; i < LEDGER_FINALS; i++)
        ended += sum->ended[i];
    return ended == sum->accepted;
}

void ledger_totals(const struct ledger *ledger, struct ledger_totals *out)
{
    *out = ledger->totals;
}

struct tenant_visit {
    void (*tenant)(void *context, struct bytes name, const struct ledger_sum *sum);
    void *context;
};

static void visit_tenant(void *context, struct map_node *node)
{
    const struct tenant_visit *visit = context;

    visit->tenant(visit->context, node->key, &container_of(node, struct ledger_tenant, node)->sum);
}

void ledger_for_each_tenant(struct ledger *ledger,
                            void (*tenant)(void *context, struct bytes name,
                                           const struct ledger_sum *sum),
                            void *context)
{
    struct tenant_visit visit = {tenant, context};

    map_for_each(&ledger->tenants, visit_tenant, &visit);
}
