/* labels.c - header fields for us alone, judged and put into the message. */
#include "submission/labels.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "event/json_check.h"
#include "event/json_text.h"

enum {
    TAGS_MAX = 32,
    TAG_LEN_MAX = 100,
    TEXT_MAX = 160,
};

/* What each may have, which is what an event has room for. */
static const uint16_t kept[SUBMISSION_LABEL_COUNT] = {
    [LABEL_CLASS] = 16,      [LABEL_CAMPAIGN] = 255, [LABEL_TAGS] = 1024,
    [LABEL_METADATA] = 1024, [LABEL_KEY] = 255,
};

const char *submission_label_name(enum submission_label label)
{
    static const char *const names[] = {
        [LABEL_CLASS] = "X-Priority-Class",
        [LABEL_CAMPAIGN] = "X-Campaign",
        [LABEL_TAGS] = "X-Tags",
        [LABEL_METADATA] = "X-Metadata",
        [LABEL_KEY] = "Idempotency-Key",
    };

    check(label < SUBMISSION_LABEL_COUNT);
    return names[label];
}

void labels_add_rows(struct submission *submission,
                     const char *const names[static SUBMISSION_LABEL_COUNT])
{
    for (unsigned i = 0; i < SUBMISSION_LABEL_COUNT; i++) {
        const char *name =
            names[i] != NULL ? names[i] : submission_label_name((enum submission_label)i);
        char *copy = submission->label_names[i];

        snprintf(copy, SUBMISSION_LABEL_NAME_MAX + 1, "%s", name);
        struct header_rule rule = {.name = bytes_of(copy),
                                   .drop = true,
                                   .capture_count = 1,
                                   .capture_max = kept[i]};
        int row = header_table_add(&submission->fields, &rule);

        check(row == SUBMISSION_LABELS + (int)i); /* the configuration has looked at the names */
    }
}

/* The words live until the next refusal of the thread, which is after they were said. */
static struct verdict refuse(const struct submission *submission, enum submission_label label,
                             const char *why)
{
    static _Thread_local char text[TEXT_MAX];

    snprintf(text, sizeof(text), "%s %s", submission->label_names[label], why);
    return verdict_refuse(550, "5.6.0", text, "labels");
}

static const char *take_class(struct bytes text, struct intake_labels *labels)
{
    for (unsigned class = 0; class < MAIL_CLASSES; class ++) {
        if (!bytes_equal_nocase(text, bytes_of(mail_class_name((enum mail_class) class))))
            continue;
        labels->class = (uint8_t) class;
        return NULL;
    }
    return "is none of high, normal and bulk";
}

static const char *take_campaign(struct bytes text, struct intake_labels *labels)
{
    labels->campaign = text;
    return utf8_is_printable(text) ? NULL : "is not printable UTF-8";
}

/* "a, b" */
static const char *join_tags(struct bytes text, struct buf *out)
{
    unsigned count = 0;

    while (text.len > 0) {
        struct bytes tag = bytes_slice(text, 0, bytes_find(text, ',', 0));

        text = bytes_slice(text, tag.len + 1, text.len);
        tag = bytes_trim(tag);
        if (tag.len == 0)
            continue;
        if (tag.len > TAG_LEN_MAX)
            return "has a tag of more than 100 bytes";
        if (++count > TAGS_MAX)
            return "has more than 32 tags";
        if (!buf_append_byte(out, count == 1 ? '[' : ',') || !json_text_append(out, tag))
            return "is too long";
    }
    return count == 0 || buf_append_byte(out, ']') ? NULL : "is too long";
}

/* A list with commas, or JSON as it is. `room` keeps what is made of the former. */
static const char *take_tags(struct bytes text, struct buf *room, struct intake_labels *labels)
{
    if (text.len > 0 && text.ptr[0] == '[') {
        labels->tags = text;
        return json_holds_strings(text) ? NULL : "is no JSON array of strings";
    }
    if (!utf8_is_printable(text))
        return "is not printable UTF-8";
    const char *why = join_tags(text, room);

    labels->tags = buf_bytes(room);
    return why;
}

static const char *take_metadata(struct bytes text, struct intake_labels *labels)
{
    labels->metadata = text;
    return json_holds_object(text) ? NULL : "is no JSON object";
}

static const char *take_key(struct bytes text, struct submission_session *session)
{
    session->claim = claim_of(bytes_of(session->tenant), text);
    session->has_claim = true;
    return NULL;
}

static const char *take(enum submission_label label, struct bytes text, struct buf *room,
                        struct intake_labels *labels, struct submission_session *session)
{
    switch (label) {
    case LABEL_CLASS:
        return take_class(text, labels);
    case LABEL_CAMPAIGN:
        return take_campaign(text, labels);
    case LABEL_TAGS:
        return take_tags(text, room, labels);
    case LABEL_METADATA:
        return take_metadata(text, labels);
    case LABEL_KEY:
        return take_key(text, session);
    case SUBMISSION_LABEL_COUNT:
        break;
    }
    check(false);
    return NULL;
}

static struct verdict take_all(const struct submission *submission,
                               struct submission_session *session, struct intake *intake,
                               struct buf *room, struct intake_labels *labels)
{
    for (unsigned i = 0; i < SUBMISSION_LABEL_COUNT; i++) {
        enum submission_label label = (enum submission_label)i;
        struct header_value value;
        uint32_t count = intake_field_count(intake, SUBMISSION_LABELS + i);

        if (count == 0)
            continue;
        if (count > 1)
            return refuse(submission, label, "stands more than once");
        if (!intake_field_value(intake, SUBMISSION_LABELS + i, 0, &value) || value.text.len == 0)
            continue; /* says nothing */
        const char *why = value.is_cut       ? "is too long"
                          : value.is_altered ? "has bytes that no field may have"
                                             : take(label, value.text, room, labels, session);
        if (why != NULL)
            return refuse(submission, label, why);
    }
    return VERDICT_OK;
}

struct verdict labels_take(const struct submission *submission, struct submission_session *session,
                           struct intake *intake)
{
    struct intake_labels labels = {.class = session->class};
    struct buf room;
    bool has_any = false;

    session->has_claim = false;
    for (unsigned i = 0; i < SUBMISSION_LABEL_COUNT; i++)
        has_any |= intake_field_count(intake, SUBMISSION_LABELS + i) > 0;
    if (!has_any)
        return VERDICT_OK;
    buf_init(&room, 2 * EVENT_ENCODED_MAX);
    struct verdict verdict = take_all(submission, session, intake, &room, &labels);
    if (verdict.code == 0 && labels.tags.len > kept[LABEL_TAGS])
        verdict = refuse(submission, LABEL_TAGS, "is too long");
    if (verdict.code == 0 && !intake_label(intake, &labels))
        verdict = intake_out_of_memory();
    buf_free(&room);
    return verdict;
}
