/* test_event_privacy.c - local parts that are not shown. */
#include <string.h>

#include "event/event_privacy.h"
#include "support/unit.h"

static void rule(const char *tenant, enum privacy_mode mode)
{
    const struct siphash_key key = {{1, 2}};
    struct privacy_rule made = {.mode = mode};

    privacy_set_key(&key);
    memcpy(made.tenant, tenant, strlen(tenant));
    privacy_set_rules(&made, 1, PRIVACY_NONE);
}

static const char *shown(const char *tenant, const char *address)
{
    static char text[4][PRIVACY_ADDRESS_MAX];
    static unsigned next;
    char out[PRIVACY_ADDRESS_MAX], *at = text[next++ % 4];
    struct bytes made = privacy_address(bytes_of(tenant), bytes_of(address), out);

    memcpy(at, made.ptr, made.len);
    at[made.len] = '\0';
    return at;
}

TEST(address_has_one_hash_within_a_tenant_and_others_elsewhere)
{
    rule("shop", PRIVACY_HASH);
    const char *hash = shown("shop", "user@X.example");
    assert_int_equal(strlen(hash), 16 + strlen("@X.example"));
    assert_string_equal(strchr(hash, '@'), "@X.example");
    assert_memory_equal(hash, shown("shop", "user@x.example"), 16); /* domains have no case */
    assert_true(memcmp(hash, shown("shop", "User@x.example"), 16) != 0);
    assert_true(memcmp(hash, shown("shop", "user@y.example"), 16) != 0);
    assert_string_equal(shown("club", "user@x.example"), "user@x.example");
    assert_string_equal(shown("", "user@x.example"), "user@x.example");
    assert_string_equal(shown("shop", ""), "");
    const struct siphash_key other = {{1, 3}};
    privacy_set_key(&other);
    assert_true(memcmp(hash, shown("shop", "user@x.example"), 16) != 0);
    privacy_set_rules(NULL, 0, PRIVACY_HASH); /* nobody knows whose are shown */
    assert_true(strcmp(shown("club", "user@x.example"), "user@x.example") != 0);
    assert_string_equal(shown("", "user@x.example"), "user@x.example");
    privacy_set_rules(NULL, 0, PRIVACY_NONE);
}

TEST(event_shows_no_local_part_in_any_text)
{
    static const char *const secret[] = {"user", "User", "app", "verp"};
    struct event event = {
        .kind = EVENT_BOUNCED,
        .tenant = BYTES("shop"),
        .recipient = BYTES("user@x.example"),
        .sender = BYTES("verp+user=x.example@shop.example"),
        .orcpt = BYTES("rfc822;user+40x.example"),
        .reply_code = 550,
        .reply_text = BYTES("<user@x.example>: mailbox of User is full, ask \"app me\"@x.example"),
        .rule = BYTES("suspension 3 (recipient user@x.example)"),
    };
    struct buf hash, cut;

    buf_init(&hash, EVENT_JSON_MAX);
    buf_init(&cut, EVENT_JSON_MAX);
    rule("shop", PRIVACY_HASH);
    assert_true(event_json(&event, &hash));
    rule("shop", PRIVACY_CUT);
    assert_true(event_json(&event, &cut));
    for (size_t i = 0; i < ARRAY_LEN(secret); i++) {
        struct bytes word = bytes_of(secret[i]);

        assert_int_equal(bytes_find_bytes(buf_bytes(&hash), word, 0), buf_len(&hash));
        assert_int_equal(bytes_find_bytes(buf_bytes(&cut), word, 0), buf_len(&cut));
    }
    struct bytes text = buf_bytes(&cut);
    assert_true(bytes_find_bytes(text, BYTES("<*@x.example>: mailbox of * is full"), 0) < text.len);
    assert_true(bytes_find_bytes(text, BYTES("\"rfc822;*@x.example\""), 0) < text.len);
    assert_true(bytes_find_bytes(text, BYTES("\"*@shop.example\""), 0) < text.len);
    event.tenant = BYTES("club");
    buf_clear(&cut);
    assert_true(event_json(&event, &cut));
    text = buf_bytes(&cut);
    assert_true(bytes_find_bytes(text, BYTES("\"user@x.example\""), 0) < text.len);
    privacy_set_rules(NULL, 0, PRIVACY_NONE);
    buf_free(&hash);
    buf_free(&cut);
}

/* Every kind, mail of the world's and reports too: what is masked is no matter of the kind. */
TEST(event_of_no_kind_shows_a_local_part)
{
    const struct bytes secret = BYTES("hidden");
    struct buf out;

    buf_init(&out, EVENT_JSON_MAX);
    for (enum privacy_mode mode = PRIVACY_HASH; mode <= PRIVACY_CUT; mode++) {
        rule("shop", mode);
        for (unsigned kind = 0; kind < EVENT_KIND_COUNT; kind++) {
            struct event event = {
                .kind = (enum event_kind)kind,
                .tenant = BYTES("shop"),
                .recipient = BYTES("hidden.user@x.example"),
                .sender = BYTES("hidden.sender@other.example"),
                .orcpt = BYTES("utf-8;hidden.user@x.example"),
                .reply_text = BYTES("no hidden.user here, says <hidden@y.example>"),
                .rule = BYTES("account hidden.user@x.example"),
                .checks = BYTES("spf\tpass\t\tof hidden.sender@other.example\n"
                                "rspamd\tno\t1\tFORGED(hidden@a.example,hidden@b.example)\n"),
                .is_late = kind % 2 == 0,
            };
            buf_clear(&out);
            assert_true(event_json(&event, &out));
            if (bytes_find_bytes(buf_bytes(&out), secret, 0) < buf_len(&out))
                fail_msg("%s: %.*s", event_kind_name(event.kind), BYTES_ARG(buf_bytes(&out)));
        }
    }
    privacy_set_rules(NULL, 0, PRIVACY_NONE);
    buf_free(&out);
}

TEST(longest_texts_have_room)
{
    static uint8_t many[4096];
    struct event event = {.kind = EVENT_BOUNCED, .tenant = BYTES("shop"), .reply_code = 550};
    struct buf out;

    for (size_t i = 0; i < sizeof(many); i++)
        many[i] = (uint8_t) "a@b "[i % 4];
    event.recipient = event.sender = event.orcpt = bytes_range(many, 1024);
    event.reply_text = bytes_range(many, sizeof(many));
    event.rule = bytes_range(many, 255);
    event.checks = bytes_range(many, 3072);
    buf_init(&out, EVENT_JSON_MAX);
    rule("shop", PRIVACY_HASH);
    assert_true(event_json(&event, &out));
    privacy_set_rules(NULL, 0, PRIVACY_NONE);
    buf_free(&out);
}
