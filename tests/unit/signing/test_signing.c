/* test_signing.c - whose mail is signed, what waits for a key or for the time of a turn, and what
 * becomes of those that go meanwhile. That they verify, tests/system/test_signing.py shows. */
#include "signing/signing.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/metric.h"
#include "directory/dkim_key.h"
#include "directory/snapshot_build.h"
#include "io/turn_budget.h"
#include "unit/directory/store_room.h"

enum { DOMAINS = 6, PATIENCE = 2000 };

struct fixture {
    struct store_room room;
    struct engine *engine;
    struct snapshot_feed *feed;
    struct snapshot_reader *reader;
    struct blocking_pool *pool;
    struct signer *signer;
    unsigned stopped;
};

struct message {
    struct signing *signing;
    unsigned done, order;
    struct verdict verdict;
    char word[32], domain[64], selectors[64];
    size_t fields_len;
    char fields[16 * 1024];
};

static unsigned order;

static void on_done(void *context, const struct signing_result *result)
{
    struct message *message = context;

    message->done++;
    message->order = ++order;
    message->verdict = result->verdict;
    message->fields_len = result->fields.len;
    snprintf(message->fields, sizeof(message->fields), "%.*s", BYTES_ARG(result->fields));
    snprintf(message->word, sizeof(message->word), "%s", result->word);
    snprintf(message->domain, sizeof(message->domain), "%.*s", BYTES_ARG(result->domain));
    snprintf(message->selectors, sizeof(message->selectors), "%.*s", BYTES_ARG(result->selectors));
}

/* To make one takes long: all domains have the same, each in a file of its own. */
struct rsa_key {
    char path[STORE_ROOM_FILE_MAX];
    uint64_t hash;
};

/* The hash of what its record says. */
static uint64_t make_key(const struct fixture *f, const char *domain, struct bytes selector,
                         enum signature_algorithm algorithm, char name[static DKIM_KEY_FILE_MAX],
                         struct rsa_key *rsa)
{
    char path[STORE_ROOM_FILE_MAX];
    struct buf text;

    snprintf(path, sizeof(path), "%s/keys/%s/%.*s.pem", f->room.path, domain, BYTES_ARG(selector));
    if (algorithm == SIGNATURE_RSA_SHA256 && rsa->path[0] != '\0') {
        snprintf(name, DKIM_KEY_FILE_MAX, "%s/%.*s.pem", domain, BYTES_ARG(selector));
        assert_int_equal(link(rsa->path, path), 0);
        return rsa->hash;
    }
    buf_init(&text, DKIM_PUBLIC_MAX);
    assert_int_equal(dkim_key_make(f->room.path, bytes_of(domain), selector, algorithm, name,
                                   &text),
                     0);
    uint64_t hash = bytes_hash(buf_bytes(&text));
    buf_free(&text);
    if (algorithm == SIGNATURE_RSA_SHA256) {
        memcpy(rsa->path, path, sizeof(path));
        rsa->hash = hash;
    }
    return hash;
}

/* d0.example to d5.example of tenant 1, and other.example of 2; a key of each algorithm each. */
static void publish(struct fixture *f)
{
    struct snapshot_builder *builder = snapshot_build(NULL);
    struct rsa_key rsa = {0};
    uint32_t id = 0;

    snapshot_put_tenant(builder, &(struct directory_tenant){.id = 1, .name = BYTES("shop")});
    snapshot_put_tenant(builder, &(struct directory_tenant){.id = 2, .name = BYTES("other")});
    for (uint32_t i = 0; i <= DOMAINS; i++) {
        static const enum signature_algorithm algorithms[] = {SIGNATURE_ED25519_SHA256,
                                                              SIGNATURE_RSA_SHA256};
        struct directory_key keys[2];
        char names[2][DKIM_KEY_FILE_MAX], domain[32];

        snprintf(domain, sizeof(domain), i < DOMAINS ? "d%u.example" : "other.example", i);
        for (size_t k = 0; k < 2; k++) {
            struct bytes selector = k == 0 ? BYTES("e") : BYTES("r");

            uint64_t hash = make_key(f, domain, selector, algorithms[k], names[k], &rsa);
            keys[k] = (struct directory_key){.id = ++id,
                                             .algorithm = (uint8_t)algorithms[k],
                                             .state = DKIM_KEY_ACTIVE,
                                             .selector = selector,
                                             .file = bytes_of(names[k]),
                                             .public_hash = hash};
        }
        keys[0].state = i == 4 ? DKIM_KEY_RETIRED : DKIM_KEY_ACTIVE;
        keys[1].state = i == 5 ? DKIM_KEY_PUBLISHED : DKIM_KEY_ACTIVE;
        snapshot_put_domain(builder, &(struct directory_domain){.id = i + 1,
                                                                .tenant = i < DOMAINS ? 1 : 2,
                                                                .is_active = i != 3,
                                                                .allows_sub_domains = i == 2,
                                                                .name = bytes_of(domain),
                                                                .key_count = 2,
                                                                .keys = keys});
    }
    snapshot_publish(f->feed, snapshot_finish(&builder, 1));
}

