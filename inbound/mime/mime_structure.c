/* mime_structure.c - a tree of parts as parentheses, without recursion. */
#include "inbound/mime/mime_structure.h"

#include "inbound/mime/mime_envelope.h"
#include "inbound/mime/mime_string.h"

#include <inttypes.h>
#include <string.h>

enum {
    FIELD_MAX = 1 << 20, /* longer fields are told as missing */
    ARENA_MAX = 4 << 20,
};

enum { ID, DESCRIPTION, MD5, DISPOSITION, LANGUAGE, LOCATION, FIELD_COUNT };

static const struct bytes names[FIELD_COUNT] = {
    [ID] = BYTES("Content-ID"),
    [DESCRIPTION] = BYTES("Content-Description"),
    [MD5] = BYTES("Content-MD5"),
    [DISPOSITION] = BYTES("Content-Disposition"),
    [LANGUAGE] = BYTES("Content-Language"),
    [LOCATION] = BYTES("Content-Location"),
};

struct structure {
    bool is_extended;
    struct buf *out;
    struct arena arena; /* what is read of one part's header */
    struct buf text;
    const struct mime_part *part; /* whose the values are */
    struct bytes values[FIELD_COUNT];
};

/* The first of each. */
static void read_fields(struct structure *s, const struct mime_part *part)
{
    struct bytes header = part->header;
    struct mime_field field;

    s->part = part;
    memset(s->values, 0, sizeof(s->values));
    while (mime_field_next(&header, &field))
        for (int i = 0; i < FIELD_COUNT; i++)
            if (s->values[i].ptr == NULL && bytes_equal_nocase(field.name, names[i]))
                s->values[i] = field.value;
}

static bool find(struct structure *s, const struct mime_part *part, int name,
                 struct bytes *value_out)
{
    if (s->part != part)
        read_fields(s, part);
    if (s->values[name].ptr == NULL || s->values[name].len > FIELD_MAX)
        return false;
    *value_out = s->values[name];
    return true;
}

/* A space and the field as a string, or NIL. */
static bool write_field(struct structure *s, const struct mime_part *part, int name)
{
    struct bytes value;

    if (!find(s, part, name, &value))
        return buf_append(s->out, BYTES(" NIL"));
    buf_clear(&s->text);
    return mime_field_unfold(value, &s->text) && buf_append_byte(s->out, ' ') &&
           mime_string_write_or_nil(buf_len(&s->text) == 0 ? BYTES_NONE : buf_bytes(&s->text),
                                    s->out);
}

static bool write_params(struct structure *s, const struct mime_param *params)
{
    if (params == NULL)
        return buf_append(s->out, BYTES(" NIL"));
    for (const struct mime_param *param = params; param != NULL; param = param->next)
        if (!buf_append(s->out, param == params ? BYTES(" (") : BYTES(" ")) ||
            !mime_string_write(param->name, s->out) || !buf_append_byte(s->out, ' ') ||
            !mime_string_write(param->value, s->out))
            return false;
    return buf_append_byte(s->out, ')');
}

static bool write_disposition(struct structure *s, const struct mime_part *part)
{
    struct mime_disposition disposition;
    struct bytes value;

    arena_clear(&s->arena);
    if (!find(s, part, DISPOSITION, &value) ||
        !mime_disposition_read(value, &s->arena, &disposition))
        return buf_append(s->out, BYTES(" NIL"));
    return buf_append(s->out, BYTES(" (")) && mime_string_write(disposition.kind, s->out) &&
           write_params(s, disposition.params) && buf_append_byte(s->out, ')');
}

/* Content-Language (RFC 3282) as a list of tags. */
static bool write_language(struct structure *s, const struct mime_part *part)
{
    struct bytes value, tag;
    size_t count = 0;

    if (!find(s, part, LANGUAGE, &value))
        return buf_append(s->out, BYTES(" NIL"));
    buf_clear(&s->text);
    if (!mime_field_unfold(value, &s->text))
        return false;
    value = buf_bytes(&s->text);
    while (value.len > 0) {
        if (!bytes_take_until(&value, ',', &tag)) {
            tag = value;
            value.len = 0;
        }
        tag = bytes_trim(tag);
        if (tag.len == 0)
            continue;
        if (!buf_append(s->out, count == 0 ? BYTES(" (") : BYTES(" ")) ||
            !mime_string_write(tag, s->out))
            return false;
        count++;
    }
    return buf_append(s->out, count == 0 ? BYTES(" NIL") : BYTES(")"));
}

