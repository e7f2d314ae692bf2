/*
 * mime_thread_references.c - THREAD=REFERENCES (RFC 5256 section 3), step by step.
 *
 * Parents are set first, without lists of children. Whether a parent would be its child's
 * descendant is known at once where the two were never joined (a union-find over all that were);
 * else the ancestors are walked, so many at most: a client's references may not cost the square.
 */
#include "inbound/mime/mime_thread_private.h"

#include "base/map.h"

#include <stdlib.h>

enum { WALK_MAX = 10000 };

struct container {
    struct map_node node;
    uint32_t parent; /* from 1; 0: none */
    uint32_t joined; /* of the union-find */
    uint32_t message;
};

struct threading {
    const struct mime_threaded *messages;
    size_t message_count;
    struct container *containers; /* from 1 */
    uint32_t count;
    struct map ids;
};

static uint32_t add_container(struct threading *t)
{
    t->count++;
    t->containers[t->count].joined = t->count;
    return t->count;
}

static uint32_t find_container(struct threading *t, struct bytes id)
{
    struct map_node *node = map_find(&t->ids, id);

    if (node != NULL)
        return (uint32_t)((struct container *)node - t->containers);
    uint32_t added = add_container(t);

    map_insert(&t->ids, &t->containers[added].node, id);
    return added;
}

/* --- step 1: parents -------------------------------------------------------------------------- */

static uint32_t joined_with(struct threading *t, uint32_t container)
{
    struct container *all = t->containers;

    while (all[container].joined != container) {
        all[container].joined = all[all[container].joined].joined;
        container = all[container].joined;
    }
    return container;
}

static bool is_descendant(struct threading *t, uint32_t container, uint32_t ancestor)
{
    if (joined_with(t, container) != joined_with(t, ancestor))
        return false;
    for (size_t i = 0; i < WALK_MAX && container != 0; i++) {
        if (container == ancestor)
            return true;
        container = t->containers[container].parent;
    }
    return container != 0; /* too far to tell: left alone */
}

static void set_parent(struct threading *t, uint32_t child, uint32_t parent)
{
    if (t->containers[child].parent == parent || is_descendant(t, parent, child))
        return;
    t->containers[child].parent = parent;
    t->containers[joined_with(t, child)].joined = joined_with(t, parent);
}

static struct bytes reference(const struct mime_threaded *message, size_t i)
{
    size_t skipped = message->reference_count > MIME_REFERENCES_MAX
                         ? message->reference_count - MIME_REFERENCES_MAX
                         : 0;

    return message->references[skipped + i];
}

static void link_message(struct threading *t, uint32_t number)
{
    const struct mime_threaded *message = &t->messages[number - 1];
    size_t count = MIN(message->reference_count, (size_t)MIME_REFERENCES_MAX);
    uint32_t own = 0, last = 0;

    if (message->message_id.len > 0)
        own = find_container(t, message->message_id);
    /* None, or one that another message has: it is taken for unique. */
    if (own == 0 || t->containers[own].message != 0)
        own = add_container(t);
    t->containers[own].message = number;
    for (size_t i = 0; i < count; i++) {
        uint32_t container = find_container(t, reference(message, i));

        if (last != 0 && t->containers[container].parent == 0)
            set_parent(t, container, last);
        last = container;
    }
    if (last != 0)
        set_parent(t, own, last);
}

/* --- steps 2 and 3: a forest without needless dummies ----------------------------------------- */

static struct thread_forest make_forest(struct threading *t)
{
    struct thread_forest forest;

    /* Dummies of step 5 come to it: no more than there are roots. */
    thread_forest_init(&forest, t->messages, (size_t)t->count * 2 + 1);
    for (uint32_t i = 1; i <= t->count; i++)
        check(thread_add(&forest, t->containers[i].message) == i);
    for (uint32_t i = 1; i <= t->count; i++)
        thread_append(&forest, t->containers[i].parent, i);
    return forest;
}

/* Every node behind its parent. */
static uint32_t *order_of(const struct thread_forest *forest, size_t *count_out)
{
    uint32_t *order = calloc(forest->count, sizeof(*order));
    size_t count = 0;

    check(order != NULL);
    for (uint32_t node = forest->nodes[0].first; node != 0; node = forest->nodes[node].next)
        order[count++] = node;
    for (size_t i = 0; i < count; i++)
        for (uint32_t child = forest->nodes[order[i]].first; child != 0;
             child = forest->nodes[child].next)
            order[count++] = child;
    *count_out = count;
    return order;
}

/* The children of a node, without dummies: those without children go, of others the children take
 * their place, but in the root set only if it is one child. */
static void prune_children(struct thread_forest *forest, uint32_t parent)
{
    struct thread_node *nodes = forest->nodes;
    uint32_t child = nodes[parent].first;

    nodes[parent].first = nodes[parent].last = 0;
    while (child != 0) {
        uint32_t next = nodes[child].next, inner = nodes[child].first;
        bool stays =
            nodes[child].message != 0 || (parent == 0 && inner != 0 && inner != nodes[child].last);

        if (stays)
            thread_append(forest, parent, child);
        while (!stays && inner != 0) {
            uint32_t next_inner = nodes[inner].next;

            thread_append(forest, parent, inner);
            inner = next_inner;
        }
        child = next;
    }
}

