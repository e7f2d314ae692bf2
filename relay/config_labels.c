/* config_labels.c - the header fields by which submitters label mail for us. */
#include "relay/config_wings.h"
#include "smtp/header_table.h"

static bool is_field_name(struct bytes text)
{
    /* Taken out of every mail, these would be missed. */
    static const struct bytes needed[] = {
        BYTES("From"),       BYTES("Sender"),      BYTES("Reply-To"),     BYTES("To"),
        BYTES("Cc"),         BYTES("Bcc"),         BYTES("Subject"),      BYTES("Date"),
        BYTES("Message-ID"), BYTES("References"),  BYTES("Received"),     BYTES("In-Reply-To"),
        BYTES("Resent-Bcc"), BYTES("Return-Path"), BYTES("MIME-Version"), BYTES("DKIM-Signature"),
    };

    if (text.len == 0 || text.len > SUBMISSION_LABEL_NAME_MAX ||
        bytes_starts_nocase(text, BYTES("Content-")) || bytes_starts_nocase(text, BYTES("List-")))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!header_is_name_byte(text.ptr[i]))
            return false;
    for (size_t i = 0; i < ARRAY_LEN(needed); i++)
        if (bytes_equal_nocase(text, needed[i]))
            return false;
    return true;
}

#define LABEL(key, label, field, sentence) \
    { \
        .name = (key), .kind = CONFIG_TEXT, .at = AT(submission.labels[label]), \
        .standard = (field), \
        .expected = "the name of a header field that mail does not need itself", \
        .is_valid = is_field_name, .needs_restart = true, .says = (sentence) \
    }

static const struct config_key label_keys[] = {
    LABEL("class", LABEL_CLASS, "X-Priority-Class",
          "Field that says the class of a message: high, normal or bulk."),
    LABEL("campaign", LABEL_CAMPAIGN, "X-Campaign", "Field that names the campaign."),
    LABEL("tags", LABEL_TAGS, "X-Tags", "Field with tags: a, b or a JSON array."),
    LABEL("metadata", LABEL_METADATA, "X-Metadata", "Field with a JSON object of the submitter's."),
    LABEL("idempotency_key", LABEL_KEY, "Idempotency-Key",
          "Field with a key: a message that comes again with it is not taken again."),
    {.kind = CONFIG_END},
};

static const struct config_key labels_keys[] = {
    {.name = "labels",
     .kind = CONFIG_SECTION,
     .keys = label_keys,
     .says = "Header fields for us alone; they are taken out of the mail."},
    {.kind = CONFIG_END},
};

static void finish(struct config_reader *reader, struct config *config)
{
    const char *const *names = config->submission.labels;

    for (unsigned i = 0; i < SUBMISSION_LABEL_COUNT; i++)
        for (unsigned j = 0; j < i; j++)
            if (bytes_equal_nocase(bytes_of(names[i]), bytes_of(names[j])))
                config_error(reader, config_node(reader, "labels"),
                             "labels: \"%s\" stands twice; expected a field each", names[i]);
}

const struct config_key config_labels[] = {
    {.kind = CONFIG_PART, .keys = labels_keys, .finish = finish},
    {.kind = CONFIG_END},
};
