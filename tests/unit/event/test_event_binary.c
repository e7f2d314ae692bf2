#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/unit.h"
#include "tests/unit/event/event_sample.h"

static void expect_same_text(struct bytes a, struct bytes b)
{
    assert_int_equal(a.len, b.len);
    if (a.len > 0)
        assert_memory_equal(a.ptr, b.ptr, a.len);
}

static void expect_same(const struct event *a, const struct event *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->seq, b->seq);
    assert_int_equal(a->id.value, b->id.value);
    assert_int_equal(a->time_ms, b->time_ms);
    assert_int_equal(a->accepted_ms, b->accepted_ms);
    assert_int_equal(a->attempt_ms, b->attempt_ms);
    assert_int_equal(a->next_attempt_ms, b->next_attempt_ms);
    assert_int_equal(a->connected_ms, b->connected_ms);
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->attempt, b->attempt);
    assert_memory_equal(&a->times, &b->times, sizeof(a->times));
    assert_int_equal(a->reply_is_ours, b->reply_is_ours);
    assert_int_equal(a->reply_code, b->reply_code);
    assert_int_equal(a->enhanced_class, b->enhanced_class);
    assert_int_equal(a->enhanced_subject, b->enhanced_subject);
    assert_int_equal(a->enhanced_detail, b->enhanced_detail);
    assert_int_equal(a->sender.ptr == NULL, b->sender.ptr == NULL);
    const struct bytes *a_text = &a->recipient;
    const struct bytes *b_text = &b->recipient;
    for (size_t i = 0; i < 5; i++)
        expect_same_text(a_text[i], b_text[i]);
    expect_same_text(a->tags, b->tags);
    expect_same_text(a->metadata, b->metadata);
    expect_same_text(a->checks, b->checks);
    expect_same_text(a->client_ip, b->client_ip);
    expect_same_text(a->client_ehlo, b->client_ehlo);
    expect_same_text(a->service, b->service);
    expect_same_text(a->session, b->session);
    expect_same_text(a->dkim_result, b->dkim_result);
    expect_same_text(a->dkim_domain, b->dkim_domain);
    expect_same_text(a->dkim_selectors, b->dkim_selectors);
    expect_same_text(a->envid, b->envid);
    expect_same_text(a->orcpt, b->orcpt);
    expect_same_text(a->pool, b->pool);
    expect_same_text(a->source, b->source);
    expect_same_text(a->source_ip, b->source_ip);
    expect_same_text(a->site, b->site);
    expect_same_text(a->mx_host, b->mx_host);
    expect_same_text(a->mx_ip, b->mx_ip);
    expect_same_text(a->tls_version, b->tls_version);
    expect_same_text(a->tls_cipher, b->tls_cipher);
    expect_same_text(a->tls_policy, b->tls_policy);
    expect_same_text(a->tls_result, b->tls_result);
    expect_same_text(a->tls_source, b->tls_source);
    expect_same_text(a->tls_reason, b->tls_reason);
    assert_int_equal(a->tls_verified, b->tls_verified);
    assert_int_equal(a->is_late, b->is_late);
    assert_int_equal(a->is_received, b->is_received);
    expect_same_text(a->reply_text, b->reply_text);
    expect_same_text(a->class, b->class);
    expect_same_text(a->rule, b->rule);
}

static void expect_round_trip(const struct event *event)
{
    struct buf encoded;
    struct event decoded;

    buf_init(&encoded, EVENT_ENCODED_MAX);
    assert_true(event_encode(event, &encoded));
    assert_true(event_decode(buf_bytes(&encoded), &decoded));
    expect_same(event, &decoded);
    buf_free(&encoded);
}

TEST(event_binary_returns_what_was_encoded)
{
    struct event event = event_sample();

    expect_round_trip(&event);
    event.kind = EVENT_DEFERRED;
    event.next_attempt_ms = event.time_ms + 300000;
    event.reply_is_ours = true;
    event.times = (struct attempt_times){0, 0, 0, 0, 0, INT32_MAX};
    expect_round_trip(&event);
}

TEST(event_binary_tells_the_null_path_from_none)
{
    struct event event = {.times = {-1, -1, -1, -1, -1, -1}};

    expect_round_trip(&event);
    event.sender = BYTES("");
    assert_non_null(event.sender.ptr);
    expect_round_trip(&event);
}

