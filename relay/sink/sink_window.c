/* sink_window.c - a ring of tickets. */
#include "sink/sink_window.h"

#include <stdlib.h>

enum { CAPACITY_MIN = 16, CAPACITY_KEPT = 64 };

void window_init(struct sink_window *window, size_t max)
{
    *window = (struct sink_window){.max = max};
}

void window_free(struct sink_window *window)
{
    free(window->entries);
    window->entries = NULL;
    window->capacity = 0;
}

static struct window_entry *entry_of(const struct sink_window *window, uint64_t ticket)
{
    return &window->entries[ticket % window->capacity];
}

bool window_is_full(const struct sink_window *window)
{
    return window->next - window->first == window->max;
}

bool window_is_empty(const struct sink_window *window)
{
    return window->next == window->first;
}

/* Tickets keep their meaning: each entry moves to where its ticket is in the larger ring. */
static void grow(struct sink_window *window)
{
    struct sink_window larger = *window;

    larger.capacity = MIN(MAX(2 * window->capacity, (size_t)CAPACITY_MIN), window->max);
    larger.entries = calloc(larger.capacity, sizeof(*larger.entries));
    check(larger.entries != NULL);
    for (uint64_t ticket = window->first; ticket < window->next; ticket++)
        *entry_of(&larger, ticket) = *entry_of(window, ticket);
    free(window->entries);
    *window = larger;
}

static void shrink(struct sink_window *window)
{
    if (window_is_empty(window) && window->capacity > CAPACITY_KEPT)
        window_free(window);
}

uint64_t window_add(struct sink_window *window, const struct window_entry *entry)
{
    check(!window_is_full(window));
    if (window->next - window->first == window->capacity)
        grow(window);
    *entry_of(window, window->next) = *entry;
    window->bytes += entry->len;
    return window->next++;
}

void window_take_back(struct sink_window *window)
{
    check(!window_is_empty(window));
    window->next--;
    window->bytes -= entry_of(window, window->next)->len;
}

bool window_answer(struct sink_window *window, uint64_t ticket)
{
    if (ticket < window->first || ticket >= window->next)
        return false;
    struct window_entry *entry = entry_of(window, ticket);
    bool is_first = !entry->is_answered;
    entry->is_answered = true;
    return is_first;
}

size_t window_pass(struct sink_window *window, int64_t *time_ms_out)
{
    size_t passed = 0;

    while (!window_is_empty(window) && entry_of(window, window->first)->is_answered) {
        const struct window_entry *first = entry_of(window, window->first);

        if (first->time_ms != 0)
            *time_ms_out = first->time_ms;
        window->bytes -= first->len;
        window->gaps += first->is_gap;
        window->first++;
        passed++;
    }
    window->told += passed;
    shrink(window);
    return passed;
}

const struct window_entry *window_oldest(const struct sink_window *window)
{
    return window_is_empty(window) ? NULL : entry_of(window, window->first);
}

void window_clear(struct sink_window *window)
{
    window->first = window->next; /* old tickets stay unknown */
    window->bytes = 0;
    shrink(window);
}
