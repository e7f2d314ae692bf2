/* line.c - lines of flows, made with the first recipient and gone with the last. */
#include "delivery/line/line.h"

#include <stdlib.h>

#include "base/metric.h"
#include "delivery/line/site.h"

struct other_line {
    struct line line;
    struct list_node in_others;
};

static const enum metric gauges[RANK_COUNT] = {
    [RANK_HIGH] = METRIC_WAITING_HIGH,
    [RANK_NORMAL] = METRIC_WAITING_NORMAL,
    [RANK_BULK] = METRIC_WAITING_BULK,
};

static void line_init(struct line *line)
{
    *line = (struct line){0};
    list_init(&line->waiting);
    list_node_init(&line->in_waiting);
}

void lines_init(struct lines *lines)
{
    line_init(&lines->own);
    list_init(&lines->others);
    lines->count = 0;
}

static struct line *other_at(struct list_node *node)
{
    return &container_of(node, struct other_line, in_others)->line;
}

struct line *lines_first(const struct lines *lines)
{
    struct list_node *node = list_first(&lines->others);

    if (lines->own.flow != NULL)
        return (struct line *)&lines->own;
    return node != NULL ? other_at(node) : NULL;
}

/* --- at the site ------------------------------------------------------------------------------ */

static void enter(struct line *line, struct site *site)
{
    turns_add(&site->turns, &site->delivery->turns, &line->turn, line->flow->tenant,
              line_rank(line));
}

static void leave(struct line *line, struct site *site)
{
    turns_remove(&site->turns, &site->delivery->turns, &line->turn, line_rank(line));
}

void lines_enter(struct lines *lines, struct site *site)
{
    if (lines->own.flow != NULL)
        enter(&lines->own, site);
    list_for_each(node, &lines->others)
        enter(other_at(node), site);
    site_count_waiting(site, lines->count);
}

void lines_leave(struct lines *lines, struct site *site)
{
    if (lines->own.flow != NULL)
        leave(&lines->own, site);
    list_for_each(node, &lines->others)
        leave(other_at(node), site);
    site_count_waiting(site, -(int64_t)lines->count);
}

/* --- made and gone ---------------------------------------------------------------------------- */

static struct line *line_make(struct lines *lines, struct delivery *delivery, struct site *site,
                              struct flow *flow)
{
    struct line *line = &lines->own;

    if (line->flow != NULL) {
        struct other_line *other = malloc(sizeof(*other));

        check(other != NULL);
        line = &other->line;
        line_init(line);
        list_node_init(&other->in_others);
        list_push_back(&lines->others, &other->in_others);
    }
    line->flow = flow;
    flow->line = line;
    list_push_back(&delivery->waiting_lines, &line->in_waiting);
    if (site != NULL)
        enter(line, site);
    return line;
}

/* Nothing waits in it any more; the recipient that did is still counted in its flow. */
static void line_end(struct lines *lines, struct delivery *delivery, struct site *site,
                     struct line *line)
{
    struct flow *flow = line->flow;

    if (site != NULL)
        leave(line, site);
    if (delivery->look == &line->waiting.head)
        delivery->look = NULL;
    list_remove(&line->in_waiting);
    flow->line = NULL;
    flow_forget(delivery->flows, &flow);
    if (line == &lines->own) {
        line->flow = NULL;
        return;
    }
    struct other_line *other = container_of(line, struct other_line, line);

    list_remove(&other->in_others);
    free(other);
}

/* --- recipients ------------------------------------------------------------------------------- */

static void count(struct lines *lines, struct delivery *delivery, struct site *site,
                  struct line *line, int change)
{
    metric_add(gauges[line_rank(line)], change);
    line->count += (uint32_t)change;
    lines->count += (uint32_t)change;
    delivery->waiting_count += (size_t)change;
    if (site != NULL)
        site_count_waiting(site, change);
}

void lines_add(struct lines *lines, struct delivery *delivery, struct site *site,
               struct pending *pending, bool in_front)
{
    struct line *line = line_of(pending->flow);

    check(pending->state == PENDING_READY);
    check((pending->flags & PENDING_PLACES) == 0);
    pending->flags |= PENDING_AT_DESTINATION;
    if (line == NULL)
        line = line_make(lines, delivery, site, pending->flow);
    if (in_front)
        list_push_front(&line->waiting, &pending->link);
    else
        list_push_back(&line->waiting, &pending->link);
    count(lines, delivery, site, line, 1);
    if (in_front && site != NULL)
        turns_give_back(&line->turn, line_rank(line), 1);
}

void lines_remove(struct lines *lines, struct delivery *delivery, struct site *site,
                  struct pending *pending)
{
    struct line *line = line_of(pending->flow);

    check((pending->flags & PENDING_AT_DESTINATION) != 0);
    check(line->count > 0);
    pending->flags &= (uint8_t)~PENDING_AT_DESTINATION;
    if (delivery->look == &pending->link)
        delivery->look = pending->link.next;
    list_remove(&pending->link);
    count(lines, delivery, site, line, -1);
    if (line->count == 0)
        line_end(lines, delivery, site, line);
}

void lines_drop(struct lines *lines, struct delivery *delivery, struct site *site)
{
    struct line *line;

    while ((line = lines_first(lines)) != NULL)
        lines_remove(lines, delivery, site, first_pending(&line->waiting));
}
