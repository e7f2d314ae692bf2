/* reported.c - rows of a report, the worst first, into as many events as they need. */
#include "inbound/returns/reported.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/event_checks.h"
#include "event/json_text.h"

enum {
    CHECKS_MAX = 3072,
    DETAIL_MAX = 700,
    TEXT_MAX = 255,                             /* of a value in a detail */
    ROWS_AN_EVENT = EVENT_CHECKS_COUNT_MAX - 2, /* beside the report itself, and what was cut */
};

struct row {
    const char *result;
    bool is_good;
    uint64_t count;
    const json_t *of, *policy; /* TLS: a failure or NULL, and its policy */
};

struct rows {
    bool is_tls;
    size_t count, count_max;
    struct row *rows;
};

static uint64_t number_of(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));

    return value > 0 ? (uint64_t)value : 0;
}

/* --- details ---------------------------------------------------------------------------------- */

/* " key=value", where there is one; words are apart by spaces, so it holds none. */
static void put(struct buf *out, const char *key, struct bytes value)
{
    if (value.len == 0 || buf_room(out) < strlen(key) + TEXT_MAX + 2)
        return;
    (void)!buf_printf(out, "%s%s=", buf_len(out) > 0 ? " " : "", key);
    for (size_t i = 0; i < MIN(value.len, (size_t)TEXT_MAX); i++)
        (void)!buf_append_byte(out, value.ptr[i] <= ' ' ? '_' : value.ptr[i]);
}

/* " key=domain:result", each. */
static void put_results(struct buf *out, const char *key, const json_t *results)
{
    for (size_t i = 0; i < json_array_size(results) && i < 4; i++) {
        const json_t *result = json_array_get(results, i);
        char both[TEXT_MAX + 1];

        snprintf(both, sizeof(both), "%.*s:%.*s", BYTES_ARG(json_text_at(result, "domain")),
                 BYTES_ARG(json_text_at(result, "result")));
        put(out, key, bytes_of(both));
    }
}

static void put_dmarc(struct buf *out, const json_t *record)
{
    const json_t *reason = json_array_get(json_object_get(record, "reasons"), 0);

    put(out, "source_ip", json_text_at(record, "source_ip"));
    put(out, "disposition", json_text_at(record, "disposition"));
    put(out, "dkim", json_text_at(record, "dkim"));
    put(out, "spf", json_text_at(record, "spf"));
    put(out, "override", json_text_at(reason, "type"));
    put(out, "header_from", json_text_at(record, "header_from"));
    put(out, "envelope_from", json_text_at(record, "envelope_from"));
    put_results(out, "auth_dkim", json_object_get(record, "dkim_results"));
    put_results(out, "auth_spf", json_object_get(record, "spf_results"));
}

static void put_tls(struct buf *out, const struct row *row)
{
    put(out, "policy", json_text_at(row->policy, "policy-type"));
    put(out, "domain", json_text_at(row->policy, "policy-domain"));
    put(out, "mx_host", json_text_at(row->of, "receiving-mx-hostname"));
    put(out, "mx_ip", json_text_at(row->of, "receiving-ip"));
    put(out, "source_ip", json_text_at(row->of, "sending-mta-ip"));
    put(out, "reason", json_text_at(row->of, "failure-reason-code"));
}

/* --- rows ------------------------------------------------------------------------------------- */

static bool add_row(struct rows *rows, struct row row)
{
    if (rows->count == rows->count_max) {
        size_t more = rows->count_max == 0 ? 64 : 2 * rows->count_max;
        struct row *longer = realloc(rows->rows, more * sizeof(*longer));

        if (longer == NULL)
            return false;
        rows->rows = longer;
        rows->count_max = more;
    }
    rows->rows[rows->count++] = row;
    return true;
}

static bool take_dmarc(struct rows *rows, const json_t *facts)
{
    const json_t *records = json_object_get(facts, "records");
    bool fits = true;

    for (size_t i = 0; i < json_array_size(records) && fits; i++) {
        const json_t *record = json_array_get(records, i);
        bool is_good = bytes_equal(json_text_at(record, "dkim"), BYTES("pass")) ||
                       bytes_equal(json_text_at(record, "spf"), BYTES("pass"));

        fits = add_row(rows, (struct row){.result = is_good ? "pass" : "fail",
                                          .is_good = is_good,
                                          .count = number_of(record, "count"),
                                          .of = record});
    }
    return fits;
}

static bool take_policy(struct rows *rows, const json_t *entry)
{
    const json_t *policy = json_object_get(entry, "policy");
    const json_t *summary = json_object_get(entry, "summary");
    const json_t *failures = json_object_get(entry, "failure-details");
    uint64_t failed = number_of(summary, "total-failure-session-count");
    bool fits =
        add_row(rows, (struct row){.result = "success",
                                   .is_good = true,
                                   .count = number_of(summary, "total-successful-session-count"),
                                   .policy = policy});

    if (fits && failed > 0 && json_array_size(failures) == 0)
        fits = add_row(rows, (struct row){.result = "failure", .count = failed, .policy = policy});
    for (size_t i = 0; i < json_array_size(failures) && fits; i++) {
        const json_t *failure = json_array_get(failures, i);
        const char *type = json_string_value(json_object_get(failure, "result-type"));

        fits = add_row(rows, (struct row){.result = type != NULL ? type : "failure",
                                          .count = number_of(failure, "failed-session-count"),
                                          .of = failure,
                                          .policy = policy});
    }
    return fits;
}

static bool take_tls(struct rows *rows, const json_t *facts)
{
    const json_t *policies = json_object_get(facts, "policies");
    bool fits = true;

    for (size_t i = 0; i < json_array_size(policies) && fits; i++)
        fits = take_policy(rows, json_array_get(policies, i));
    return fits;
}

