/* top_look.c - asks the daemon, and compares two answers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "relay/cli/top.h"

enum { METRICS_MAX = 8 << 20, SITES_MAX = 20 };

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* --- asking ----------------------------------------------------------------------------------- */

static void keep_status(void *context, const json_t *line)
{
    struct top_look *look = context;

    if (look->status == NULL)
        look->status = json_deep_copy(line);
}

/* A site that several engines have is told by each. */
static void add_site(void *context, const json_t *line)
{
    static const char *const sums[] = {"waiting", "connections"};
    struct top_look *look = context;
    const char *name = json_string_value(json_object_get(line, "provider"));

    if (name == NULL)
        name = json_string_value(json_object_get(line, "site"));
    if (name == NULL)
        return;
    json_t *site = json_object_get(look->sites, name);
    if (site == NULL) {
        json_object_set_new(look->sites, name, json_deep_copy(line));
        return;
    }
    if (number(line, "waiting") > number(site, "waiting"))
        json_object_set(site, "constraint", json_object_get(line, "constraint"));
    for (size_t i = 0; i < ARRAY_LEN(sums); i++)
        json_object_set_new(site, sums[i],
                            json_integer(number(site, sums[i]) + number(line, sums[i])));
}

static bool keep_bytes(void *context, struct bytes bytes)
{
    return buf_append(context, bytes);
}

bool top_site_line(struct bytes line, struct bytes *name_out, struct bytes *site_out,
                   double *value_out)
{
    struct bytes label = BYTES("{site=\""), end = BYTES("\"} ");
    size_t at = bytes_find_bytes(line, label, 0), last = line.len;
    char digits[64];
    char *behind;

    if (line.len == 0 || line.ptr[0] == '#' || at == line.len)
        return false;
    /* The last one: a name may hold the same bytes. */
    for (size_t next = bytes_find_bytes(line, end, at); next < line.len;
         next = bytes_find_bytes(line, end, next + 1))
        last = next;
    struct bytes value =
        last == line.len ? BYTES_NONE : bytes_slice(line, last + end.len, line.len);
    if (value.len == 0 || value.len >= sizeof(digits))
        return false;
    memcpy(digits, value.ptr, value.len);
    digits[value.len] = '\0';
    *value_out = strtod(digits, &behind);
    *name_out = bytes_slice(line, 0, at);
    *site_out = bytes_slice(line, at + label.len, last - at - label.len);
    return *behind == '\0';
}

static void take_metrics(struct top_look *look, struct bytes text)
{
    struct bytes line, name, site;
    char key[512];
    double value;

    while (bytes_take_until(&text, '\n', &line)) {
        if (!top_site_line(line, &name, &site, &value))
            continue;
        int len = snprintf(key, sizeof(key), "%.*s %.*s", BYTES_ARG(name), BYTES_ARG(site));
        if (len > 0 && (size_t)len < sizeof(key))
            json_object_set_new(look->metrics, key, json_real(value));
    }
}

struct explaining {
    struct top_look *look;
    json_int_t age_ms;
    const char *state;
    bool is_told;
};

/* The first recipient of the message that is in the state. */
static void keep_wait(void *context, const json_t *line)
{
    struct explaining *e = context;
    const char *state = json_string_value(json_object_get(line, "state"));

    if (e->is_told || state == NULL || strcmp(state, e->state) != 0)
        return;
    e->is_told = true;
    json_t *wait = json_deep_copy(line);
    json_object_set_new(wait, "age_ms", json_integer(e->age_ms));
    json_array_append_new(e->look->waits, wait);
}

/* Quietly: it may have ended meanwhile. */
static void explain_oldest(const struct cli *quiet, struct top_look *look)
{
    size_t i;
    json_t *oldest;

    json_array_foreach(json_object_get(look->status, "oldest"), i, oldest)
    {
        struct explaining e = {
            .look = look,
            .age_ms = number(oldest, "age_ms"),
            .state = json_string_value(json_object_get(oldest, "state")),
        };

        (void)cli_control(quiet,
                          json_pack("{s:s, s:O}", "command", "queue.explain", "id",
                                    json_object_get(oldest, "id")),
                          keep_wait, &e, NULL);
    }
}

int top_look(const struct cli *cli, struct top_look *out)
{
    struct cli kept = *cli;
    struct buf text;

    kept.json = false; /* lines are kept, not printed */
    *out = (struct top_look){
        .at_ms = clock_monotonic_ms(),
        .sites = json_object(),
        .metrics = json_object(),
        .waits = json_array(),
    };
    buf_init(&text, METRICS_MAX);
    int code = cli_control(&kept, json_pack("{s:s}", "command", "status"), keep_status, out, NULL);
    if (code == EXIT_GOOD && json_object_get(out->status, "stopping") != NULL)
        code = cli_fail(EXIT_FAILED, "ringpost is stopping; `ringpost status` tells what is left");
    if (code == EXIT_GOOD)
        code = cli_control(&kept, json_pack("{s:s}", "command", "sites"), add_site, out, NULL);
    if (code == EXIT_GOOD)
        code = cli_control_raw(&kept, json_pack("{s:s}", "command", "metrics"), keep_bytes, &text,
                               NULL);
    if (code == EXIT_GOOD) {
        take_metrics(out, buf_bytes(&text));
        kept.is_quiet = true;
        explain_oldest(&kept, out);
    }
    buf_free(&text);
    if (code != EXIT_GOOD)
        top_look_free(out);
    return code;
}