static void fixture_open(struct fixture *f, unsigned keys_max)
{
    static const struct blocking_settings pool = {"keys", 1, 100};

    memset(f, 0, sizeof(*f));
    order = 0;
    store_room_make(&f->room);
    f->engine = engine_create(&(struct engine_settings){.ring_entries = 8, .buffer_count = 2});
    f->feed = snapshot_feed_create();
    publish(f);
    f->reader = snapshot_reader_create(f->feed);
    f->pool = blocking_pool_start(&pool);
    f->signer = signer_create(&(struct signer_setup){
        .engine = f->engine,
        .reader = f->reader,
        .pool = f->pool,
        .state_dir = f->room.path,
        .settings = {DKIM_SIGNER_DEFAULTS, keys_max},
    });
}

static void on_stopped(void *context)
{
    ((struct fixture *)context)->stopped++;
}

static void turns(struct fixture *f)
{
    usleep(1000);
    engine_turn(f->engine, 0);
}

static void fixture_close(struct fixture *f)
{
    signer_stop(f->signer, on_stopped, f);
    for (unsigned i = 0; i < PATIENCE && f->stopped == 0; i++)
        turns(f);
    assert_int_equal(f->stopped, 1);
    signer_free(&f->signer);
    blocking_pool_stop(&f->pool);
    snapshot_reader_free(&f->reader);
    snapshot_feed_free(&f->feed);
    engine_destroy(&f->engine);
    store_room_drop(&f->room);
}

static void begin(struct fixture *f, struct message *message, const char *tenant, const char *from)
{
    char text[256];

    memset(message, 0, sizeof(*message));
    message->signing = signing_begin(f->signer, bytes_of(tenant));
    assert_non_null(message->signing);
    snprintf(text, sizeof(text), "%s%s\r\nbody\r\n", from, from[0] != '\0' ? "\r\n" : "");
    for (size_t i = 0; i < strlen(text); i++)
        signing_content(message->signing, bytes_range(text + i, 1));
}

static void finish(struct message *message)
{
    signing_finish(message->signing, BYTES("Received: by us\r\n"), on_done, message);
}

static void wait_done(struct fixture *f, const struct message *message)
{
    for (unsigned i = 0; i < PATIENCE && message->done == 0; i++)
        turns(f);
    assert_int_equal(message->done, 1);
}

