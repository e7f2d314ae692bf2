/* account_event.c - a ring of events, and who watches it. */
#include "inbound/mailbox/account_event.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inbound/mailbox/account_private.h"

struct kept_event {
    enum account_event_kind kind;
    const void *by;
    size_t name_len, other_len;
    uint8_t *text; /* both */
};

struct account_events {
    uint64_t count; /* that ever were */
    struct kept_event ring[ACCOUNT_EVENTS_MAX];
};

void mail_account_watch(struct mail_account *account, struct account_watch *watch)
{
    pthread_mutex_lock(&account->event_mutex);
    if (account->events == NULL) {
        account->events = calloc(1, sizeof(*account->events));
        check(account->events != NULL);
    }
    watch->next_event = account->events->count;
    watch->next = account->watches;
    watch->place = &account->watches;
    if (watch->next != NULL)
        watch->next->place = &watch->next;
    account->watches = watch;
    pthread_mutex_unlock(&account->event_mutex);
}

static void free_events(struct mail_account *account)
{
    if (account->events == NULL)
        return;
    for (size_t i = 0; i < ACCOUNT_EVENTS_MAX; i++)
        free(account->events->ring[i].text);
    free(account->events);
    account->events = NULL;
}

void mail_account_unwatch(struct mail_account *account, struct account_watch *watch)
{
    pthread_mutex_lock(&account->event_mutex);
    *watch->place = watch->next;
    if (watch->next != NULL)
        watch->next->place = watch->place;
    if (account->watches == NULL)
        free_events(account);
    pthread_mutex_unlock(&account->event_mutex);
}

static bool is_same(const struct kept_event *kept, const struct account_event *event)
{
    return kept->kind == event->kind &&
           bytes_equal(bytes_range(kept->text, kept->name_len), event->name);
}

/* Mail for a mailbox that was told of already: nobody opened it, so nobody wants it. */
static bool is_old_news(const struct account_events *events, const struct account_event *event)
{
    uint64_t kept = MIN(events->count, (uint64_t)ACCOUNT_EVENTS_MAX);

    for (uint64_t i = 1; event->kind == ACCOUNT_FILED && i <= kept; i++) {
        const struct kept_event *at = &events->ring[(events->count - i) % ACCOUNT_EVENTS_MAX];

        if (is_same(at, event))
            return true;
        if (at->kind != ACCOUNT_FILED)
            break;
    }
    return false;
}

static void keep(struct account_events *events, const struct account_event *event)
{
    struct kept_event *at = &events->ring[events->count++ % ACCOUNT_EVENTS_MAX];

    free(at->text);
    *at = (struct kept_event){
        .kind = event->kind,
        .by = event->by,
        .name_len = event->name.len,
        .other_len = event->other.len,
        .text = malloc(event->name.len + event->other.len + 1),
    };
    check(at->text != NULL);
    uint8_t *end = at->text;

    (void)bytes_put(event->name, &end);
    (void)bytes_put(event->other, &end);
}

void mail_account_tell(struct mail_account *account, const struct account_event *event)
{
    check(event->name.len + event->other.len <= ACCOUNT_EVENT_TEXT_MAX);
    pthread_mutex_lock(&account->event_mutex);
    if (account->watches != NULL && !is_old_news(account->events, event)) {
        keep(account->events, event);
        for (struct account_watch *watch = account->watches; watch != NULL; watch = watch->next)
            watch->changed(watch);
    }
    pthread_mutex_unlock(&account->event_mutex);
}

int mail_account_next_event(struct mail_account *account, struct account_watch *watch,
                            struct account_event *event_out,
                            uint8_t text[static ACCOUNT_EVENT_TEXT_MAX])
{
    int result = 0;

    pthread_mutex_lock(&account->event_mutex);
    const struct account_events *events = account->events;

    if (events->count - watch->next_event > ACCOUNT_EVENTS_MAX) {
        watch->next_event = events->count - ACCOUNT_EVENTS_MAX;
        result = -EOVERFLOW;
    } else if (watch->next_event < events->count) {
        const struct kept_event *at = &events->ring[watch->next_event++ % ACCOUNT_EVENTS_MAX];
        uint8_t *end = text;

        event_out->kind = at->kind;
        event_out->by = at->by;
        event_out->name = bytes_put(bytes_range(at->text, at->name_len), &end);
        event_out->other = bytes_put(bytes_range(at->text + at->name_len, at->other_len), &end);
        result = 1;
    }
    pthread_mutex_unlock(&account->event_mutex);
    return result;
}