/* Calls `work` for every node, children first, and for the root set. */
static void from_leaves(struct thread_forest *forest,
                        void (*work)(struct thread_forest *forest, uint32_t node))
{
    size_t count;
    uint32_t *order = order_of(forest, &count);

    while (count > 0)
        work(forest, order[--count]);
    work(forest, 0);
    free(order);
}

/* --- step 5: threads of the same subject ------------------------------------------------------ */

struct subject {
    struct map_node node;
    uint32_t thread;
};

struct gathering {
    struct thread_forest *forest;
    struct subject *subjects;
    size_t subject_count;
    struct map by_subject;
};

static const struct mime_threaded *shown(struct thread_forest *forest, uint32_t node)
{
    return &forest->messages[thread_shown(forest, node) - 1];
}

static bool is_dummy(const struct thread_forest *forest, uint32_t node)
{
    return forest->nodes[node].message == 0;
}

static void note_subject(struct gathering *g, uint32_t thread)
{
    struct bytes text = shown(g->forest, thread)->subject;
    struct map_node *node = text.len == 0 ? NULL : map_find(&g->by_subject, text);
    struct subject *subject = (struct subject *)node;

    if (text.len == 0)
        return;
    if (subject == NULL) {
        subject = &g->subjects[g->subject_count++];
        subject->thread = thread;
        map_insert(&g->by_subject, &subject->node, text);
        return;
    }
    bool is_better = !is_dummy(g->forest, subject->thread) &&
                     (is_dummy(g->forest, thread) || (shown(g->forest, subject->thread)->is_reply &&
                                                      !shown(g->forest, thread)->is_reply));

    if (is_better)
        subject->thread = thread;
}

static void append_children(struct thread_forest *forest, uint32_t parent, uint32_t from)
{
    uint32_t child = forest->nodes[from].first;

    while (child != 0) {
        uint32_t next = forest->nodes[child].next;

        thread_append(forest, parent, child);
        child = next;
    }
}

/* Where a thread of the root set goes that is not the one its subject has. */
static void merge_thread(struct thread_forest *forest, struct subject *subject, uint32_t thread)
{
    uint32_t other = subject->thread;

    if (is_dummy(forest, other) && is_dummy(forest, thread)) {
        append_children(forest, other, thread);
    } else if (is_dummy(forest, other) ||
               (shown(forest, thread)->is_reply && !shown(forest, other)->is_reply)) {
        thread_append(forest, other, thread);
    } else {
        /* Neither answers the other: the two are brothers. */
        uint32_t copy = thread_add(forest, forest->nodes[other].message);

        forest->nodes[other].message = 0;
        append_children(forest, copy, other);
        forest->nodes[other].first = forest->nodes[other].last = 0;
        thread_append(forest, other, copy);
        thread_append(forest, other, thread);
    }
}

static void gather_subjects(struct thread_forest *forest)
{
    struct gathering g = {.forest = forest};
    uint32_t thread = forest->nodes[0].first;

    g.subjects = calloc(forest->count, sizeof(*g.subjects));
    check(g.subjects != NULL);
    map_init(&g.by_subject);
    for (uint32_t node = thread; node != 0; node = forest->nodes[node].next)
        note_subject(&g, node);
    forest->nodes[0].first = forest->nodes[0].last = 0;
    while (thread != 0) {
        uint32_t next = forest->nodes[thread].next;
        struct bytes text = shown(forest, thread)->subject;
        struct subject *subject =
            text.len == 0 ? NULL : (struct subject *)map_find(&g.by_subject, text);

        if (subject == NULL || subject->thread == thread)
            thread_append(forest, 0, thread);
        else
            merge_thread(forest, subject, thread);
        thread = next;
    }
    map_free(&g.by_subject);
    free(g.subjects);
}

bool mime_thread_references(const struct mime_threaded *messages, size_t count, struct buf *out)
{
    struct threading t = {.messages = messages, .message_count = count};
    size_t most = 1;
    bool fits;

    for (size_t i = 0; i < count; i++)
        most += 2 + MIN(messages[i].reference_count, (size_t)MIME_REFERENCES_MAX);
    check(most < UINT32_MAX / 2);
    t.containers = calloc(most, sizeof(*t.containers));
    check(t.containers != NULL);
    map_init(&t.ids);
    for (size_t i = 0; i < count; i++)
        link_message(&t, (uint32_t)i + 1);
    struct thread_forest forest = make_forest(&t);

    from_leaves(&forest, prune_children);
    /* By dates before step 5, for dummies are dated by their first child, and again behind it. */
    from_leaves(&forest, thread_sort);
    gather_subjects(&forest);
    from_leaves(&forest, thread_sort);
    fits = thread_write(&forest, out);
    thread_forest_free(&forest);
    map_free(&t.ids);
    free(t.containers);
    return fits;
}