TEST(event_binary_returns_random_events)
{
    uint8_t bytes[4096];
    struct bytes noise = {bytes, sizeof(bytes)};

    random_seed(11);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)random_u64();
    for (size_t round = 0; round < 20000; round++) {
        struct event event = {
            .kind = (enum event_kind)random_below(EVENT_KIND_COUNT),
            .seq = (uint32_t)random_u64(),
            .id = {random_below(256) << 56 | random_below(MESSAGE_ID_SERIAL_MAX) | 1},
            .time_ms = event_random_time(),
            .accepted_ms = event_random_time(),
            .attempt_ms = event_random_time(),
            .next_attempt_ms = event_random_time(),
            .connected_ms = event_random_time(),
            .size = random_u64() >> random_below(64),
            .attempt = (uint32_t)random_below(100),
            .times = {(int32_t)random_below(100) - 1, -1, INT32_MAX, 0, 1, -1},
            .reply_is_ours = random_below(2),
            .reply_code = (uint16_t)random_u64(),
            .enhanced_class = (uint8_t)random_u64(),
            .enhanced_subject = (uint16_t)random_u64(),
            .enhanced_detail = (uint16_t)random_u64(),
            .recipient = event_random_text(noise, 1024),
            .sender = event_random_text(noise, 1024),
            .tenant = event_random_text(noise, 255),
            .tags = event_random_text(noise, 2048),
            .metadata = event_random_text(noise, 1024),
            .checks = event_random_text(noise, 3072),
            .client_ip = event_random_text(noise, 64),
            .orcpt = event_random_text(noise, 1024),
            .mx_ip = event_random_text(noise, 64),
            .tls_result = event_random_text(noise, 255),
            .tls_source = event_random_text(noise, 32),
            .tls_reason = event_random_text(noise, 255),
            .tls_verified = EVENT_YES,
            .is_late = random_below(2),
            .is_received = random_below(2),
            .reply_text = event_random_text(noise, 4096),
            .rule = event_random_text(noise, 255),
        };

        expect_round_trip(&event);
    }
}

TEST(event_binary_cuts_texts_between_characters)
{
    struct event event = event_sample();
    struct buf encoded;
    struct event decoded;
    uint8_t *long_text = malloc(200000);

    assert_non_null(long_text);
    for (size_t i = 0; i + 1 < 200000; i += 2)
        memcpy(long_text + i, "\xc3\xa4", 2);
    event.reply_text = (struct bytes){long_text + 1, 199999 - 1}; /* 4096 would end inside one */
    event.recipient = (struct bytes){long_text, 200000};
    event.rule = (struct bytes){(const uint8_t *)memset(long_text + 100000, 'r', 1000), 1000};
    buf_init(&encoded, EVENT_ENCODED_MAX);
    assert_true(event_encode(&event, &encoded));
    assert_true(event_decode(buf_bytes(&encoded), &decoded));
    assert_int_equal(decoded.reply_text.len, 4095);
    assert_int_equal(decoded.recipient.len, 1024);
    assert_int_equal(decoded.rule.len, 255);
    expect_same_text(decoded.mx_host, event.mx_host);
    buf_free(&encoded);
    free(long_text);
}

TEST(event_encode_leaves_a_full_buffer_as_it_is)
{
    struct event event = event_sample();
    struct buf out;

    buf_init(&out, 200);
    assert_true(buf_append(&out, BYTES("before")));
    assert_false(event_encode(&event, &out));
    assert_true(bytes_equal(buf_bytes(&out), BYTES("before")));
    buf_free(&out);
}