static int compare(const void *a, const void *b)
{
    const struct row *one = a, *two = b;

    if (one->is_good != two->is_good)
        return one->is_good ? 1 : -1;
    return (one->count < two->count) - (one->count > two->count);
}

/* --- events ----------------------------------------------------------------------------------- */

static void put_report(struct buf *checks, const struct rows *rows, const json_t *facts)
{
    const json_t *dates = rows->is_tls ? json_object_get(facts, "date-range") : facts;
    const json_t *policy = json_object_get(facts, "policy");
    struct buf detail;

    buf_init(&detail, DETAIL_MAX + TEXT_MAX);
    put(&detail, "domain", json_text_at(policy, "domain"));
    put(&detail, "begin", json_text_at(dates, rows->is_tls ? "start-datetime" : "begin"));
    put(&detail, "end", json_text_at(dates, rows->is_tls ? "end-datetime" : "end"));
    put(&detail, "id", json_text_at(facts, rows->is_tls ? "report-id" : "report_id"));
    const struct event_check line = {.name = BYTES("report"),
                                     .result = rows->is_tls ? BYTES("tls") : BYTES("dmarc"),
                                     .detail = buf_bytes(&detail)};
    (void)!event_checks_add(checks, &line);
    buf_free(&detail);
}

/* False: no room for it in this event. */
static bool put_row(struct buf *checks, bool is_tls, const struct row *row)
{
    char count[24];
    struct buf detail;

    snprintf(count, sizeof(count), "%" PRIu64, row->count);
    buf_init(&detail, DETAIL_MAX);
    if (is_tls)
        put_tls(&detail, row);
    else
        put_dmarc(&detail, row->of);
    const struct event_check line = {
        .name = is_tls ? BYTES("tls") : BYTES("dmarc"),
        .result = bytes_slice(bytes_of(row->result), 0, TEXT_MAX),
        .weight = bytes_of(count),
        .detail = buf_bytes(&detail),
    };
    bool fits = event_checks_add(checks, &line);
    buf_free(&detail);
    return fits;
}

static void put_cut(struct buf *checks, const struct rows *rows, size_t from)
{
    uint64_t sum = 0;
    char count[24], detail[64];

    for (size_t i = from; i < rows->count; i++)
        sum += rows->rows[i].count;
    snprintf(count, sizeof(count), "%" PRIu64, sum);
    snprintf(detail, sizeof(detail), "rows=%zu", rows->count - from);
    const struct event_check line = {.name = BYTES("report"),
                                     .result = BYTES("cut"),
                                     .weight = bytes_of(count),
                                     .detail = bytes_of(detail)};
    (void)!event_checks_add(checks, &line);
}

/* Rows from `from` on that one event has room for. */
static size_t fill(struct returned *r, const struct rows *rows, const json_t *facts, size_t from,
                   struct buf *checks)
{
    bool is_last = r->count + 1 == RETURNED_EVENTS_MAX;
    struct buf lines; /* leaves room for what was cut */
    size_t i;

    buf_init(&lines, CHECKS_MAX - 128);
    put_report(&lines, rows, facts);
    for (i = from; i < rows->count && i - from < ROWS_AN_EVENT; i++)
        if (!put_row(&lines, rows->is_tls, &rows->rows[i]))
            break;
    (void)!buf_append(checks, buf_bytes(&lines));
    buf_free(&lines);
    if (is_last && i < rows->count)
        put_cut(checks, rows, i);
    return i;
}

static bool say(struct returned *r, const struct rows *rows, struct event *event)
{
    uint64_t good = 0, bad = 0;

    for (size_t i = 0; i < rows->count; i++)
        *(rows->rows[i].is_good ? &good : &bad) += rows->rows[i].count;
    return arena_printf(&r->arena, &event->reply_text,
                        "%" PRIu64 " of %" PRIu64 " %s failed, as %.*s tells", bad, good + bad,
                        rows->is_tls ? "TLS sessions" : "messages", BYTES_ARG(event->mx_host));
}

static bool add_event(struct returned *r, const struct rows *rows, const json_t *facts,
                      size_t *from)
{
    struct event *event = &r->events[r->count];
    struct bytes who = json_text_at(facts, rows->is_tls ? "organization-name" : "organization");
    struct buf checks;

    *event = (struct event){
        .kind = EVENT_REPORTED,
        .part = (uint32_t)r->count,
        .tenant = r->tenant,
        .times = {-1, -1, -1, -1, -1, -1},
        .class = rows->is_tls ? BYTES("tls") : BYTES("dmarc"),
        .rule = rows->is_tls ? BYTES("tls-report") : BYTES("aggregate-report"),
    };
    buf_init(&checks, CHECKS_MAX);
    *from = fill(r, rows, facts, *from, &checks);
    bool fits = arena_copy(&r->arena, buf_bytes(&checks), &event->checks) &&
                arena_copy(&r->arena, bytes_slice(who, 0, TEXT_MAX), &event->mx_host) &&
                say(r, rows, event);
    buf_free(&checks);
    r->count += fits;
    return fits;
}

bool reported_add(struct returned *r, const struct report *report)
{
    struct rows rows = {.is_tls = report->kind == REPORT_TLS};
    bool fits = rows.is_tls ? take_tls(&rows, report->facts) : take_dmarc(&rows, report->facts);
    size_t from = 0;

    if (rows.count > 0)
        qsort(rows.rows, rows.count, sizeof(*rows.rows), compare);
    do
        fits = fits && add_event(r, &rows, report->facts, &from);
    while (fits && from < rows.count && r->count < RETURNED_EVENTS_MAX);
    free(rows.rows);
    return fits;
}
