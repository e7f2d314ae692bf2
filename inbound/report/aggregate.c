/* aggregate.c - the elements of an aggregate report, by table. */
#include "inbound/report/aggregate.h"

#include <expat.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "event/json_text.h"

enum { MS_A_SECOND = 1000, LEVELS_MAX = 8, PIECE_MAX = 1 << 20 };

/* Where in the document we are; each with an object that its leaves go into. */
enum level {
    AT_START,
    AT_FEEDBACK,
    AT_METADATA,
    AT_DATES,
    AT_POLICY,
    AT_RECORD,
    AT_ROW,
    AT_EVALUATED,
    AT_REASON,
    AT_IDENTIFIERS,
    AT_AUTH,
    AT_DKIM,
    AT_SPF,
};

enum how {
    ENTER,      /* its leaves go where its parent's go */
    ENTER_ONE,  /* an object `key` of its own */
    ENTER_EACH, /* an object in the array `key` */
    TEXT,
    WORD,     /* lower case */
    OVERRIDE, /* a reason's type */
    NUMBER,
    TIME,      /* seconds since 1970 */
    FLAG,      /* y or n */
    TEXT_EACH, /* one of the texts in the array `key` */
};

static const struct element {
    enum level parent;
    const char *name;
    enum how how;
    const char *key;
    enum level level; /* for ENTER and its kin */
} elements[] = {
    {AT_START, "feedback", ENTER, NULL, AT_FEEDBACK},
    {AT_FEEDBACK, "version", TEXT, "version", 0},
    {AT_FEEDBACK, "report_metadata", ENTER, NULL, AT_METADATA},
    {AT_FEEDBACK, "policy_published", ENTER_ONE, "policy", AT_POLICY},
    {AT_FEEDBACK, "record", ENTER_EACH, "records", AT_RECORD},
    {AT_METADATA, "org_name", TEXT, "organization", 0},
    {AT_METADATA, "email", TEXT, "email", 0},
    {AT_METADATA, "extra_contact_info", TEXT, "contact", 0},
    {AT_METADATA, "report_id", TEXT, "report_id", 0},
    {AT_METADATA, "generator", TEXT, "generator", 0},
    {AT_METADATA, "error", TEXT_EACH, "errors", 0},
    {AT_METADATA, "date_range", ENTER, NULL, AT_DATES},
    {AT_DATES, "begin", TIME, "begin", 0},
    {AT_DATES, "end", TIME, "end", 0},
    {AT_POLICY, "domain", TEXT, "domain", 0},
    {AT_POLICY, "adkim", WORD, "adkim", 0},
    {AT_POLICY, "aspf", WORD, "aspf", 0},
    {AT_POLICY, "p", WORD, "p", 0},
    {AT_POLICY, "sp", WORD, "sp", 0},
    {AT_POLICY, "np", WORD, "np", 0},
    {AT_POLICY, "pct", NUMBER, "pct", 0},
    {AT_POLICY, "fo", TEXT, "fo", 0},
    {AT_POLICY, "testing", FLAG, "testing", 0},
    {AT_POLICY, "discovery_method", WORD, "discovery_method", 0},
    {AT_RECORD, "row", ENTER, NULL, AT_ROW},
    {AT_RECORD, "identifiers", ENTER, NULL, AT_IDENTIFIERS},
    {AT_RECORD, "auth_results", ENTER, NULL, AT_AUTH},
    {AT_ROW, "source_ip", TEXT, "source_ip", 0},
    {AT_ROW, "count", NUMBER, "count", 0},
    {AT_ROW, "policy_evaluated", ENTER, NULL, AT_EVALUATED},
    {AT_EVALUATED, "disposition", WORD, "disposition", 0},
    {AT_EVALUATED, "dkim", WORD, "dkim", 0},
    {AT_EVALUATED, "spf", WORD, "spf", 0},
    {AT_EVALUATED, "reason", ENTER_EACH, "reasons", AT_REASON},
    {AT_REASON, "type", OVERRIDE, "type", 0},
    {AT_REASON, "comment", TEXT, "comment", 0},
    {AT_IDENTIFIERS, "header_from", TEXT, "header_from", 0},
    {AT_IDENTIFIERS, "envelope_from", TEXT, "envelope_from", 0},
    {AT_IDENTIFIERS, "envelope_to", TEXT, "envelope_to", 0},
    {AT_AUTH, "dkim", ENTER_EACH, "dkim_results", AT_DKIM},
    {AT_AUTH, "spf", ENTER_EACH, "spf_results", AT_SPF},
    {AT_DKIM, "domain", TEXT, "domain", 0},
    {AT_DKIM, "selector", TEXT, "selector", 0},
    {AT_DKIM, "result", WORD, "result", 0},
    {AT_DKIM, "human_result", TEXT, "human_result", 0},
    {AT_SPF, "domain", TEXT, "domain", 0},
    {AT_SPF, "scope", WORD, "scope", 0},
    {AT_SPF, "result", WORD, "result", 0},
    {AT_SPF, "human_result", TEXT, "human_result", 0},
};