static const struct {
    const char *name;
    struct bytes encoded;
    bool valid;
} forms[] = {
    {"the shortest", BYTES("\x01\x00"), true},
    {"nothing", BYTES(""), false},
    {"no kind", BYTES("\x01"), false},
    {"another version", BYTES("\x02\x00"), false},
    {"the last kind", BYTES("\x01\x16"), true},
    {"an unknown kind", BYTES("\x01\x17"), false},
    {"an unknown number", BYTES("\x01\x02\x3c\x05\x02\x07"), true},
    {"an unknown text", BYTES("\x01\x02\x79\x03xyz\x02\x07"), true},
    {"an unknown field of two bytes", BYTES("\x01\x02\x81\x08\x01z\x02\x07"), true},
    {"a key without value", BYTES("\x01\x00\x02"), false},
    {"a number without end", BYTES("\x01\x00\x02\xff\xff"), false},
    {"a number of 65 bits", BYTES("\x01\x00\x0e\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), false},
    {"a number of 11 bytes", BYTES("\x01\x00\x0e\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
     false},
    {"seq beyond 32 bits", BYTES("\x01\x00\x02\xff\xff\xff\xff\x1f"), false},
    {"an id beyond 13 digits", BYTES("\x01\x00\x04\x80\x80\x80\x80\x80\x80\x80\x10"), false},
    {"ours neither yes nor no", BYTES("\x01\x00\x1e\x02"), false},
    {"a text longer than the rest",
     BYTES("\x01\x00\x41\x05"
           "abcd"),
     false},
    {"a text as long as the rest",
     BYTES("\x01\x00\x41\x04"
           "abcd"),
     true},
    {"a text beyond its maximum",
     BYTES("\x01\x00\x4d\x41"
           "0123456789012345678901234567890123456789"
           "0123456789012345678901234"),
     false},
};

TEST(event_decode_takes_valid_forms_only)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct event event = {.seq = 42};
        /* A copy of exactly that size, so that AddressSanitizer sees a byte too many. */
        uint8_t *copy = malloc(forms[i].encoded.len + 1);

        assert_non_null(copy);
        memcpy(copy + 1, forms[i].encoded.ptr, forms[i].encoded.len);
        if (event_decode((struct bytes){copy + 1, forms[i].encoded.len}, &event) != forms[i].valid)
            fail_msg("%s", forms[i].name);
        if (!forms[i].valid && event.seq != 42)
            fail_msg("%s: set on failure", forms[i].name);
        free(copy);
    }
}

TEST(event_decode_finds_known_fields_behind_unknown_ones)
{
    struct event event;

    assert_true(event_decode(BYTES("\x01\x02\x3c\x05\x79\x03xyz\x02\x07\x41\x01q"), &event));
    assert_int_equal(event.kind, EVENT_DELIVERED);
    assert_int_equal(event.seq, 7);
    assert_true(bytes_equal(event.recipient, BYTES("q")));
    assert_int_equal(event.times.dns_ms, -1);
}

TEST(event_decode_survives_every_cut_and_flip)
{
    struct event event = event_sample();
    struct event decoded;
    struct buf encoded;

    buf_init(&encoded, EVENT_ENCODED_MAX);
    assert_true(event_encode(&event, &encoded));
    struct bytes whole = buf_bytes(&encoded);
    for (size_t len = 0; len < whole.len; len++) {
        uint8_t *copy = malloc(len + 1);

        assert_non_null(copy);
        memcpy(copy + 1, whole.ptr, len);
        (void)!event_decode((struct bytes){copy + 1, len}, &decoded);
        for (unsigned bit = 0; len > 0 && bit < 8; bit++) {
            copy[len] ^= (uint8_t)(1 << bit);
            (void)!event_decode((struct bytes){copy + 1, len}, &decoded);
            copy[len] ^= (uint8_t)(1 << bit);
        }
        free(copy);
    }
    buf_free(&encoded);
}

/* Prints what docs/events.md quotes (release build); the bound is for sanitizers too. */
TEST(event_binary_is_cheap)
{
    enum { ROUNDS = 200000 };
    struct event event = event_sample();
    struct event decoded;
    struct buf encoded;

    buf_init(&encoded, EVENT_ENCODED_MAX);
    int64_t start_us = event_cpu_us();
    for (size_t i = 0; i < ROUNDS; i++) {
        buf_clear(&encoded);
        event.seq = (uint32_t)i;
        assert_true(event_encode(&event, &encoded));
    }
    int64_t encoded_us = event_cpu_us();
    for (size_t i = 0; i < ROUNDS; i++)
        assert_true(event_decode(buf_bytes(&encoded), &decoded));
    int64_t decoded_us = event_cpu_us();
    printf("encode_ns=%lld decode_ns=%lld encoded_bytes=%zu\n",
           (long long)((encoded_us - start_us) * 1000 / ROUNDS),
           (long long)((decoded_us - encoded_us) * 1000 / ROUNDS), buf_len(&encoded));
    assert_true(encoded_us - start_us < 20LL * ROUNDS);
    buf_free(&encoded);
}
