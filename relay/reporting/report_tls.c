/* report_tls.c - the JSON of a TLS report. */
#include <inttypes.h>
#include <string.h>

#include "event/json_text.h"
#include "reporting/report_write.h"
#include "reporting/tls_count.h"

struct policies {
    const struct tally_report *report;
    const struct report_describe *describe;
    json_t *list;
    bool has_failed;
};

static bool is_of(const json_t *entry, const struct tally_row *row)
{
    const json_t *policy = json_object_get(entry, "policy");

    return bytes_equal(json_text_at(policy, "policy-type"), row->columns[TLS_POLICY_TYPE]) &&
           bytes_equal(json_text_at(policy, "policy-domain"), row->columns[TLS_POLICY_DOMAIN]);
}

static json_t *add_policy(struct policies *p, const struct tally_row *row)
{
    struct bytes type = row->columns[TLS_POLICY_TYPE];
    json_t *policy = json_pack("{s:o,s:o}", "policy-type", json_text(type), "policy-domain",
                               json_text(row->columns[TLS_POLICY_DOMAIN]));
    json_t *entry = json_pack("{s:o,s:{s:i,s:i},s:[]}", "policy", policy, "summary",
                              "total-successful-session-count", 0, "total-failure-session-count", 0,
                              "failure-details");

    if (entry == NULL || json_array_append_new(p->list, entry) < 0) {
        p->has_failed = true;
        return NULL;
    }
    if (p->describe != NULL)
        p->describe->tell(p->describe->context, p->report->domain,
                          json_string_value(json_object_get(policy, "policy-type")),
                          row->columns[TLS_POLICY_DOMAIN], policy);
    return entry;
}

static json_t *policy_for(struct policies *p, const struct tally_row *row)
{
    for (size_t i = 0; i < json_array_size(p->list); i++)
        if (is_of(json_array_get(p->list, i), row))
            return json_array_get(p->list, i);
    return add_policy(p, row);
}

static bool put_given(json_t *object, const char *key, struct bytes text)
{
    return text.len == 0 || json_object_set_new(object, key, json_text(text)) == 0;
}

static bool add_failure(json_t *entry, const struct tally_row *row)
{
    json_t *failure = json_pack("{s:o,s:I}", "result-type", json_text(row->columns[TLS_RESULT]),
                                "failed-session-count", (json_int_t)row->count);

    return json_array_append_new(json_object_get(entry, "failure-details"), failure) == 0 &&
           put_given(failure, "sending-mta-ip", row->columns[TLS_SOURCE_IP]) &&
           put_given(failure, "receiving-mx-hostname", row->columns[TLS_MX_HOST]) &&
           put_given(failure, "receiving-ip", row->columns[TLS_MX_IP]) &&
           put_given(failure, "failure-reason-code", row->columns[TLS_REASON]);
}

static void put_row(void *context, const struct tally_row *row)
{
    struct policies *p = context;
    bool is_good = bytes_equal(row->columns[TLS_RESULT], BYTES("success"));
    const char *key = is_good ? "total-successful-session-count" : "total-failure-session-count";
    json_t *entry = policy_for(p, row);
    json_t *summary = json_object_get(entry, "summary");
    json_int_t before = json_integer_value(json_object_get(summary, key));

    if (entry == NULL ||
        json_object_set_new(summary, key, json_integer(before + (json_int_t)row->count)) < 0 ||
        (!is_good && !add_failure(entry, row)))
        p->has_failed = true;
}

bool report_write_tls(struct tally *tally, const struct tally_report *report,
                      const struct report_author *author, const struct report_describe *describe,
                      struct buf *out)
{
    struct policies p = {.report = report, .describe = describe, .list = json_array()};
    char day[TALLY_DAY_TEXT_MAX], begin[40], end[40], id[REPORT_ID_MAX];

    tally_day_format(report->day, day);
    snprintf(begin, sizeof(begin), "%sT00:00:00Z", day);
    snprintf(end, sizeof(end), "%sT23:59:59Z", day);
    report_id(author, report, id);
    bool is_read = tally_rows(tally, report, put_row, &p);
    json_t *whole = json_pack("{s:o,s:{s:s,s:s},s:s,s:s,s:o}", "organization-name",
                              json_text_of(author->organization), "date-range", "start-datetime",
                              begin, "end-datetime", end, "contact-info",
                              author->contact != NULL ? author->contact : author->email,
                              "report-id", id, "policies", p.list);
    char *text = whole != NULL ? json_dumps(whole, JSON_COMPACT) : NULL;
    bool fits = is_read && !p.has_failed && text != NULL && buf_append(out, bytes_of(text));

    free(text);
    json_decref(whole);
    return fits;
}