struct reader {
    XML_Parser parser;
    json_t *report;
    unsigned depth; /* of `levels` */
    struct {
        enum level level;
        json_t *object;
    } levels[LEVELS_MAX];
    const struct element *leaf; /* whose text is being read */
    unsigned skipped;           /* elements open that are not known */
    bool is_broken;             /* no memory, or it is another document */
    size_t text_len;
    uint8_t text[AGGREGATE_TEXT_MAX];
};

/* --- into JSON -------------------------------------------------------------------------------- */

/* Takes `value` over, NULL too. */
static void set(struct reader *reader, json_t *object, const char *key, json_t *value)
{
    if (value == NULL || json_object_set_new(object, key, value) < 0) {
        reader->is_broken = true;
        XML_StopParser(reader->parser, XML_FALSE);
    }
}

/* Appends to the array `key`; false: it is full. Takes `value` over. */
static bool append(struct reader *reader, json_t *object, const char *key, size_t max,
                   json_t *value)
{
    json_t *list = json_object_get(object, key);

    if (list == NULL) {
        list = json_array();
        set(reader, object, key, list);
    }
    if (json_array_size(list) >= max) {
        json_decref(value);
        set(reader, reader->report, "is_cut", json_true());
        return false;
    }
    if (json_array_append_new(list, value) < 0)
        set(reader, object, key, NULL);
    return true;
}

static json_t *lower(struct reader *reader, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        reader->text[i] = byte_lower(text.ptr[i]);
    return json_text(bytes_range(reader->text, text.len));
}

/* RFC 9990's words; older reports have others, which fall under "other". */
static json_t * override(struct bytes text)
{
    static const struct bytes words[] = {
        BYTES("local_policy"),     BYTES("mailing_list"),      BYTES("other"),
        BYTES("policy_test_mode"), BYTES("trusted_forwarder"), BYTES("forwarded"),
    };

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (bytes_equal_nocase(text, words[i]))
            return json_text(words[i]);
    return json_string("other");
}

static json_t *number(struct bytes text)
{
    uint64_t value;

    return bytes_to_u64(text, &value) && value <= INT64_MAX ? json_integer((json_int_t)value)
                                                            : json_null();
}

static json_t *time_of(struct bytes text)
{
    char out[CLOCK_TEXT_MAX];
    uint64_t seconds;

    if (!bytes_to_u64(text, &seconds) || seconds > UINT32_MAX)
        return json_null();
    clock_format_rfc3339((int64_t)seconds * MS_A_SECOND, out);
    return json_string(out);
}

static struct bytes trimmed(struct bytes text)
{
    static const struct bytes space = BYTES(" \t\r\n");

    while (text.len > 0 && bytes_find(space, text.ptr[0], 0) < space.len)
        text = bytes_slice(text, 1, text.len);
    while (text.len > 0 && bytes_find(space, text.ptr[text.len - 1], 0) < space.len)
        text.len--;
    return text;
}

static void end_leaf(struct reader *reader)
{
    const struct element *leaf = reader->leaf;
    json_t *object = reader->levels[reader->depth].object;
    struct bytes text = trimmed(bytes_range(reader->text, reader->text_len));

    switch (leaf->how) {
    case TEXT:
        set(reader, object, leaf->key, json_text(text));
        break;
    case WORD:
        set(reader, object, leaf->key, lower(reader, text));
        break;
    case OVERRIDE:
        set(reader, object, leaf->key, override(text));
        break;
    case NUMBER:
        set(reader, object, leaf->key, number(text));
        break;
    case TIME:
        set(reader, object, leaf->key, time_of(text));
        break;
    case FLAG:
        set(reader, object, leaf->key, json_boolean(bytes_equal_nocase(text, BYTES("y"))));
        break;
    case TEXT_EACH:
        append(reader, object, leaf->key, AGGREGATE_LISTS_MAX, json_text(text));
        break;
    case ENTER:
    case ENTER_ONE:
    case ENTER_EACH:
        check(false);
    }
    reader->leaf = NULL;
}

