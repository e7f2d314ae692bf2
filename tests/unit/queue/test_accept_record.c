/* ACCEPT records: every field, every truncation, the version before, and what no version has. */
#include "queue/accept_record.h"

#include "queue/bytes_le.h"
#include "tests/unit/queue/shard_world.h"

enum { FIXED_LEN_1 = 52, FIXED_LEN = 72, STRINGS_1 = 10, CLASS_AT = 51, NOT_BEFORE_AT = 56 };

static struct record as_record(unsigned version, unsigned flags, const uint8_t *payload, size_t len)
{
    return (struct record){.type = RECORD_ACCEPT,
                           .version = (uint8_t)version,
                           .flags = (uint8_t)flags,
                           .payload = {payload, len}};
}

static uint8_t *encode(const struct message *message, size_t *len_out)
{
    *len_out = accept_encoded_len(message, 136, false);
    uint8_t *payload = malloc(*len_out);

    assert_non_null(payload);
    accept_encode(message, 136, 9, NULL, payload);
    return payload;
}

/* Where the strings of version 1 end. */
static size_t tail_at(const uint8_t *payload)
{
    size_t at = FIXED_LEN;

    for (unsigned i = 0; i < STRINGS_1; i++)
        at += 4 + get_u32(payload + at);
    return at;
}

TEST(accept_round_trips_and_every_truncation_is_refused)
{
    for (unsigned moved = 0; moved < 2; moved++) {
        struct message *message = world_message(5, 100, 42);
        struct recipient_state states[5] = {{.is_final = true},
                                            {.attempts = 3, .due_ms = 1795489800000, .flags = 1}};
        struct accept accept;

        message->id.value = (uint64_t)7 << 56 | 12345;
        message->accepted_ms = 1795489800123;
        message->not_before_ms = 1795489900456;
        message->class = MAIL_BULK;
        message->credential = UINT64_C(0xfedcba9876543210);
        size_t len = accept_encoded_len(message, 136, moved);
        uint8_t *payload = malloc(len);
        assert_non_null(payload);
        accept_encode(message, 136, 9, moved ? states : NULL, payload);
        struct record record = as_record(2, moved ? RECORD_MOVED : 0, payload, len);
        assert_true(accept_decode(&record, &accept));
        assert_int_equal(accept.id.value, message->id.value);
        assert_int_equal(record_message_id(&record).value, message->id.value);
        assert_int_equal(accept.accepted_ms, message->accepted_ms);
        assert_int_equal(accept.next_seq, 9);
        assert_int_equal(accept.inline_len, 136);
        assert_int_equal(accept.content_size, 100);
        assert_true(bytes_equal(accept.prefix, message->prefix));
        assert_int_equal(accept.not_before_ms, message->not_before_ms);
        assert_int_equal(accept.class, MAIL_BULK);
        assert_true(accept.credential == message->credential);
        assert_true(message->tail.len > 0 && bytes_equal(accept.tail, message->tail));
        assert_true(bytes_equal(accept.tenant, message->tenant));
        for (unsigned i = 0; i < 5; i++) {
            struct recipient r;
            struct recipient_state got;

            assert_true(accept_next_recipient(&accept, &r, &got));
            assert_true(bytes_equal(r.address, message->recipients[i].address));
            assert_true(bytes_equal(r.domain, message->recipients[i].domain));
            assert_true(bytes_equal(r.orcpt, message->recipients[i].orcpt));
            assert_int_equal(r.notify, message->recipients[i].notify);
            assert_int_equal(got.attempts, moved ? states[i].attempts : 0);
            assert_int_equal(got.due_ms, moved ? states[i].due_ms : 0);
            assert_int_equal(got.is_final, moved && states[i].is_final);
        }
        for (size_t cut = 0; cut < len; cut++) {
            uint8_t *less = malloc(cut + 1); /* exactly as much as is claimed, for the sanitizer */
            unsigned recipients = 0;
            struct recipient r;

            memcpy(less, payload, cut);
            record = as_record(2, moved ? RECORD_MOVED : 0, less, cut);
            if (accept_decode(&record, &accept))
                while (recipients < 5 && accept_next_recipient(&accept, &r, NULL))
                    recipients++;
            expect_row(cut, recipients < 5);
            free(less);
        }
        free(payload);
        message_release(&message);
    }
}

