/* message_table.c - messages by UID and by name. */
#include "inbound/mailbox/message_table.h"

#include <stdlib.h>
#include <string.h>

enum { NAMES_FIRST = 1 /* a name's place is never 0 */, BY_NAME_MIN = 64 };

void messages_clear(struct message_table *table)
{
    free(table->of);
    free(table->names);
    free(table->by_name);
    *table = (struct message_table){0};
}

static uint64_t counted_size(const struct message *message)
{
    return message->file_size + (message->lines_lf == LINES_UNKNOWN ? 0 : message->lines_lf);
}

/* `sign` 1: it came, -1: it went. */
static void count(struct message_table *table, const struct message *message, int sign)
{
    bool is_deleted = (message->flags & MAIL_DELETED) != 0;
    uint64_t size = (uint64_t)sign * counted_size(message);

    table->exists += (uint32_t)sign;
    table->unseen += (message->flags & MAIL_SEEN) == 0 ? (uint32_t)sign : 0;
    table->deleted += is_deleted ? (uint32_t)sign : 0;
    table->size += size;
    table->deleted_size += is_deleted ? size : 0;
}

/* --- names ------------------------------------------------------------------------------------ */

static uint32_t put_name(struct message_table *table, struct bytes base)
{
    size_t needed = 1 + base.len;

    check(base.len <= MAIL_NAME_MAX);
    if (table->names_len == 0)
        table->names_len = NAMES_FIRST;
    if (table->names_len + needed > table->names_capacity) {
        table->names_capacity = MAX(table->names_capacity * 3 / 2, table->names_len + needed + 256);
        table->names = realloc(table->names, table->names_capacity);
        check(table->names != NULL);
    }
    check(table->names_len + needed < UINT32_MAX);
    uint32_t place = (uint32_t)table->names_len;

    table->names[place] = (char)base.len;
    memcpy(table->names + place + 1, base.ptr, base.len);
    table->names_len += needed;
    return place;
}

struct bytes messages_base(const struct message_table *table, const struct message *message)
{
    const char *at = table->names + message->name;

    return bytes_range(at + 1, (uint8_t)*at);
}

void messages_file(const struct message_table *table, const struct message *message,
                   char out[static MAIL_NAME_MAX + 1])
{
    check(file_name_format(messages_base(table, message), message->letters,
                           (message->bits & MESSAGE_IN_NEW) != 0, out));
}

/* --- by UID ----------------------------------------------------------------------------------- */

size_t messages_place(const struct message_table *table, uint32_t uid)
{
    size_t count = table->count;

    if (count == 0 || uid <= table->of[0].uid)
        return 0;
    uint32_t first = table->of[0].uid, last = table->of[count - 1].uid;

    if (uid > last)
        return count;
    /* UIDs ascend, so it lies between these; where none is missing they are one. */
    size_t low = count - 1 - MIN(count - 1, (size_t)(last - uid));
    size_t high = MIN(count, (size_t)(uid - first));

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (table->of[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct message *messages_find(const struct message_table *table, uint32_t uid)
{
    size_t place = messages_place(table, uid);

    if (place == table->count || table->of[place].uid != uid ||
        (table->of[place].bits & MESSAGE_IS_GONE) != 0)
        return NULL;
    return &table->of[place];
}

/* --- by name ---------------------------------------------------------------------------------- */

static void insert_name(struct message_table *table, uint32_t uid, struct bytes base)
{
    size_t at = (size_t)bytes_hash(base) & (table->by_name_capacity - 1);

    while (table->by_name[at] != 0)
        at = (at + 1) & (table->by_name_capacity - 1);
    table->by_name[at] = uid;
    table->by_name_count++;
}

static void make_by_name(struct message_table *table)
{
    free(table->by_name);
    table->by_name_count = 0;
    table->by_name_capacity = BY_NAME_MIN;
    while (table->by_name_capacity < 2 * ((size_t)table->exists + BY_NAME_MIN / 2))
        table->by_name_capacity *= 2;
    table->by_name = calloc(table->by_name_capacity, sizeof(*table->by_name));
    check(table->by_name != NULL);
    for (size_t i = 0; i < table->count; i++)
        if ((table->of[i].bits & MESSAGE_IS_GONE) == 0)
            insert_name(table, table->of[i].uid, messages_base(table, &table->of[i]));
}

struct message *messages_find_name(struct message_table *table, struct bytes base)
{
    if (table->by_name == NULL)
        make_by_name(table);
    size_t at = (size_t)bytes_hash(base) & (table->by_name_capacity - 1);

    for (; table->by_name[at] != 0; at = (at + 1) & (table->by_name_capacity - 1)) {
        struct message *message = messages_find(table, table->by_name[at]);

        if (message != NULL && bytes_equal(messages_base(table, message), base))
            return message;
    }
    return NULL;
}

/* --- changes ---------------------------------------------------------------------------------- */

void messages_reserve(struct message_table *table, size_t count, size_t names)
{
    check(table->of == NULL && table->names == NULL);
    if (count == 0)
        return;
    table->capacity = count;
    table->of = malloc(count * sizeof(*table->of));
    table->names_capacity = NAMES_FIRST + names + count; /* each with its length */
    table->names = malloc(table->names_capacity);
    check(table->of != NULL && table->names != NULL);
}

struct message *messages_add(struct message_table *table, const struct message *from,
                             struct bytes base)
{
    check(table->count == 0 || table->of[table->count - 1].uid < from->uid);
    if (table->count == table->capacity) {
        table->capacity = MAX(table->capacity * 3 / 2, (size_t)16);
        table->of = realloc(table->of, table->capacity * sizeof(*table->of));
        check(table->of != NULL);
    }
    struct message *message = &table->of[table->count++];

    *message = *from;
    message->name = put_name(table, base);
    count(table, message, 1);
    if (table->by_name == NULL)
        return message;
    if (2 * (table->by_name_count + 1) > table->by_name_capacity)
        make_by_name(table);
    else
        insert_name(table, message->uid, messages_base(table, message));
    return message;
}

void messages_set_flags(struct message_table *table, struct message *message, uint64_t flags)
{
    count(table, message, -1);
    message->flags = flags;
    count(table, message, 1);
}

void messages_set_lines(struct message_table *table, struct message *message, uint32_t lines_lf)
{
    count(table, message, -1);
    message->lines_lf = lines_lf;
    count(table, message, 1);
}

void messages_remove(struct message_table *table, struct message *message)
{
    check((message->bits & MESSAGE_IS_GONE) == 0);
    count(table, message, -1);
    table->names_dead += 1 + messages_base(table, message).len;
    message->bits |= MESSAGE_IS_GONE;
    table->gone_count++;
}

void messages_tidy(struct message_table *table)
{
    enum { FEW = 1024 };
    size_t kept = 0;

    if (table->gone_count < FEW || table->gone_count < table->count / 4)
        return;
    for (size_t i = 0; i < table->count; i++)
        if ((table->of[i].bits & MESSAGE_IS_GONE) == 0)
            table->of[kept++] = table->of[i];
    table->count = kept;
    table->gone_count = 0;
    if (table->names_dead < table->names_len / 2)
        return;
    struct message_table before = *table;

    table->names = NULL;
    table->names_len = table->names_capacity = table->names_dead = 0;
    for (size_t i = 0; i < kept; i++) {
        struct message *message = &table->of[i];

        message->name = put_name(table, messages_base(&before, message));
    }
    free(before.names);
}
