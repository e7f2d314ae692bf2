/* complaint.c - the fields of message/feedback-report, by table. */
#include "inbound/report/complaint.h"

#include <gmime/gmime.h>

#include "inbound/report/bounce.h"
#include "inbound/report/report_fields.h"

enum { MS_A_SECOND = 1000 };

static const struct {
    struct bytes name;
    size_t at;     /* struct bytes, or with is_list struct complaint_list, in struct complaint */
    bool is_list;  /* it may stand more than once */
    bool has_path; /* angle brackets around it are not kept */
    bool has_type; /* "dns; " before it is not kept */
} fields[] = {
#define ONE(name, member, ...) \
    { \
        BYTES(name), offsetof(struct complaint, member), __VA_ARGS__ \
    }
    ONE("Feedback-Type", type, .is_list = false),
    ONE("User-Agent", user_agent, .is_list = false),
    ONE("Version", version, .is_list = false),
    ONE("Original-Mail-From", sender, .has_path = true),
    ONE("Original-Envelope-Id", envelope_id, .is_list = false),
    ONE("Reporting-MTA", reporter, .has_type = true),
    ONE("Source-IP", source_ip, .is_list = false),
    ONE("Source-Port", source_port, .is_list = false),
    ONE("Arrival-Date", arrived, .is_list = false),
    ONE("Received-Date", arrived, .is_list = false), /* of RFC 5965's drafts, still written */
    ONE("Auth-Failure", auth_failure, .is_list = false),
    ONE("Delivery-Result", delivery_result, .is_list = false),
    ONE("DKIM-Domain", dkim_domain, .is_list = false),
    ONE("DKIM-Identity", dkim_identity, .is_list = false),
    ONE("DKIM-Selector", dkim_selector, .is_list = false),
    ONE("Original-Rcpt-To", recipients, .is_list = true, .has_path = true),
    ONE("Reported-Domain", domains, .is_list = true),
    ONE("Reported-URI", uris, .is_list = true),
    ONE("Authentication-Results", results, .is_list = true),
#undef ONE
};

static void take_incidents(struct complaint *out, struct bytes value)
{
    uint64_t incidents;

    if (bytes_to_u64(value, &incidents) && incidents <= INT64_MAX)
        out->incidents = incidents;
}

static void take_field(struct complaint *out, const struct report_field *field)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (!bytes_equal_nocase(field->name, fields[i].name))
            continue;
        void *at = (uint8_t *)out + fields[i].at;
        struct bytes value = fields[i].has_type ? report_field_typed(field->value) : field->value;

        if (fields[i].has_path)
            value = report_field_path(value);
        if (!fields[i].is_list) {
            *(struct bytes *)at = value;
            return;
        }
        struct complaint_list *list = at;
        if (list->count < COMPLAINT_LIST_MAX)
            list->texts[list->count++] = value;
        else
            list->is_cut = true;
        return;
    }
    if (bytes_equal_nocase(field->name, BYTES("Incidents")))
        take_incidents(out, field->value);
}

static void read_date(struct complaint *out, struct arena *arena)
{
    struct bytes text;

    if (out->arrived.len == 0 || !arena_copy(arena, out->arrived, &text))
        return;
    GDateTime *date = g_mime_utils_header_decode_date((const char *)text.ptr);

    if (date == NULL)
        return;
    out->has_arrived = true;
    out->arrived_ms = g_date_time_to_unix(date) * MS_A_SECOND;
    g_date_time_unref(date);
}

bool complaint_read(struct mail_parts *parts, struct complaint *out)
{
    const struct mail_part *part = mail_parts_find(parts, "message/feedback-report");
    struct report_field field;
    enum report_step step;

    *out = (struct complaint){.incidents = 1};
    if (part == NULL)
        return false;
    struct bytes text = part->content;

    while ((step = report_field_next(&text, &parts->arena, &field)) == REPORT_FIELD ||
           step == REPORT_GROUP_END)
        if (step == REPORT_FIELD)
            take_field(out, &field);
    if (step == REPORT_NO_ROOM || out->type.len == 0)
        return false;
    /* Some write the host's name behind it. */
    out->source_ip = bytes_slice(out->source_ip, 0, bytes_find(out->source_ip, ' ', 0));
    read_date(out, &parts->arena);
    out->message_id = bounce_message_id(parts);
    return true;
}