/* --- expat's calls ---------------------------------------------------------------------------- */

static void enter(struct reader *reader, const struct element *element)
{
    json_t *parent = reader->levels[reader->depth].object, *object = parent;

    if (element->how == ENTER_ONE) {
        object = json_object();
        set(reader, parent, element->key, object);
    } else if (element->how == ENTER_EACH) {
        size_t max = element->level == AT_RECORD ? AGGREGATE_RECORDS_MAX : AGGREGATE_LISTS_MAX;

        object = json_object();
        if (object == NULL || !append(reader, parent, element->key, max, object)) {
            reader->skipped = 1;
            return;
        }
    }
    check(reader->depth + 1 < LEVELS_MAX); /* by the table */
    reader->levels[++reader->depth].level = element->level;
    reader->levels[reader->depth].object = object;
}

/* Names come as "namespace name": any namespace will do, for reports have several or none. */
static const char *local_name(const char *name)
{
    const char *space = strrchr(name, ' ');

    return space == NULL ? name : space + 1;
}

static void on_start(void *context, const char *name, const char **attributes)
{
    struct reader *reader = context;
    enum level level = reader->levels[reader->depth].level;

    (void)attributes;
    if (reader->skipped > 0 || reader->leaf != NULL) {
        reader->skipped++;
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(elements); i++) {
        const struct element *element = &elements[i];

        if (element->parent != level || strcmp(element->name, local_name(name)) != 0)
            continue;
        if (element->how <= ENTER_EACH) {
            enter(reader, element);
        } else {
            reader->leaf = element;
            reader->text_len = 0;
        }
        return;
    }
    if (level == AT_START) {
        reader->is_broken = true;
        XML_StopParser(reader->parser, XML_FALSE);
        return;
    }
    reader->skipped = 1;
}

static void on_end(void *context, const char *name)
{
    struct reader *reader = context;

    (void)name;
    if (reader->skipped > 0)
        reader->skipped--;
    else if (reader->leaf != NULL)
        end_leaf(reader);
    else
        reader->depth--;
}

static void on_text(void *context, const char *text, int len)
{
    struct reader *reader = context;
    size_t room = AGGREGATE_TEXT_MAX - reader->text_len;
    size_t taken = (size_t)len < room ? (size_t)len : room;

    if (reader->leaf == NULL || reader->skipped > 0)
        return;
    memcpy(reader->text + reader->text_len, text, taken);
    reader->text_len += taken;
}

/* --- the report ------------------------------------------------------------------------------- */

static bool parse(struct reader *reader, struct bytes xml)
{
    for (;;) {
        struct bytes piece = bytes_slice(xml, 0, PIECE_MAX);
        bool is_last = piece.len == xml.len;

        if (XML_Parse(reader->parser, (const char *)piece.ptr, (int)piece.len, is_last) !=
            XML_STATUS_OK)
            return false;
        if (is_last)
            return true;
        xml = bytes_slice(xml, piece.len, xml.len);
    }
}

/* What says nothing of whom and by whom is no report. */
static bool has_needed(const json_t *report)
{
    return json_is_string(json_object_get(report, "report_id")) &&
           json_is_string(json_object_get(json_object_get(report, "policy"), "domain"));
}

json_t *aggregate_read(struct bytes xml, const char **why_out)
{
    struct reader reader = {.report = json_object(), .parser = XML_ParserCreateNS(NULL, ' ')};
    bool is_read = false;

    *why_out = "no memory for the report";
    if (reader.report != NULL && reader.parser != NULL) {
        reader.levels[0].level = AT_START;
        reader.levels[0].object = reader.report;
        XML_SetUserData(reader.parser, &reader);
        XML_SetElementHandler(reader.parser, on_start, on_end);
        XML_SetCharacterDataHandler(reader.parser, on_text);
        is_read = parse(&reader, xml) && !reader.is_broken;
        if (!is_read)
            *why_out = "it is no XML that a DMARC report could be";
        else if (!(is_read = has_needed(reader.report)))
            *why_out = "it names neither a report nor a domain";
    }
    if (reader.parser != NULL)
        XML_ParserFree(reader.parser);
    if (!is_read) {
        json_decref(reader.report);
        return NULL;
    }
    return reader.report;
}