static bool write_extension(struct structure *s, const struct mime_part *part)
{
    return write_disposition(s, part) && write_language(s, part) && write_field(s, part, LOCATION);
}

static bool is_text(const struct mime_part *part)
{
    return bytes_equal_nocase(part->type.type, BYTES("text"));
}

/* A type that the grammar gives more members than we know of the part. */
static bool is_opaque(const struct mime_part *part)
{
    return part->kind == MIME_LEAF && (bytes_equal_nocase(part->type.type, BYTES("multipart")) ||
                                       (bytes_equal_nocase(part->type.type, BYTES("message")) &&
                                        (bytes_equal_nocase(part->type.subtype, BYTES("rfc822")) ||
                                         bytes_equal_nocase(part->type.subtype, BYTES("global")))));
}

static bool write_type(struct structure *s, const struct mime_part *part)
{
    if (is_opaque(part))
        return buf_append(s->out, BYTES("\"application\" \"octet-stream\""));
    return mime_string_write(part->type.type, s->out) && buf_append_byte(s->out, ' ') &&
           mime_string_write(part->type.subtype, s->out);
}

/* What a leaf and a message have in common: up to the octets. */
static bool write_head(struct structure *s, const struct mime_part *part)
{
    bool is_ascii = is_text(part) && mime_param_find(part->type.params, BYTES("charset")) == NULL;
    struct mime_param charset = {BYTES("charset"), BYTES("us-ascii"), part->type.params};

    return buf_append_byte(s->out, '(') && write_type(s, part) &&
           write_params(s, is_ascii ? &charset : part->type.params) && write_field(s, part, ID) &&
           write_field(s, part, DESCRIPTION) && buf_append_byte(s->out, ' ') &&
           mime_string_write(part->encoding_name.len == 0 ? BYTES("7bit") : part->encoding_name,
                             s->out) &&
           buf_printf(s->out, " %zu", part->body.len);
}

static bool write_lines(struct structure *s, const struct mime_part *part)
{
    return buf_printf(s->out, " %" PRIu64, part->lines);
}

static bool write_end(struct structure *s, const struct mime_part *part)
{
    if (s->is_extended && !(write_field(s, part, MD5) && write_extension(s, part)))
        return false;
    return buf_append_byte(s->out, ')');
}

static bool enter(struct structure *s, const struct mime_part *part)
{
    switch (part->kind) {
    case MIME_MULTIPART:
        return buf_append_byte(s->out, '(') &&
               (part->children != NULL ||
                buf_append(s->out, s->is_extended
                                       ? BYTES("(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL "
                                               "NIL \"7bit\" 0 0 NIL NIL NIL NIL)")
                                       : BYTES("(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL "
                                               "NIL \"7bit\" 0 0)")));
    case MIME_MESSAGE:
        return write_head(s, part) && buf_append_byte(s->out, ' ') &&
               mime_envelope_write(part->children->header, s->out) && buf_append_byte(s->out, ' ');
    case MIME_LEAF:
        return write_head(s, part) && (!is_text(part) || write_lines(s, part)) &&
               write_end(s, part);
    }
    return false;
}

static bool leave(struct structure *s, const struct mime_part *part)
{
    if (part->kind == MIME_MESSAGE)
        return write_lines(s, part) && write_end(s, part);
    return buf_append_byte(s->out, ' ') && mime_string_write(part->type.subtype, s->out) &&
           (!s->is_extended || (write_params(s, part->type.params) && write_extension(s, part))) &&
           buf_append_byte(s->out, ')');
}

/* Enters every part in order, and leaves those that are containers once their children are done. */
static bool write_all(struct structure *s, const struct mime_part *root)
{
    const struct mime_part *part = root;

    while (part != NULL) {
        if (!enter(s, part))
            return false;
        if (part->children != NULL) {
            part = part->children;
            continue;
        }
        if (part->kind != MIME_LEAF && !leave(s, part))
            return false;
        while (part != NULL && part->next == NULL) {
            part = part->parent;
            if (part != NULL && !leave(s, part))
                return false;
        }
        part = part == NULL ? NULL : part->next;
    }
    return true;
}

bool mime_structure_write(const struct mime_message *message, bool is_extended, struct buf *out)
{
    struct structure s = {.is_extended = is_extended, .out = out};
    bool fits;

    arena_init(&s.arena, ARENA_MAX);
    buf_init(&s.text, FIELD_MAX);
    fits = write_all(&s, message->root);
    buf_free(&s.text);
    arena_free(&s.arena);
    return fits;
}
