/*
 * line.h - the lines of a destination: one for each of its flows of which something waits.
 *
 * A line is in its site's turns while there is a site, and among delivery's waiting lines, where
 * what becomes too old is found. The first line of a destination stands in the destination, so a
 * domain with mail of one flow costs no more than a list; another's is freed when it is empty. A
 * flow knows its line.
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/line/turns.h"
#include "queue/flow.h"

struct delivery;
struct site;

struct line {
    struct list waiting;         /* pendings */
    struct list_node in_waiting; /* of delivery */
    struct turn turn;            /* at the site */
    struct flow *flow;           /* NULL: nothing waits; only a destination's own can be so */
    uint32_t count;
};

/* Of one destination. */
struct lines {
    struct line own;
    struct list others;
    uint32_t count; /* recipients in all of them */
};

static inline struct line *line_of(const struct flow *flow)
{
    return flow->line;
}

static inline enum rank line_rank(const struct line *line)
{
    return rank_of((enum mail_class)line->flow->class);
}

void lines_init(struct lines *lines);
/* One in which something waits; NULL: there is none. */
struct line *lines_first(const struct lines *lines);

/* At the end or in front of its flow's line, which is made if it has none and then comes last of
 * its tenant and class at `site`; NULL: there is none yet. In front comes what was taken before and
 * not sent: its tenant is not charged for it. */
void lines_add(struct lines *lines, struct delivery *delivery, struct site *site,
               struct pending *pending, bool in_front);
/* Out of its line, which may be gone then. */
void lines_remove(struct lines *lines, struct delivery *delivery, struct site *site,
                  struct pending *pending);
/* Nobody takes what waits any more: it is out of line, and its bits are cleared. */
void lines_drop(struct lines *lines, struct delivery *delivery, struct site *site);

/* All of them, with what waits in them. */
void lines_enter(struct lines *lines, struct site *site);
void lines_leave(struct lines *lines, struct site *site);
