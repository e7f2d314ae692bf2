/* bounce.c - RFC 3464's groups of fields, by table. */
#include "inbound/report/bounce.h"

#include "inbound/report/bounce_free.h"
#include "inbound/report/report_fields.h"

static const struct bytes actions[] = {
    [BOUNCE_FAILED] = BYTES("failed"),       [BOUNCE_DELAYED] = BYTES("delayed"),
    [BOUNCE_DELIVERED] = BYTES("delivered"), [BOUNCE_RELAYED] = BYTES("relayed"),
    [BOUNCE_EXPANDED] = BYTES("expanded"),
};

const char *bounce_action_name(enum bounce_action action)
{
    check(action < ARRAY_LEN(actions));
    return (const char *)actions[action].ptr;
}

/* --- one group, one recipient (section 2.3) --------------------------------------------------- */

struct group {
    struct bounce_recipient recipient;
    bool has_address;
    bool has_action;
};

static void take_action(struct group *group, struct bytes value)
{
    /* A word and sometimes a comment behind it. */
    struct bytes word = bytes_slice(value, 0, bytes_find(value, ' ', 0));

    for (size_t i = 0; i < ARRAY_LEN(actions); i++)
        if (bytes_equal_nocase(word, actions[i])) {
            group->recipient.action = (enum bounce_action)i;
            group->has_action = true;
        }
}

static void take_recipient_field(struct group *group, const struct report_field *field)
{
    struct bounce_recipient *recipient = &group->recipient;
    struct bytes name = field->name, value = field->value;

    if (bytes_equal_nocase(name, BYTES("Final-Recipient"))) {
        recipient->address = report_field_path(report_field_typed(value));
        group->has_address = recipient->address.len > 0;
    } else if (bytes_equal_nocase(name, BYTES("Original-Recipient"))) {
        recipient->original = report_field_path(report_field_typed(value));
    } else if (bytes_equal_nocase(name, BYTES("Action"))) {
        take_action(group, value);
    } else if (bytes_equal_nocase(name, BYTES("Status"))) {
        recipient->status = bounce_find_status(value);
    } else if (bytes_equal_nocase(name, BYTES("Diagnostic-Code"))) {
        recipient->diagnostic = bytes_slice(report_field_typed(value), 0, BOUNCE_TEXT_MAX);
    } else if (bytes_equal_nocase(name, BYTES("Remote-MTA"))) {
        recipient->server = report_field_typed(value);
    }
}

static void take_message_field(struct bounce *out, const struct report_field *field)
{
    if (bytes_equal_nocase(field->name, BYTES("Reporting-MTA")))
        out->reporter = report_field_typed(field->value);
    else if (bytes_equal_nocase(field->name, BYTES("Original-Envelope-Id")))
        out->envelope_id = field->value;
}

/* Without an action the class of the status says what happened (RFC 3463 section 2). */
static void end_group(struct bounce *out, struct group *group)
{
    struct bounce_recipient *recipient = &group->recipient;

    if (!group->has_address && recipient->original.len > 0) {
        recipient->address = recipient->original;
        group->has_address = true;
    }
    if (!group->has_action && recipient->status.len > 0) {
        recipient->action = recipient->status.ptr[0] == '2'   ? BOUNCE_DELIVERED
                            : recipient->status.ptr[0] == '4' ? BOUNCE_DELAYED
                                                              : BOUNCE_FAILED;
        group->has_action = true;
    }
    if (group->has_address && group->has_action) {
        if (out->count < BOUNCE_RECIPIENTS_MAX)
            out->recipients[out->count++] = *recipient;
        else
            out->is_cut = true;
    }
    *group = (struct group){0};
}

static bool read_status_part(struct mail_parts *parts, struct bytes text, struct bounce *out)
{
    struct group group = {0};
    struct report_field field;

    for (;;) {
        switch (report_field_next(&text, &parts->arena, &field)) {
        case REPORT_FIELD:
            take_message_field(out, &field);
            take_recipient_field(&group, &field);
            break;
        case REPORT_GROUP_END:
            end_group(out, &group);
            break;
        case REPORT_OVER:
            end_group(out, &group);
            out->is_standard = out->count > 0;
            return out->is_standard;
        case REPORT_NO_ROOM:
            return false;
        }
    }
}

/* --- what came back --------------------------------------------------------------------------- */

struct bytes bounce_message_id(struct mail_parts *parts)
{
    static const char *const types[] = {"message/rfc822", "text/rfc822-headers", "message/global",
                                        "message/global-headers"};
    struct report_field field;

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        const struct mail_part *part = mail_parts_find(parts, types[i]);
        struct bytes text = part == NULL ? BYTES_NONE : part->content;

        while (report_field_next(&text, &parts->arena, &field) == REPORT_FIELD)
            if (bytes_equal_nocase(field.name, BYTES("Message-ID")))
                return field.value;
    }
    return BYTES_NONE;
}

bool bounce_read(struct mail_parts *parts, struct bounce *out)
{
    static const char *const types[] = {"message/delivery-status",
                                        "message/global-delivery-status"};

    *out = (struct bounce){0};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        const struct mail_part *part = mail_parts_find(parts, types[i]);

        if (part == NULL || !read_status_part(parts, part->content, out))
            continue;
        out->message_id = bounce_message_id(parts);
        return true;
    }
    out->message_id = bounce_message_id(parts);
    return bounce_read_free(parts, out);
}
