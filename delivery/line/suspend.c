/* suspend.c - rules that hold mail back. */
#include "delivery/line/suspend.h"

#include <stdlib.h>

#include "delivery/line/destination.h"
#include "delivery/outcome/clearing.h"
#include "queue/message.h"
#include "smtp/domain_pattern.h"

enum { ARENA_MAX = 16 * 1024 * 1024, CHECKS_MAX = 1000 };

struct suspensions {
    struct arena arena;
    size_t count;
    struct suspension *rules;
};

struct suspensions *suspensions_create(void)
{
    struct suspensions *s = calloc(1, sizeof(*s));

    check(s != NULL);
    arena_init(&s->arena, ARENA_MAX);
    return s;
}

void suspensions_free(struct suspensions **suspensions)
{
    arena_free(&(*suspensions)->arena);
    free(*suspensions);
    *suspensions = NULL;
}

static const char *keep(struct suspensions *s, const char *text)
{
    struct bytes copy;

    if (text == NULL || !arena_copy(&s->arena, bytes_of(text), &copy))
        return NULL;
    return (const char *)copy.ptr;
}

void suspensions_set(struct suspensions *s, size_t count, const struct suspension *rules)
{
    arena_clear(&s->arena);
    s->count = 0;
    s->rules = count > 0 ? arena_alloc(&s->arena, count * sizeof(*rules)) : NULL;
    check(count == 0 || s->rules != NULL); /* operators do not make 100,000 rules */
    for (size_t i = 0; i < count; i++) {
        struct suspension rule = rules[i];

        rule.domain = keep(s, rules[i].domain);
        rule.sender = keep(s, rules[i].sender);
        rule.recipient = keep(s, rules[i].recipient);
        s->rules[s->count++] = rule;
    }
}

bool suspensions_is_empty(const struct suspensions *s)
{
    return s->count == 0;
}

bool suspensions_expire(struct suspensions *s, int64_t now_ms)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->count; i++)
        if (s->rules[i].until_ms == 0 || s->rules[i].until_ms > now_ms)
            s->rules[kept++] = s->rules[i];
    bool is_changed = kept != s->count;

    s->count = kept;
    return is_changed;
}

/* "a@b.example", or "@b.example" for the whole domain. */
static bool matches_address(const char *pattern, struct bytes address)
{
    struct bytes p = bytes_of(pattern);

    if (p.len > 0 && p.ptr[0] == '@')
        return bytes_ends_nocase(address, p);
    return bytes_equal_nocase(address, p);
}

const struct suspension *suspensions_match(const struct suspensions *s,
                                           const struct pending *pending,
                                           const struct message *message)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct suspension *rule = &s->rules[i];

        if (rule->domain != NULL &&
            !smtp_domain_matches(rule->domain, domain_name(pending_domain(pending))))
            continue;
        if (rule->message != 0 && rule->message != pending_stub(pending)->id.value)
            continue;
        if (rule->sender == NULL && rule->recipient == NULL)
            return rule;
        if (message == NULL)
            continue;
        if (rule->sender != NULL && !matches_address(rule->sender, message->reverse_path))
            continue;
        if (rule->recipient != NULL &&
            !matches_address(rule->recipient, message->recipients[pending_number(pending)].address))
            continue;
        return rule;
    }
    return NULL;
}

void suspend_hold(struct delivery *delivery, struct pending *pending)
{
    check((pending->flags & PENDING_PLACES) == 0);
    pending->flags |= PENDING_HELD;
    list_push_back(&delivery->held, &pending->link);
    delivery->held_count++;
    shard_let_go(delivery_shard(delivery, pending_stub(pending)), pending);
}

void suspend_unhold(struct delivery *delivery, struct pending *pending)
{
    check((pending->flags & PENDING_HELD) != 0);
    pending->flags &= (uint8_t)~PENDING_HELD;
    list_remove(&pending->link);
    delivery->held_count--;
    delivery->held_to_check = MIN(delivery->held_to_check, delivery->held_count);
}

void suspend_check_all(struct delivery *delivery)
{
    delivery->held_to_check = delivery->held_count;
    delivery_drive_later(delivery);
}

struct pending *suspend_next(struct delivery *delivery)
{
    if (delivery->held_to_check == 0)
        return NULL;
    struct pending *pending = container_of(list_first(&delivery->held), struct pending, link);

    delivery->held_to_check--;
    suspend_unhold(delivery, pending);
    return pending;
}

static void expire_first(struct delivery *delivery)
{
    struct pending *pending = container_of(list_first(&delivery->held), struct pending, link);

    suspend_unhold(delivery, pending);
    if (!clearing_has_room(delivery->outcomes) || !destination_is_overdue(delivery, pending)) {
        suspend_hold(delivery, pending);
        return;
    }
    destination_expire(delivery, pending, "suspended by an operator until its time was over");
}

void suspend_tick(struct delivery *delivery)
{
    size_t checks = MIN(delivery->held_count, (size_t)CHECKS_MAX);

    if (suspensions_expire(delivery->suspensions, engine_now_ms(delivery->engine)))
        suspend_check_all(delivery);
    if (delivery->held_to_check > 0)
        return; /* they are being looked at anyway, from the front */
    for (size_t i = 0; i < checks; i++)
        expire_first(delivery);
}
