/* tls_report.c - RFC 8460 section 4.4, member by member. */
#include "inbound/report/tls_report.h"

#include <string.h>

/* A member of an object: where it comes from and what it has to be. */
struct member {
    const char *name;
    json_type type;
    bool is_needed;
};

static const struct member of_policy[] = {
    {"policy-string", JSON_ARRAY, false},
    {"policy-domain", JSON_STRING, false},
    {"mx-host", JSON_ARRAY, false},
};
/* RFC 8460 wants both; senders leave out what was none. */
static const struct member of_summary[] = {
    {"total-successful-session-count", JSON_INTEGER, false},
    {"total-failure-session-count", JSON_INTEGER, false},
};
static const struct member of_failure[] = {
    {"result-type", JSON_STRING, true},
    {"sending-mta-ip", JSON_STRING, false},
    {"receiving-mx-hostname", JSON_STRING, false},
    {"receiving-mx-helo", JSON_STRING, false},
    {"receiving-ip", JSON_STRING, false},
    {"failed-session-count", JSON_INTEGER, true},
    {"additional-information", JSON_STRING, false},
    {"failure-reason-code", JSON_STRING, false},
};
static const struct member of_report[] = {
    {"organization-name", JSON_STRING, false},
    {"contact-info", JSON_STRING, false},
    {"report-id", JSON_STRING, true},
};
static const struct member of_dates[] = {
    {"start-datetime", JSON_STRING, true},
    {"end-datetime", JSON_STRING, true},
};

/* Lists hold texts. Older reports have a text alone where a list belongs. */
static json_t *list_of(const json_t *value)
{
    json_t *list = json_array();

    if (json_is_string(value))
        json_array_append(list, (json_t *)value);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (json_is_string(json_array_get(value, i)))
            json_array_append(list, json_array_get(value, i));
    return list;
}

/* Copies what is known. False: one that is needed is missing or something else. */
static bool copy(const json_t *from, const struct member *members, size_t count, json_t *to)
{
    for (size_t i = 0; i < count; i++) {
        json_t *value = json_object_get(from, members[i].name);
        bool is_list = members[i].type == JSON_ARRAY;

        if (is_list && (json_is_array(value) || json_is_string(value))) {
            if (json_object_set_new(to, members[i].name, list_of(value)) < 0)
                return false;
        } else if (value != NULL && json_typeof(value) == members[i].type) {
            if (json_object_set(to, members[i].name, value) < 0)
                return false;
        } else if (members[i].is_needed) {
            return false;
        }
    }
    return true;
}

static const char *policy_type(const json_t *policy)
{
    static const char *const types[] = {"tlsa", "sts", "no-policy-found"};
    const char *word = json_string_value(json_object_get(policy, "policy-type"));

    for (size_t i = 0; word != NULL && i < ARRAY_LEN(types); i++)
        if (strcmp(word, types[i]) == 0)
            return types[i];
    return "other";
}

static bool copy_failures(const json_t *from, json_t *to)
{
    const json_t *given = json_object_get(from, "failure-details");
    json_t *failures = json_array();

    if (json_object_set_new(to, "failure-details", failures) < 0)
        return false;
    for (size_t i = 0; i < json_array_size(given) && i < TLS_REPORT_FAILURES_MAX; i++) {
        json_t *failure = json_object();

        if (json_array_append_new(failures, failure) < 0 ||
            !copy(json_array_get(given, i), of_failure, ARRAY_LEN(of_failure), failure))
            return false;
    }
    return true;
}

static bool copy_policy(const json_t *from, json_t *to)
{
    const json_t *policy = json_object_get(from, "policy");
    json_t *copied = json_object(), *summary = json_object();

    return json_object_set_new(to, "policy", copied) == 0 &&
           json_object_set_new(to, "summary", summary) == 0 &&
           json_object_set_new(copied, "policy-type", json_string(policy_type(policy))) == 0 &&
           copy(policy, of_policy, ARRAY_LEN(of_policy), copied) &&
           copy(json_object_get(from, "summary"), of_summary, ARRAY_LEN(of_summary), summary) &&
           copy_failures(from, to);
}

static bool copy_report(const json_t *from, json_t *to)
{
    const json_t *given = json_object_get(from, "policies");
    json_t *dates = json_object(), *policies = json_array();

    if (json_object_set_new(to, "date-range", dates) < 0 ||
        json_object_set_new(to, "policies", policies) < 0 || !json_is_array(given) ||
        !copy(from, of_report, ARRAY_LEN(of_report), to) ||
        !copy(json_object_get(from, "date-range"), of_dates, ARRAY_LEN(of_dates), dates))
        return false;
    for (size_t i = 0; i < json_array_size(given) && i < TLS_REPORT_POLICIES_MAX; i++) {
        json_t *policy = json_object();

        if (json_array_append_new(policies, policy) < 0 ||
            !copy_policy(json_array_get(given, i), policy))
            return false;
    }
    return true;
}

json_t *tls_report_read(struct bytes json, const char **why_out)
{
    json_error_t error;
    json_t *parsed = json_loadb((const char *)json.ptr, json.len, 0, &error);

    *why_out = "it is no JSON";
    if (parsed == NULL)
        return NULL;
    json_t *report = json_object();

    if (report == NULL || !copy_report(parsed, report)) {
        *why_out = "it lacks what a TLS report has to say";
        json_decref(report);
        report = NULL;
    }
    json_decref(parsed);
    return report;
}
