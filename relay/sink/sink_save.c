/* sink_save.c - which cursors are saved, and when: many at once, and those that moved alone. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sink/sink_private.h"

enum {
    SAVE_EVERY_MS = 1000,
    SAVE_PASSED_MS = 300000, /* of one that only passed what it does not want */
    GROUP_MAX = 256,         /* cursors a second, but for those that cannot wait */
};

/* --- groups ----------------------------------------------------------------------------------- */

static void was_saved(struct sink *sink, int error, int64_t now_ms)
{
    sink->saved_ms = now_ms;
    sink->save_error = error;
    if (error == 0) {
        sink->is_cursor_saved = true;
        sink->saved = sink->cursor.at;
        sink->saved_go = sink->cursor.go;
    } else {
        sink_save_soon(sink);
        log_limited(LOG_LEVEL_WARN,
                    "sink=%s error=\"%s\" what=\"its cursor cannot be written: what it was told "
                    "meanwhile would be told again after a restart\"",
                    LOG_STRING(sink->name), strerror(-error));
    }
    if (!list_is_linked(&sink->shown))
        list_push_back(&sink->host->shown, &sink->shown);
}

static size_t take_group(struct list *list, size_t max, struct sink **sinks,
                         struct sink_cursor_write *writes)
{
    struct list_node *node;
    size_t count = 0;

    while (count < max && (node = list_pop_front(list)) != NULL) {
        struct sink *sink = SINK_OF(node, unsaved);

        sink_pass_answered(sink);
        list_remove(&sink->unsaved); /* passing may ask for it once more */
        writes[count] = (struct sink_cursor_write){.name = sink->name, .cursor = &sink->cursor};
        sinks[count++] = sink;
    }
    return count;
}

/* The first of the list, all together. */
static void save_group(struct sink_host *host, struct list *list, size_t max, int64_t now_ms)
{
    size_t count = 0;

    list_for_each(node, list)
        count++;
    if (count == 0)
        return;
    struct sink_cursor_write *writes = calloc(count, sizeof(*writes));
    struct sink **sinks = calloc(count, sizeof(struct sink *));
    check(writes != NULL && sinks != NULL);
    count = take_group(list, MIN(max, count), sinks, writes);
    sink_cursors_write(host->directory_fd, writes, count);
    for (size_t i = 0; i < count; i++)
        was_saved(sinks[i], writes[i].error, now_ms);
    free(writes);
    free(sinks);
}

/* Who passes nothing but what it does not want holds files back by the cursor that is on disk: that
 * follows from file to file, and else seldom. */
static void look_for_passed(struct sink_host *host, int64_t now_ms)
{
    list_for_each(node, &host->sinks) {
        struct sink *sink = SINK_OF(node, node);
        struct event_place at = sink_told_place(sink);

        if (!sink->is_cursor_saved || !window_is_empty(&sink->window) ||
            event_place_compare(sink->saved, at) == 0)
            continue;
        if (sink->saved.number != at.number || now_ms - sink->saved_ms >= SAVE_PASSED_MS)
            sink_save_soon(sink);
    }
}

void sink_save_due(struct sink_host *host, int64_t now_ms)
{
    save_group(host, &host->urgent, SIZE_MAX, now_ms);
    if (now_ms < host->save_ms)
        return;
    host->save_ms = now_ms + SAVE_EVERY_MS;
    look_for_passed(host, now_ms);
    save_group(host, &host->unsaved, GROUP_MAX, now_ms);
}

int64_t sink_save_due_ms(const struct sink_host *host)
{
    return list_is_empty(&host->unsaved) ? INT64_MAX : host->save_ms;
}