/* As programs of format 1 wrote it: a shorter fixed part, no tail. */
TEST(accept_of_version_1_is_read)
{
    struct message *message = world_message(3, 100, 4);
    struct accept accept;
    struct recipient r;
    size_t len;

    message->id.value = (uint64_t)7 << 56 | 12345;
    uint8_t *now = encode(message, &len);
    size_t tail = tail_at(now);
    size_t rest = tail + 4 + message->tail.len;
    size_t len_1 = FIXED_LEN_1 + (tail - FIXED_LEN) + (len - rest);
    uint8_t *before = malloc(len_1);
    assert_non_null(before);
    memcpy(before, now, FIXED_LEN_1);
    put_u32(before, FIXED_LEN_1);
    before[CLASS_AT] = 0;
    memcpy(before + FIXED_LEN_1, now + FIXED_LEN, tail - FIXED_LEN);
    memcpy(before + FIXED_LEN_1 + (tail - FIXED_LEN), now + rest, len - rest);
    struct record record = as_record(1, 0, before, len_1);
    assert_true(accept_decode(&record, &accept));
    assert_int_equal(accept.class, MAIL_NORMAL);
    assert_int_equal(accept.not_before_ms, 0);
    assert_int_equal(accept.credential, 0);
    assert_int_equal(accept.tail.len, 0);
    assert_true(bytes_equal(accept.tenant, message->tenant));
    assert_true(bytes_equal(accept.prefix, message->prefix));
    for (unsigned i = 0; i < 3; i++) {
        assert_true(accept_next_recipient(&accept, &r, NULL));
        assert_true(bytes_equal(r.address, message->recipients[i].address));
    }
    record.version = 2;
    assert_false(accept_decode(&record, &accept));
    free(before);
    free(now);
    message_release(&message);
}

TEST(accept_of_a_version_that_is_not_known_is_refused)
{
    struct message *message = world_message(1, 100, 4);
    struct accept accept;
    size_t len;

    message->id.value = 1;
    uint8_t *payload = encode(message, &len);
    for (unsigned version = 0; version < 256; version++) {
        struct record record = as_record(version, 0, payload, len);

        /* Taken for version 1, what is version 2 has too many strings. */
        expect_row(version, version == 1 || accept_decode(&record, &accept) == (version == 2));
    }
    free(payload);
    message_release(&message);
}

TEST(accept_with_nonsense_in_its_new_fields_is_refused)
{
    struct message *message = world_message(1, 100, 4);
    struct accept accept;
    size_t len;

    message->id.value = 1;
    uint8_t *payload = encode(message, &len);
    struct record record = as_record(2, 0, payload, len);
    size_t tail = tail_at(payload) + 4;
    assert_true(accept_decode(&record, &accept));
    payload[CLASS_AT] = MAIL_CLASSES;
    assert_false(accept_decode(&record, &accept));
    payload[CLASS_AT] = MAIL_BULK;
    payload[NOT_BEFORE_AT + 7] = 0x80;
    assert_false(accept_decode(&record, &accept));
    payload[NOT_BEFORE_AT + 7] = 0;
    payload[tail + 4]++; /* its first entry is longer than the tail can tell */
    assert_false(accept_decode(&record, &accept));
    payload[tail + 4]--;
    assert_true(accept_decode(&record, &accept));
    free(payload);
    message_release(&message);
}

TEST(accept_with_a_tail_that_is_too_long_is_too_large)
{
    struct message *message = world_message(1, 100, 5); /* without one */
    uint8_t *value = calloc(1, TAIL_LEN_MAX + 1);
    struct bytes tail = BYTES_NONE;

    assert_non_null(value);
    assert_true(tail_add(&message->arena, &tail, 1, (struct bytes){value, TAIL_LEN_MAX - 8}));
    assert_false(tail_add(&message->arena, &tail, 2, BYTES_NONE));
    message->tail = tail;
    assert_true(accept_encoded_len(message, 0, false) > TAIL_LEN_MAX);
    message->tail = (struct bytes){value, TAIL_LEN_MAX + 1};
    assert_int_equal(accept_encoded_len(message, 0, false), 0);
    free(value);
    message_release(&message);
}