TEST(signing_is_decided_by_from_and_the_directory)
{
    static const struct {
        const char *tenant, *from, *word, *domain, *selectors;
        unsigned code;
    } rows[] = {
        {"shop", "From: a@d0.example", "signed", "d0.example", "r,e", 0},
        {"shop", "From: A <a@D0.Example>, b@other.example", "signed", "d0.example", "r,e", 0},
        {"shop", "From: a@x.d2.example", "signed", "d2.example", "r,e", 0},
        {"shop", "From: a@x.d0.example", "no-domain", "", "", 0},
        {"shop", "From: a@d3.example", "domain-pending", "", "", 0},
        {"shop", "From: a@d4.example", "signed", "d4.example", "r", 0}, /* the other is retired */
        {"shop", "From: a@d5.example", "signed", "d5.example", "e", 0}, /* ... not active yet */
        {"shop", "From: a@other.example", "no-domain", "", "", 0},
        {"other", "From: a@other.example", "signed", "other.example", "r,e", 0},
        {"", "From: a@other.example", "signed", "other.example", "r,e", 0}, /* our own mail */
        {"gone", "From: a@d0.example", "no-domain", "", "", 0},
        {"shop", "From: nobody", "no-from", "", "", 0},
        {"shop", "To: a@d0.example", "no-from", "", "", 0},
        {"shop", "", "no-from", "", "", 0},
    };
    struct fixture f;

    fixture_open(&f, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct message message;

        begin(&f, &message, rows[i].tenant, rows[i].from);
        finish(&message);
        wait_done(&f, &message);
        expect_row(i, message.verdict.code == rows[i].code);
        expect_row(i, strcmp(message.word, rows[i].word) == 0);
        expect_row(i, strcmp(message.domain, rows[i].domain) == 0);
        expect_row(i, strcmp(message.selectors, rows[i].selectors) == 0);
        expect_row(i, (message.fields_len > 0) == (rows[i].domain[0] != '\0'));
        signing_free(&message.signing);
    }
    fixture_close(&f);
}

static unsigned count_of(const char *text, const char *word)
{
    unsigned count = 0;

    for (; (text = strstr(text, word)) != NULL; text += strlen(word))
        count++;
    return count;
}

/* A signature of each key of each domain that is the tenant's. */
TEST(signing_signs_for_every_domain_of_from)
{
    static const struct {
        const char *from, *word, *domain;
        unsigned of_d0, of_d1, of_d2, of_all;
    } rows[] = {
        {"From: a@d0.example, b@d1.example", "signed", "d0.example", 2, 2, 0, 4},
        {"From: b@d1.example, a@d0.example", "signed", "d1.example", 2, 2, 0, 4},
        {"From: a@d0.example, b@D0.example, c@d0.example", "signed", "d0.example", 2, 0, 0, 2},
        {"From: a@x.d2.example, b@y.d2.example", "signed", "d2.example", 0, 0, 2, 2},
        {"From: a@other.example, b@d1.example", "signed", "d1.example", 0, 2, 0, 2},
        {"From: a@d0.example, b@other.example, c@d3.example", "signed", "d0.example", 2, 0, 0, 2},
        {"From: a@d3.example, b@other.example", "domain-pending", "", 0, 0, 0, 0},
        {"From: a@other.example, b@d3.example", "no-domain", "", 0, 0, 0, 0},
        {"From: g: a@d0.example, b@d1.example;, c@d2.example, d@d4.example, e@d5.example", "signed",
         "d0.example", 2, 2, 2, 7}, /* four domains, and no more */
        {"From: a@d0.example, b", "no-from", "", 0, 0, 0, 0},
    };
    struct fixture f;

    fixture_open(&f, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct message message;

        begin(&f, &message, "shop", rows[i].from);
        finish(&message);
        wait_done(&f, &message);
        expect_row(i, strcmp(message.word, rows[i].word) == 0);
        expect_row(i, strcmp(message.domain, rows[i].domain) == 0);
        expect_row(i, count_of(message.fields, "d=d0.example;") == rows[i].of_d0);
        expect_row(i, count_of(message.fields, "d=d1.example;") == rows[i].of_d1);
        expect_row(i, count_of(message.fields, "d=d2.example;") == rows[i].of_d2);
        expect_row(i, count_of(message.fields, "DKIM-Signature:") == rows[i].of_all);
        expect_row(i, rows[i].domain[0] == '\0' || strcmp(message.selectors, "r,e") == 0);
        signing_free(&message.signing);
    }
    fixture_close(&f);
}

