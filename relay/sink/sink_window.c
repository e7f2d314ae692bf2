/* sink_window.c - a ring of tickets. */
#include "sink/sink_window.h"

#include <stdlib.h>

void window_init(struct sink_window *window, size_t capacity)
{
    *window = (struct sink_window){.capacity = capacity};
    window->entries = calloc(capacity, sizeof(*window->entries));
    check(window->entries != NULL);
}

void window_free(struct sink_window *window)
{
    free(window->entries);
    window->entries = NULL;
}

static struct window_entry *entry_of(const struct sink_window *window, uint64_t ticket)
{
    return &window->entries[ticket % window->capacity];
}

bool window_is_full(const struct sink_window *window)
{
    return window->next - window->first == window->capacity;
}

bool window_is_empty(const struct sink_window *window)
{
    return window->next == window->first;
}

uint64_t window_add(struct sink_window *window, const struct window_entry *entry)
{
    check(!window_is_full(window));
    *entry_of(window, window->next) = *entry;
    window->bytes += entry->len;
    return window->next++;
}

bool window_add_unwanted(struct sink_window *window, const struct window_entry *entry)
{
    struct window_entry *last = window_is_empty(window) ? NULL : entry_of(window, window->next - 1);

    if (last != NULL && last->is_unwanted) {
        last->end = entry->end;
        last->time_ms = entry->time_ms;
        return true;
    }
    if (window_is_full(window))
        return false;
    struct window_entry *added = entry_of(window, window_add(window, entry));
    added->is_answered = added->is_unwanted = true;
    return true;
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

const struct window_entry *window_pass(struct sink_window *window)
{
    const struct window_entry *last = NULL;

    while (!window_is_empty(window) && entry_of(window, window->first)->is_answered) {
        last = entry_of(window, window->first);
        window->bytes -= last->len;
        window->told += !last->is_unwanted;
        window->gaps += last->is_gap;
        window->first++;
    }
    return last;
}

const struct window_entry *window_oldest(const struct sink_window *window)
{
    return window_is_empty(window) ? NULL : entry_of(window, window->first);
}

void window_clear(struct sink_window *window)
{
    window->first = window->next; /* old tickets stay unknown */
    window->bytes = 0;
}
