/* test_index_state.c - what is believed of an index: to its last good frame, and above it. */
#include "inbound/mailbox/index_state.h"

#include <stdio.h>
#include <string.h>

#include "support/unit.h"

enum { CEILING = 5000 };

static void add(struct index_state *state, uint32_t uid)
{
    struct message message = {.uid = uid, .modseq = 7, .file_size = 3};
    char name[32];

    snprintf(name, sizeof(name), "%u.x.host", uid);
    messages_add(&state->table, &message, bytes_of(name));
    state->uidnext = uid + 1;
}

/* A snapshot of three, closed, and one frame behind it that takes the last. */
static void make_file(struct buf *file, bool is_closed)
{
    struct index_state state = {.uidvalidity = 9, .modseq = 100, .ceiling = CEILING};
    struct index_frame frame = {.number = 2, .modseq = 101, .ceiling = CEILING, .uidnext = 5};
    struct index_entry gone = {.kind = INDEX_EXPUNGE, .uid = 4};
    struct index_entry closed = {.kind = INDEX_CLOSED, .stamp = 1, .stamp_cur = 2};

    for (uint32_t uid = 1; uid <= 4; uid++)
        add(&state, uid);
    buf_init(file, SIZE_MAX / 2);
    assert_int_equal(index_state_write(&state, file), 1);
    size_t place = index_frame_begin(file);
    index_entry_put(file, &gone);
    if (is_closed)
        index_entry_put(file, &closed);
    index_frame_end(file, place, &frame);
    index_state_clear(&state);
}

TEST(index_that_was_closed_is_believed_as_it_is)
{
    struct index_state index = {0};
    struct buf file;

    make_file(&file, true);
    assert_int_equal(index_state_read(&index, buf_bytes(&file)), INDEX_WHOLE);
    assert_int_equal(index.modseq, 101);
    assert_int_equal(index.uidnext, 5);
    assert_int_equal(index.table.exists, 3);
    assert_int_equal(index.frames, 2);
    assert_int_equal(messages_find(&index.table, 1)->modseq, 7);
    assert_int_equal(index.vanished[0].uid, 4);
    index_state_clear(&index);
    buf_free(&file);
}

TEST(index_that_was_not_closed_is_above_all_that_can_have_been_seen)
{
    struct index_state index = {0};
    struct buf file;

    make_file(&file, false);
    assert_int_equal(index_state_read(&index, buf_bytes(&file)), INDEX_CUT);
    assert_int_equal(index.modseq, CEILING + 1);
    assert_int_equal(index.uidnext, 5);
    for (uint32_t uid = 1; uid <= 3; uid++)
        assert_int_equal(messages_find(&index.table, uid)->modseq, CEILING + 1);
    index_state_clear(&index);
    buf_free(&file);
}

TEST(index_that_is_cut_anywhere_is_lost_or_whole_to_a_frame)
{
    struct buf file;

    make_file(&file, true);
    for (size_t len = 0; len < buf_len(&file); len++) {
        struct index_state index = {0};
        enum index_read read = index_state_read(&index, bytes_slice(buf_bytes(&file), 0, len));

        assert_int_not_equal(read, INDEX_WHOLE);
        if (read == INDEX_CUT) {
            assert_int_equal(index.table.exists, 4);
            assert_true(index.uidnext >= 5 && index.modseq > 101);
        }
        index_state_clear(&index);
    }
    buf_free(&file);
}

TEST(zeros_behind_the_last_frame_are_room_and_anything_else_is_a_lost_tail)
{
    struct buf file;
    uint8_t zeros[1000] = {0};

    make_file(&file, true);
    size_t end = buf_len(&file);
    check(buf_append(&file, bytes_range(zeros, sizeof(zeros))));
    for (size_t at = end; at <= buf_len(&file); at++) {
        struct index_state index = {0};
        bool is_damaged = at < buf_len(&file);

        if (is_damaged)
            file.ptr[file.start + at] = 1;
        assert_int_equal(index_state_read(&index, buf_bytes(&file)),
                         is_damaged ? INDEX_CUT : INDEX_WHOLE);
        assert_int_equal(index.size, end);
        assert_int_equal(index.table.exists, 3);
        /* As many UIDs as the bytes before it can have told. */
        assert_int_equal(index.uidnext,
                         is_damaged ? 5 + (at - end + 1) / INDEX_MESSAGE_MIN + 1 : 5);
        if (is_damaged)
            file.ptr[file.start + at] = 0;
        index_state_clear(&index);
    }
    buf_free(&file);
}

/* What it says of their number is a hint: a file of an older version says nothing. */
TEST(header_that_tells_wrong_numbers_is_read_all_the_same)
{
    const uint32_t numbers[][2] = {{0, 0}, {1, 1}, {4, 0}, {UINT32_MAX, UINT32_MAX}};
    struct buf file;

    make_file(&file, true);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct index_state index = {0};
        struct index_header header;

        assert_true(index_header_parse(buf_bytes(&file), &header));
        assert_int_equal(header.messages, i == 0 ? 4 : numbers[i - 1][0]);
        header.messages = numbers[i][0];
        header.names = numbers[i][1];
        index_header_format(&header, file.ptr + file.start);
        assert_int_equal(index_state_read(&index, buf_bytes(&file)), INDEX_WHOLE);
        assert_int_equal(index.table.exists, 3);
        assert_true(bytes_equal(messages_base(&index.table, messages_find(&index.table, 3)),
                                BYTES("3.x.host")));
        index_state_clear(&index);
    }
    buf_free(&file);
}

TEST(expunged_ones_are_remembered_up_to_a_number)
{
    struct index_state index = {.uidnext = 1};

    for (uint32_t uid = 1; uid <= VANISHED_MAX + 10; uid++)
        add(&index, uid);
    for (uint32_t uid = 1; uid <= VANISHED_MAX; uid++)
        index_state_expunge(&index, messages_find(&index.table, uid), uid);
    assert_int_equal(index.vanished_floor, 0);
    index_state_expunge(&index, messages_find(&index.table, VANISHED_MAX + 1), VANISHED_MAX + 1);
    assert_int_equal(index.vanished_floor, VANISHED_MAX / 2);
    assert_int_equal(index.vanished[0].uid, VANISHED_MAX / 2 + 1);
    messages_tidy(&index.table);
    assert_int_equal(index.table.count, 9);
    assert_non_null(messages_find_name(&index.table, BYTES("16394.x.host")));
    index_state_clear(&index);
}