void top_look_free(struct top_look *look)
{
    json_decref(look->status);
    json_decref(look->sites);
    json_decref(look->metrics);
    json_decref(look->waits);
    *look = (struct top_look){0};
}

/* --- comparing -------------------------------------------------------------------------------- */

struct comparing {
    const struct top_look *before, *now;
    double seconds;
};

/* Counters begin again at 0 with the program. */
static double rate(const struct comparing *c, double before, double now)
{
    return (now >= before ? now - before : now) / c->seconds;
}

static double counter(const struct top_look *look, const char *name)
{
    return (double)number(json_object_get(look->status, "metrics"), name);
}

static json_t *rates_json(const struct comparing *c)
{
    static const struct {
        const char *key, *metric;
    } rates[] = {
        {"messages", "ringpost_spool_messages_accepted_total"},
        {"accepted", "ringpost_events_total{kind=\"accepted\"}"},
        {"attempts", "ringpost_delivery_attempts_total"},
        {"delivered", "ringpost_delivery_outcomes_total{outcome=\"delivered\"}"},
        {"deferred", "ringpost_delivery_outcomes_total{outcome=\"deferred\"}"},
        {"bounced", "ringpost_delivery_outcomes_total{outcome=\"bounced\"}"},
        {"expired", "ringpost_delivery_outcomes_total{outcome=\"expired\"}"},
        {"cancelled", "ringpost_delivery_outcomes_total{outcome=\"cancelled\"}"},
    };
    json_t *object = json_object();

    for (size_t i = 0; i < ARRAY_LEN(rates); i++)
        json_object_set_new(object, rates[i].key,
                            json_real(rate(c, counter(c->before, rates[i].metric),
                                           counter(c->now, rates[i].metric))));
    return object;
}

static json_t *engines_json(const struct comparing *c)
{
    const json_t *before = json_object_get(c->before->status, "engines");
    json_t *all = json_array(), *engine;
    size_t i;

    json_array_foreach(json_object_get(c->now->status, "engines"), i, engine)
        json_array_append_new(all, json_real(
                                       rate(c, (double)number(json_array_get(before, i), "busy_us"),
                                            (double)number(engine, "busy_us")) /
                                       1e6));
    return all;
}

static double site_metric(const struct top_look *look, const char *outcome, const char *site)
{
    char key[512];

    snprintf(key, sizeof(key), "ringpost_site_%s_total %s", outcome, site);
    return json_real_value(json_object_get(look->metrics, key));
}

static json_t *site_json(const struct comparing *c, const char *name, const json_t *line)
{
    static const char *const outcomes[] = {"delivered", "deferred", "bounced", "expired"};
    static const char *const kept[] = {"waiting",    "connections",   "state",
                                       "constraint", "resting_until", "last_failure"};
    json_t *site = json_pack("{s:s}", "site", name);

    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
        json_object_set_new(site, outcomes[i],
                            json_real(rate(c, site_metric(c->before, outcomes[i], name),
                                           site_metric(c->now, outcomes[i], name))));
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        json_object_set(site, kept[i], json_object_get(line, kept[i]));
    return site;
}

static double weight(const json_t *site)
{
    return (double)number(site, "waiting") + json_real_value(json_object_get(site, "delivered")) +
           json_real_value(json_object_get(site, "deferred"));
}

static int by_weight(const void *a, const void *b)
{
    const json_t *const *first = a, *const *second = b;
    double difference = weight(*second) - weight(*first);

    return difference < 0 ? -1 : difference > 0;
}

/* The largest by what waits and what is going on. */
static json_t *sites_json(const struct comparing *c)
{
    size_t count = 0, size = json_object_size(c->now->sites);
    json_t **sites = calloc(size + 1, sizeof(json_t *)), *all = json_array(), *line;
    const char *name;

    check(sites != NULL);
    json_object_foreach(c->now->sites, name, line) sites[count++] = site_json(c, name, line);
    qsort(sites, count, sizeof(json_t *), by_weight);
    for (size_t i = 0; i < count; i++) {
        if (i < SITES_MAX)
            json_array_append(all, sites[i]);
        json_decref(sites[i]);
    }
    free(sites);
    return all;
}

json_t *top_between(const struct top_look *before, const struct top_look *now)
{
    static const char *const kept[] = {"hostname", "version", "uptime_s", "sessions", "queue",
                                       "delivery", "space",   "sinks",    "unheld"};
    const struct comparing c = {
        .before = before,
        .now = now,
        .seconds = MAX((double)(now->at_ms - before->at_ms) / 1000, 0.001),
    };
    char time[CLOCK_TEXT_MAX];
    json_t *all = json_object();

    clock_format_rfc3339(clock_wall_ms(), time);
    json_object_set_new(all, "time", json_string(time));
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        json_object_set(all, kept[i], json_object_get(now->status, kept[i]));
    json_object_set_new(all, "events_lag_bytes",
                        json_real(counter(now, "ringpost_events_lag_bytes")));
    json_object_set_new(all, "rates", rates_json(&c));
    json_object_set_new(all, "engines", engines_json(&c));
    json_object_set_new(all, "sites", sites_json(&c));
    json_object_set(all, "waits", now->waits);
    return all;
}
