/* report_json.c - a report as one JSON object. */
#include "base/clock.h"
#include "event/json_text.h"
#include "inbound/report/report.h"

static json_t *text_or_null(struct bytes text)
{
    return text.len > 0 ? json_text(text) : json_null();
}

static json_t *recipient_json(const struct bounce_recipient *recipient)
{
    return json_pack("{s:o,s:o,s:s,s:o,s:o,s:o}", "address", json_text(recipient->address),
                     "original", text_or_null(recipient->original), "action",
                     bounce_action_name(recipient->action), "status",
                     text_or_null(recipient->status), "diagnostic",
                     text_or_null(recipient->diagnostic), "server",
                     text_or_null(recipient->server));
}

static json_t *bounce_json(const struct bounce *bounce)
{
    json_t *recipients = json_array();

    for (size_t i = 0; i < bounce->count; i++)
        if (json_array_append_new(recipients, recipient_json(&bounce->recipients[i])) < 0) {
            json_decref(recipients);
            return NULL;
        }
    return json_pack("{s:b,s:b,s:o,s:o,s:o,s:o}", "is_standard", bounce->is_standard, "is_cut",
                     bounce->is_cut, "reporter", text_or_null(bounce->reporter), "envelope_id",
                     text_or_null(bounce->envelope_id), "message_id",
                     text_or_null(bounce->message_id), "recipients", recipients);
}

static json_t *list_json(const struct complaint_list *list)
{
    json_t *out = json_array();

    for (size_t i = 0; i < list->count; i++)
        if (json_array_append_new(out, json_text(list->texts[i])) < 0) {
            json_decref(out);
            return NULL;
        }
    return out;
}

static json_t *number_or_null(struct bytes text)
{
    uint64_t value;

    return bytes_to_u64(text, &value) && value <= UINT16_MAX ? json_integer((json_int_t)value)
                                                             : json_null();
}

static json_t *complaint_json(const struct complaint *complaint)
{
    char arrived[CLOCK_TEXT_MAX] = "";

    if (complaint->has_arrived)
        clock_format_rfc3339(complaint->arrived_ms, arrived);
    return json_pack(
        "{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:s?,s:o,s:o,s:o,s:o,s:o,s:o,s:I,s:o,s:o,s:o,s:o}",
        "type", json_text(complaint->type), "user_agent", text_or_null(complaint->user_agent),
        "version", text_or_null(complaint->version), "sender", text_or_null(complaint->sender),
        "envelope_id", text_or_null(complaint->envelope_id), "reporter",
        text_or_null(complaint->reporter), "source_ip", text_or_null(complaint->source_ip),
        "source_port", number_or_null(complaint->source_port), "arrived",
        complaint->has_arrived ? arrived : NULL, "message_id", text_or_null(complaint->message_id),
        "auth_failure", text_or_null(complaint->auth_failure), "delivery_result",
        text_or_null(complaint->delivery_result), "dkim_domain",
        text_or_null(complaint->dkim_domain), "dkim_identity",
        text_or_null(complaint->dkim_identity), "dkim_selector",
        text_or_null(complaint->dkim_selector), "incidents", (json_int_t)complaint->incidents,
        "recipients", list_json(&complaint->recipients), "domains", list_json(&complaint->domains),
        "uris", list_json(&complaint->uris), "results", list_json(&complaint->results));
}

json_t *report_json(const struct report *report)
{
    json_t *facts = report->kind == REPORT_BOUNCE      ? bounce_json(&report->bounce)
                    : report->kind == REPORT_COMPLAINT ? complaint_json(&report->complaint)
                                                       : json_incref(report->facts);

    return json_pack("{s:s,s:o}", "kind", report_kind_name(report->kind), "report", facts);
}
