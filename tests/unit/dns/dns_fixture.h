/*
 * dns_fixture.h - an engine, a resolver and a scripted server on one thread.
 *
 * With DNS_FIXTURE_FAKE the fake engine: polls end late and in random order, and its clock, which
 * follows the real one here because c-ares has its own, can be moved.
 */
#pragma once

#include "base/clock.h"
#include "base/metric.h"
#include "base/random.h"
#include "dns/cache.h"
#include "dns/resolver.h"
#include "support/unit.h"
#include "unit/dns/dns_server.h"

#ifdef DNS_FIXTURE_FAKE
#include "support/engine_fake.h"
#endif

enum { FIXTURE_WAIT_MS_MAX = 20000 };

struct fixture {
    struct engine *engine;
    struct dns_cache *cache;
    struct resolver *resolver;
    struct dns_settings settings;
    struct dns_server server;
    char servers[128];
    int64_t real_ms;
};

static inline void fixture_turn(struct fixture *f)
{
    server_step(&f->server);
#ifdef DNS_FIXTURE_FAKE
    int64_t now_ms = clock_monotonic_ms();

    fake_advance_ms(f->engine, now_ms - f->real_ms);
    f->real_ms = now_ms;
#endif
    engine_turn(f->engine, 1);
}

/* Lets time pass; on the real engine by waiting. */
static inline void fixture_advance(struct fixture *f, int64_t ms)
{
#ifdef DNS_FIXTURE_FAKE
    fake_advance_ms(f->engine, ms);
#else
    int64_t until_ms = clock_monotonic_ms() + ms;

    while (clock_monotonic_ms() <= until_ms)
        fixture_turn(f);
#endif
    fixture_turn(f);
}

static inline void fixture_open_server(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    server_open(&f->server);
    snprintf(f->servers, sizeof(f->servers), "127.0.0.1:%u", f->server.port);
    f->settings = (struct dns_settings){
        .servers = f->servers,
        .timeout_ms = 300,
        .tries = 2,
        .ttl_min_s = 1,
        .failure_ttl_s = 1,
    };
}

static inline void fixture_start(struct fixture *f)
{
    const char *why = NULL;

    f->engine = engine_create(&(struct engine_settings){.ring_entries = 64, .buffer_count = 8});
    assert_non_null(f->engine);
    f->real_ms = clock_monotonic_ms();
    f->cache = resolver_cache_create(&f->settings);
    f->resolver = resolver_create(f->engine, f->cache, &f->settings, &why);
    if (f->resolver == NULL)
        fail_msg("%s", why);
}

static inline void fixture_open(struct fixture *f)
{
    fixture_open_server(f);
    fixture_start(f);
}

static inline void fixture_close(struct fixture *f)
{
    resolver_destroy(&f->resolver);
    assert_null(f->resolver);
    for (int i = 0; i < 3; i++)
        engine_turn(f->engine, 0);
#ifdef DNS_FIXTURE_FAKE
    for (int i = 0; i < 100 && fake_in_flight(f->engine) > 0; i++)
        engine_turn(f->engine, 0);
    assert_int_equal(fake_in_flight(f->engine), 0);
#endif
    engine_destroy(&f->engine);
    dns_cache_free(&f->cache);
    server_close(&f->server);
}

static inline void fixture_wait(struct fixture *f, const unsigned *done, unsigned wanted)
{
    int64_t until_ms = clock_monotonic_ms() + FIXTURE_WAIT_MS_MAX;

    while (*done < wanted) {
        assert_true(clock_monotonic_ms() < until_ms);
        fixture_turn(f);
    }
}

/* --- asking --------------------------------------------------------------------------------- */

struct asked {
    struct dns_query query;
    const struct dns_answer *answer;
    unsigned done;
};

static inline void asked_done(struct dns_query *query, const struct dns_answer *answer)
{
    struct asked *asked = container_of(query, struct asked, query);

    asked->answer = dns_answer_keep(answer);
    asked->done++;
}

static inline void fixture_ask(struct fixture *f, struct asked *asked, const char *name,
                               enum dns_type type)
{
    *asked = (struct asked){.query.done = asked_done};
    resolver_ask(f->resolver, &asked->query, bytes_of(name), type);
    assert_int_equal(asked->done, 0); /* never from inside */
    assert_true(asked->query.is_waiting);
}

static inline void asked_forget(struct asked *asked)
{
    dns_answer_release(&asked->answer);
}

/* Asks and waits; the answer is to be released. */
static inline const struct dns_answer *fixture_answer(struct fixture *f, const char *name,
                                                      enum dns_type type)
{
    struct asked asked;

    fixture_ask(f, &asked, name, type);
    fixture_wait(f, &asked.done, 1);
    assert_false(asked.query.is_waiting);
    return asked.answer;
}

static inline enum dns_status fixture_status(struct fixture *f, const char *name,
                                             enum dns_type type)
{
    const struct dns_answer *answer = fixture_answer(f, name, type);
    enum dns_status status = answer->status;

    dns_answer_release(&answer);
    return status;
}