TEST(signing_waits_for_its_keys_and_may_be_given_up_meanwhile)
{
    struct message messages[3];
    struct fixture f;

    fixture_open(&f, 0);
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        begin(&f, &messages[i], "shop", "From: a@d0.example");
        finish(&messages[i]);
        assert_int_equal(messages[i].done, 0); /* nothing was read yet: no turn has been */
    }
    signing_free(&messages[1].signing);
    wait_done(&f, &messages[0]);
    wait_done(&f, &messages[2]);
    assert_int_equal(messages[1].done, 0);
    signing_free(&messages[0].signing);
    signing_free(&messages[2].signing);
    /* Given up before its keys have come; the stop waits for them. */
    begin(&f, &messages[0], "shop", "From: a@d1.example");
    signing_free(&messages[0].signing);
    fixture_close(&f);
}

TEST(signing_waits_in_line_for_a_turn_with_time)
{
    struct message first, messages[4];
    struct fixture f;

    fixture_open(&f, 0);
    begin(&f, &first, "shop", "From: a@d0.example");
    finish(&first);
    wait_done(&f, &first);
    signing_free(&first.signing);
    engine_turn(f.engine, 0);
    assert_true(turn_budget_begin(f.engine, false));
    usleep(TURN_BUDGET_US + 500);
    turn_budget_end(f.engine);
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        begin(&f, &messages[i], "shop", "From: a@d0.example");
        finish(&messages[i]);
        assert_int_equal(messages[i].done, 0);
    }
    signing_free(&messages[1].signing);
    wait_done(&f, &messages[3]);
    assert_true(messages[0].order == 2 && messages[2].order == 3 && messages[3].order == 4);
    assert_int_equal(messages[1].done, 0);
    for (size_t i = 0; i < ARRAY_LEN(messages); i++)
        signing_free(&messages[i].signing);
    fixture_close(&f);
}

TEST(signing_refuses_for_now_without_a_key_and_tries_again_later)
{
    char path[STORE_ROOM_FILE_MAX], away[STORE_ROOM_FILE_MAX];
    struct message message;
    struct fixture f;

    fixture_open(&f, 0);
    store_room_file(&f.room, "keys/d0.example/r.pem", path);
    store_room_file(&f.room, "keys/d0.example/away", away);
    assert_int_equal(rename(path, away), 0);
    for (unsigned round = 0; round < 2; round++) {
        begin(&f, &message, "shop", "From: a@d0.example");
        finish(&message);
        wait_done(&f, &message);
        assert_int_equal(message.verdict.code, 451);
        assert_string_equal(message.word, "key");
        assert_int_equal(message.fields_len, 0);
        signing_free(&message.signing);
        assert_true(round > 0 || rename(away, path) == 0); /* not looked for again at once */
    }
    /* Another key than the record was made of. */
    store_room_file(&f.room, "keys/d1.example/r.pem", path);
    store_room_file(&f.room, "keys/d2.example/e.pem", away);
    assert_int_equal(rename(away, path), 0);
    begin(&f, &message, "shop", "From: a@d1.example");
    finish(&message);
    wait_done(&f, &message);
    assert_int_equal(message.verdict.code, 451);
    signing_free(&message.signing);
    fixture_close(&f);
}

TEST(signing_keeps_as_many_keys_as_it_is_told_and_those_in_use)
{
    struct message held, message;
    struct fixture f;

    fixture_open(&f, 2);
    int64_t before = metric_sum(METRIC_DKIM_KEYS), reads = metric_sum(METRIC_DKIM_KEYS_READ);
    begin(&f, &held, "shop", "From: a@d0.example");
    for (unsigned round = 0; round < 6; round++) {
        char from[64];

        snprintf(from, sizeof(from), "From: a@d%u.example", 1 + round % 2);
        begin(&f, &message, "shop", from);
        finish(&message);
        wait_done(&f, &message);
        assert_string_equal(message.word, "signed");
        signing_free(&message.signing);
        assert_in_range(metric_sum(METRIC_DKIM_KEYS) - before, 0, 4);
    }
    finish(&held);
    wait_done(&f, &held);
    assert_string_equal(held.selectors, "r,e");
    signing_free(&held.signing);
    assert_in_range(metric_sum(METRIC_DKIM_KEYS) - before, 0, 2);
    assert_true(metric_sum(METRIC_DKIM_KEYS_READ) - reads > 6);
    fixture_close(&f);
    assert_int_equal(metric_sum(METRIC_DKIM_KEYS), before);
}
