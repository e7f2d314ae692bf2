/* cancel.c - batches of cancelled recipients, one for each reason in a row. */
#include "delivery/line/cancel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/outcome/clearing.h"

enum { REASON_MAX = 256 };

struct batch {
    struct list_node node; /* in delivery->cancelled */
    struct list pendings;
    char reason[REASON_MAX];
};

static struct batch *batch_of(struct list_node *node)
{
    return container_of(node, struct batch, node);
}

static struct batch *batch_new(struct delivery *delivery, const char *reason)
{
    struct batch *batch = malloc(sizeof(*batch));

    check(batch != NULL);
    list_node_init(&batch->node);
    list_init(&batch->pendings);
    snprintf(batch->reason, sizeof(batch->reason), "%s", reason);
    list_push_back(&delivery->cancelled, &batch->node);
    return batch;
}

static void batch_free(struct batch *batch)
{
    check(list_is_empty(&batch->pendings));
    list_remove(&batch->node);
    free(batch);
}

void cancel_add(struct delivery *delivery, struct pending *pending, const char *reason)
{
    struct batch *last =
        list_is_empty(&delivery->cancelled) ? NULL : batch_of(delivery->cancelled.head.prev);

    if (last == NULL || strncmp(last->reason, reason, REASON_MAX - 1) != 0)
        last = batch_new(delivery, reason);
    pending_occupy(pending);
    list_push_back(&last->pendings, &pending->link);
    delivery_drive_later(delivery);
}

static void on_taken(void *context, struct pending *pending)
{
    (void)context;
    list_remove(&pending->link);
    pending_release(pending); /* clearing_start() occupies it again */
}

static void end_some(struct delivery *delivery, struct batch *batch)
{
    struct judgement judgement = judgement_of_ours(JUDGEMENT_CANCELLED, 7, 0, "cancelled",
                                                   "operator", bytes_of(batch->reason));
    struct attempt_facts facts = {.times = {-1, -1, -1, -1, -1, -1}};

    while (!list_is_empty(&batch->pendings) && clearing_has_room(delivery->outcomes)) {
        struct stub *stub = pending_stub(first_pending(&batch->pendings));

        clearing_start(delivery->outcomes, delivery_shard(delivery, stub), &batch->pendings,
                       CLEARING_RECIPIENTS_MAX, &judgement, &facts, on_taken, NULL);
    }
}

void cancel_drive(struct delivery *delivery)
{
    struct list_node *node;

    while ((node = list_first(&delivery->cancelled)) != NULL) {
        struct batch *batch = batch_of(node);

        end_some(delivery, batch);
        if (!list_is_empty(&batch->pendings))
            return;
        batch_free(batch);
    }
}

void cancel_drop(struct delivery *delivery)
{
    struct list_node *node, *pending;

    while ((node = list_first(&delivery->cancelled)) != NULL) {
        struct batch *batch = batch_of(node);

        while ((pending = list_pop_front(&batch->pendings)) != NULL)
            container_of(pending, struct pending, link)->flags &= (uint8_t)~PENDING_PLACES;
        batch_free(batch);
    }
}
