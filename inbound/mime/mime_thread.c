/*
 * mime_thread.c - the answers of THREAD, and ORDEREDSUBJECT.
 *
 * Containers are what RFC 5256 calls messages and dummies: numbered nodes of a forest, whose
 * children are lists. Walks go by parents and next, so that depth is no recursion.
 */
#include "inbound/mime/mime_thread_private.h"

#include <inttypes.h>
#include <stdlib.h>

void thread_forest_init(struct thread_forest *forest, const struct mime_threaded *messages,
                        size_t capacity)
{
    *forest = (struct thread_forest){.messages = messages, .capacity = capacity + 1};
    forest->nodes = calloc(forest->capacity, sizeof(*forest->nodes));
    check(forest->nodes != NULL);
    forest->count = 1; /* the root set's */
}

void thread_forest_free(struct thread_forest *forest)
{
    free(forest->nodes);
    *forest = (struct thread_forest){0};
}

uint32_t thread_add(struct thread_forest *forest, uint32_t message)
{
    check(forest->count < forest->capacity);
    forest->nodes[forest->count].message = message;
    return forest->count++;
}

void thread_append(struct thread_forest *forest, uint32_t parent, uint32_t child)
{
    struct thread_node *nodes = forest->nodes;

    nodes[child].parent = parent;
    nodes[child].next = 0;
    if (nodes[parent].first == 0)
        nodes[parent].first = child;
    else
        nodes[nodes[parent].last].next = child;
    nodes[parent].last = child;
}

uint32_t thread_shown(const struct thread_forest *forest, uint32_t node)
{
    const struct thread_node *nodes = forest->nodes;

    /* A dummy stands for its first child (section 3); below the root set there are none. */
    while (nodes[node].message == 0 && nodes[node].first != 0)
        node = nodes[node].first;
    return nodes[node].message;
}

/* --- order ------------------------------------------------------------------------------------ */

struct sorted {
    int64_t sent_s;
    uint32_t message, node;
};

static int compare(const void *left, const void *right)
{
    const struct sorted *a = left, *b = right;

    if (a->sent_s != b->sent_s)
        return a->sent_s < b->sent_s ? -1 : 1;
    return a->message < b->message ? -1 : a->message > b->message;
}

void thread_sort(struct thread_forest *forest, uint32_t parent)
{
    struct thread_node *nodes = forest->nodes;
    size_t count = 0;

    if (nodes[parent].first == nodes[parent].last)
        return;
    for (uint32_t child = nodes[parent].first; child != 0; child = nodes[child].next)
        count++;
    struct sorted *list = calloc(count, sizeof(*list));

    check(list != NULL);
    count = 0;
    for (uint32_t child = nodes[parent].first; child != 0; child = nodes[child].next) {
        uint32_t message = thread_shown(forest, child);

        list[count++] = (struct sorted){forest->messages[message - 1].sent_s, message, child};
    }
    qsort(list, count, sizeof(*list), compare);
    nodes[parent].first = nodes[parent].last = 0;
    for (size_t i = 0; i < count; i++)
        thread_append(forest, parent, list[i].node);
    free(list);
}

/* --- text ------------------------------------------------------------------------------------- */

/* What comes before a node: nothing, a space, or the parenthesis of a list of its own. */
static bool write_before(const struct thread_forest *forest, uint32_t node, struct buf *out)
{
    const struct thread_node *nodes = forest->nodes;
    uint32_t parent = nodes[node].parent;

    if (parent == 0)
        return buf_append_byte(out, '(');
    bool is_first = nodes[parent].first == node;

    if (nodes[parent].first != nodes[parent].last) /* one of several */
        return buf_append(out, is_first && nodes[parent].message != 0 ? BYTES(" (") : BYTES("("));
    return nodes[parent].message == 0 || buf_append_byte(out, ' ');
}

static bool has_parentheses(const struct thread_forest *forest, uint32_t node)
{
    uint32_t parent = forest->nodes[node].parent;

    return parent == 0 || forest->nodes[parent].first != forest->nodes[parent].last;
}

bool thread_write(const struct thread_forest *forest, struct buf *out)
{
    const struct thread_node *nodes = forest->nodes;
    uint32_t node = nodes[0].first;

    while (node != 0) {
        if (!write_before(forest, node, out) ||
            (nodes[node].message != 0 &&
             !buf_printf(out, "%" PRIu32, forest->messages[nodes[node].message - 1].id)))
            return false;
        if (nodes[node].first != 0) {
            node = nodes[node].first;
            continue;
        }
        for (;;) { /* what ends here */
            if (has_parentheses(forest, node) && !buf_append_byte(out, ')'))
                return false;
            if (nodes[node].next != 0 || nodes[node].parent == 0)
                break;
            node = nodes[node].parent;
        }
        node = nodes[node].next;
    }
    return true;
}

/* --- ORDEREDSUBJECT --------------------------------------------------------------------------- */

struct by_subject {
    const struct mime_threaded *message;
    uint32_t number;
};

static int compare_subjects(const void *left, const void *right)
{
    const struct by_subject *a = left, *b = right;
    int order = bytes_compare(a->message->subject, b->message->subject);

    if (order != 0)
        return order;
    if (a->message->sent_s != b->message->sent_s)
        return a->message->sent_s < b->message->sent_s ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

bool mime_thread_ordered_subject(const struct mime_threaded *messages, size_t count,
                                 struct buf *out)
{
    struct by_subject *list = calloc(count + 1, sizeof(*list));
    struct thread_forest forest;
    uint32_t root = 0;
    bool fits;

    check(list != NULL && count < UINT32_MAX / 2);
    for (size_t i = 0; i < count; i++)
        list[i] = (struct by_subject){&messages[i], (uint32_t)i + 1};
    qsort(list, count, sizeof(*list), compare_subjects);
    thread_forest_init(&forest, messages, count);
    for (size_t i = 0; i < count; i++) {
        uint32_t node = thread_add(&forest, list[i].number);
        bool goes_on = i > 0 && bytes_equal(list[i].message->subject, list[i - 1].message->subject);

        thread_append(&forest, goes_on ? root : 0, node);
        if (!goes_on)
            root = node;
    }
    thread_sort(&forest, 0);
    fits = thread_write(&forest, out);
    thread_forest_free(&forest);
    free(list);
    return fits;
}
