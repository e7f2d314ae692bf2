/* modules: mailbox */
/*
 * fuzz_mailbox_index.c - any bytes as a mailbox's index. The first byte chooses whether they are a
 * file, or the entries of a snapshot and of a frame behind it whose checksums hold. What is read
 * can be written, and reads back as the same.
 */
#include "inbound/mailbox/index_state.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static void put_frame(struct buf *file, struct bytes entries, uint64_t number, uint8_t chosen)
{
    struct index_frame frame = {
        .number = number,
        .modseq = 100 + number,
        .ceiling = 100 + number + chosen / 16,
        .uidnext = 1U << chosen % 32,
        .is_snapshot = number == 1,
    };
    size_t place = index_frame_begin(file);

    check(buf_append(file, entries));
    index_frame_end(file, place, &frame);
}

static void check_counts(const struct message_table *table)
{
    uint32_t exists = 0, unseen = 0, last = 0;

    for (size_t i = 0; i < table->count; i++) {
        char name[MAIL_NAME_MAX + 1];

        check(table->of[i].uid > last);
        last = table->of[i].uid;
        if ((table->of[i].bits & MESSAGE_IS_GONE) != 0)
            continue;
        exists++;
        unseen += (table->of[i].flags & MAIL_SEEN) == 0;
        messages_file(table, &table->of[i], name);
        check(strchr(name, '/') == NULL && name[0] != '.');
    }
    check(exists == table->exists && unseen == table->unseen);
}

static void check_same(const struct index_state *a, const struct index_state *b)
{
    check(a->uidvalidity == b->uidvalidity && a->uidnext == b->uidnext);
    check(memcmp(a->id, b->id, sizeof(a->id)) == 0);
    check(a->table.exists == b->table.exists && a->table.size == b->table.size);
    check(a->keywords.count == b->keywords.count);
    check(memcmp(a->keywords.of_letter, b->keywords.of_letter, sizeof(a->keywords.of_letter)) == 0);
    check(a->vanished_count == b->vanished_count && a->vanished_floor == b->vanished_floor);
    for (size_t i = 0; i < a->table.count; i++) {
        const struct message *message = &a->table.of[i];

        if ((message->bits & MESSAGE_IS_GONE) != 0)
            continue;
        const struct message *other = messages_find(&b->table, message->uid);

        check(other != NULL && other->flags == message->flags);
        check(bytes_equal(messages_base(&a->table, message), messages_base(&b->table, other)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    const struct index_header header = {.uidvalidity = 7, .snapshot = 1};
    struct index_state state = {0}, again = {0};
    uint8_t head[INDEX_HEADER];
    struct buf file;

    if (len < 3)
        return 0;
    struct bytes rest = {input + 3, len - 3};

    buf_init(&file, SIZE_MAX / 2);
    if (input[0] % 2 == 1) {
        size_t half = MIN(rest.len, (size_t)input[1] * rest.len / 255);

        index_header_format(&header, head);
        check(buf_append(&file, bytes_range(head, sizeof(head))));
        put_frame(&file, bytes_slice(rest, 0, half), 1, input[2]);
        put_frame(&file, bytes_slice(rest, half, rest.len), 2, input[2]);
    } else {
        check(buf_append(&file, rest));
    }
    enum index_read read = index_state_read(&state, buf_bytes(&file));

    if (read != INDEX_LOST) {
        check(state.uidnext > 0 && state.ceiling >= state.modseq);
        check_counts(&state.table);
        buf_clear(&file);
        state.is_closed = true;
        index_state_write(&state, &file);
        check(index_state_read(&again, buf_bytes(&file)) == INDEX_WHOLE);
        check_same(&state, &again);
        check(state.modseq == again.modseq);
    }
    index_state_clear(&state);
    index_state_clear(&again);
    buf_free(&file);
    return 0;
}
