/* message.c - messages by reference count. */
#include "queue/message.h"

#include <stdlib.h>

#include "queue/segment.h"

/* Room for the largest envelope (MESSAGE_RECIPIENTS_MAX with long addresses) and content in
 * memory; what a session may really take is its service's limit. */
enum { MESSAGE_ARENA_MAX = 256 * 1024 * 1024 };

const char *mail_class_name(enum mail_class class)
{
    static const char *const names[] = {
        [MAIL_NORMAL] = "normal", [MAIL_HIGH] = "high", [MAIL_BULK] = "bulk"};

    check((unsigned)class < ARRAY_LEN(names));
    return names[class];
}

uint32_t content_first_segment(const struct content *content)
{
    check(content->extent_count > 0);
    uint32_t first = content->extents[0].segment;

    for (size_t i = 1; i < content->extent_count; i++)
        first = MIN(first, content->extents[i].segment);
    return first;
}

struct message *message_create(void)
{
    struct message *message = calloc(1, sizeof(*message));

    if (message == NULL)
        return NULL;
    message->references = 1;
    list_node_init(&message->arriving);
    arena_init(&message->arena, MESSAGE_ARENA_MAX);
    return message;
}

struct message *message_keep(struct message *message)
{
    check(message->references > 0);
    message->references++;
    return message;
}

size_t message_memory(const struct message *message)
{
    return sizeof(*message) + message->arena.held + message->read_buffer_size;
}

void message_release(struct message **message)
{
    struct message *released = *message;

    *message = NULL;
    if (released == NULL)
        return;
    check(released->references > 0);
    if (--released->references > 0)
        return;
    list_remove(&released->arriving);
    if (released->pinned != NULL)
        segment_unpin(released->pinned);
    arena_free(&released->arena);
    free(released->read_buffer);
    free(released);
}
