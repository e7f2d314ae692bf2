/*
 * mime_message.c - the scanner of parts.
 *
 *     HEADER -- empty line --> BODY (a leaf's, a preamble, an epilogue) -- delimiter --> HEADER
 *
 * Each line is looked at once: it is a delimiter of an open multipart, or it belongs to where we
 * are. What was opened last is closed first, so the way back is the chain of parents.
 */
#include "inbound/mime/mime_message.h"

#include <string.h>

enum {
    MEMORY_MAX = 32 << 20,
    FIELDS_MAX = 24 << 20, /* of that for types; MIME_PARTS_MAX parts fit in the rest */
    FIELD_BESIDES = MIME_PARAMS_MAX * 128, /* what a field may take beside its own length */
    /* A message of nested multiparts and of lines that are nearly delimiters would cost lines
     * times depth. Beyond so many comparisons, some 0.2 s, it is not taken apart further. */
    COMPARES_MAX = 50 * 1000 * 1000,
};

struct open_boundary {
    struct bytes text;
    struct mime_part *part;
};

struct scan {
    struct mime_message *message;
    struct mime_part *part; /* where the next line belongs to */
    bool in_header;         /* of that part */
    size_t at;
    uint64_t lines; /* LFs before `at` */
    uint64_t compares;
    size_t open;  /* boundaries */
    size_t depth; /* of part */
    struct open_boundary boundaries[MIME_DEPTH_MAX + 1];
};

static struct bytes slice_between(const struct scan *scan, size_t from, size_t to)
{
    return bytes_slice(scan->message->bytes, from, to - from);
}

static size_t offset_of(const struct scan *scan, struct bytes slice)
{
    return (size_t)(slice.ptr - scan->message->bytes.ptr);
}

/* A part that begins here with its header. */
static void begin_part(struct scan *scan, struct mime_part *parent)
{
    struct mime_part *part = arena_alloc(&scan->message->arena, sizeof(*part));

    check(part != NULL);
    part->parent = parent;
    part->header = slice_between(scan, scan->at, scan->at);
    if (parent == NULL) {
        scan->message->root = part;
    } else {
        if (parent->children == NULL)
            parent->children = part;
        else
            parent->last->next = part;
        parent->last = part;
        parent->count++;
        scan->depth++;
    }
    scan->message->count++;
    scan->part = part;
    scan->in_header = true;
}

static enum mime_encoding encoding_of(struct bytes name)
{
    static const struct {
        struct bytes name;
        enum mime_encoding encoding;
    } encodings[] = {
        {BYTES_NONE, MIME_IDENTITY},
        {{(const uint8_t *)"7bit", 4}, MIME_IDENTITY},
        {{(const uint8_t *)"8bit", 4}, MIME_IDENTITY},
        {{(const uint8_t *)"binary", 6}, MIME_IDENTITY},
        {{(const uint8_t *)"quoted-printable", 16}, MIME_QUOTED_PRINTABLE},
        {{(const uint8_t *)"base64", 6}, MIME_BASE64},
    };

    for (size_t i = 0; i < ARRAY_LEN(encodings); i++)
        if (bytes_equal_nocase(name, encodings[i].name))
            return encodings[i].encoding;
    return MIME_UNKNOWN;
}

static bool is_type(const struct mime_part *part, const char *type, const char *subtype)
{
    return bytes_equal_nocase(part->type.type, bytes_of(type)) &&
           (subtype == NULL || bytes_equal_nocase(part->type.subtype, bytes_of(subtype)));
}

/* Whether there is memory for what is read of a field. */
static bool fits(const struct scan *scan, struct mime_part *part, const struct mime_field *field)
{
    size_t used = scan->message->arena.used;

    if (used + FIELD_BESIDES < FIELDS_MAX && field->value.len < FIELDS_MAX - FIELD_BESIDES - used)
        return true;
    part->is_cut = true;
    return false;
}

/* Type and encoding out of the header: of each the first that can be read. */
static void read_header(struct scan *scan, struct mime_part *part)
{
    struct arena *arena = &scan->message->arena;
    struct bytes section = part->header;
    struct mime_field field;
    bool has_type = false, has_encoding = false;

    while (mime_field_next(&section, &field)) {
        if (!has_type && bytes_equal_nocase(field.name, BYTES("Content-Type"))) {
            has_type = fits(scan, part, &field) && mime_type_read(field.value, arena, &part->type);
        } else if (!has_encoding &&
                   bytes_equal_nocase(field.name, BYTES("Content-Transfer-Encoding"))) {
            struct mime_disposition word; /* a token, and what may stand behind it */

            has_encoding =
                fits(scan, part, &field) && mime_disposition_read(field.value, arena, &word);
            if (has_encoding)
                part->encoding_name = word.kind;
        }
    }
    part->encoding = encoding_of(part->encoding_name);
    if (!has_type && part->parent != NULL && is_type(part->parent, "multipart", "digest"))
        part->type = (struct mime_type){BYTES("message"), BYTES("rfc822"), NULL};
    else if (!has_type)
        part->type = (struct mime_type){BYTES("text"), BYTES("plain"), NULL};
}

/* RFC 2046 section 5.1.1: white space at the end is not the boundary's. */
static struct bytes boundary_of(const struct mime_part *part)
{
    const struct mime_param *param = mime_param_find(part->type.params, BYTES("boundary"));
    struct bytes text = param == NULL ? BYTES_NONE : param->value;

    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* The header is complete: what kind of part is it? A message in it begins here. */
static void end_header(struct scan *scan)
{
    struct mime_part *part = scan->part;

    scan->in_header = false;
    part->header = slice_between(scan, offset_of(scan, part->header), scan->at);
    part->body = slice_between(scan, scan->at, scan->at);
    part->lines = scan->lines; /* until it ends: the count at its beginning */
    read_header(scan, part);
    bool is_message = is_type(part, "message", "rfc822") || is_type(part, "message", "global");
    struct bytes boundary = is_type(part, "multipart", NULL) ? boundary_of(part) : BYTES_NONE;

    if (!is_message && boundary.len == 0)
        return;
    if (scan->depth >= MIME_DEPTH_MAX || (is_message && scan->message->count >= MIME_PARTS_MAX)) {
        part->is_cut = true;
    } else if (is_message) {
        part->kind = MIME_MESSAGE;
        begin_part(scan, part);
    } else {
        part->kind = MIME_MULTIPART;
        scan->boundaries[scan->open++] = (struct open_boundary){boundary, part};
    }
}

/* A delimiter or the end cut a header off. A message that it announces has none either. */
static void cut_header(struct scan *scan, size_t end)
{
    size_t at = scan->at;

    while (scan->in_header) {
        scan->at = MAX(end, offset_of(scan, scan->part->header));
        end_header(scan);
    }
    scan->at = at;
}

/* Ends the innermost part before `end`, and goes back to what it is in. */
static void end_part(struct scan *scan, size_t end, uint64_t lines)
{
    cut_header(scan, end);
    struct mime_part *part = scan->part;
    size_t start = offset_of(scan, part->body);

    part->body = slice_between(scan, start, MAX(start, end));
    part->lines = end > start ? lines - part->lines : 0;
    if (scan->open > 0 && scan->boundaries[scan->open - 1].part == part)
        scan->open--;
    scan->part = part->parent;
    scan->depth -= part->parent != NULL;
}

/* The open multipart whose delimiter the line is; SIZE_MAX: none. */
static size_t find_boundary(struct scan *scan, struct bytes line)
{
    struct bytes text = bytes_slice(line, 2, line.len);
    size_t found = SIZE_MAX;

    for (size_t i = scan->open; i-- > 0;) {
        struct bytes boundary = scan->boundaries[i].text;

        if (boundary.len <= text.len && memcmp(text.ptr, boundary.ptr, boundary.len) == 0 &&
            (found == SIZE_MAX || boundary.len > scan->boundaries[found].text.len))
            found = i;
    }
    scan->compares += scan->open;
    return found;
}

/* A delimiter line: ends what is in the multipart, and begins its next part or its epilogue. */
static void take_delimiter(struct scan *scan, size_t which, struct bytes line)
{
    struct mime_part *multipart = scan->boundaries[which].part;
    size_t boundary_len = scan->boundaries[which].text.len;
    struct bytes tail = bytes_slice(line, 2 + boundary_len, line.len);
    const uint8_t *text = scan->message->bytes.ptr;
    size_t end = scan->at;
    uint64_t lines = scan->lines;

    if (end > 0) { /* what comes before is a line end, which is the delimiter's */
        end--;
        lines--;
        if (end > 0 && text[end - 1] == '\r')
            end--;
    }
    while (scan->part != multipart)
        end_part(scan, end, lines);
    scan->open = which + 1;
    scan->at += line.len;
    scan->lines += line.ptr[line.len - 1] == '\n';
    if (bytes_starts_nocase(tail, BYTES("--"))) {
        scan->open = which;
    } else if (scan->message->count >= MIME_PARTS_MAX) {
        multipart->is_cut = true;
        scan->open = which;
    } else {
        begin_part(scan, multipart);
    }
}

static bool is_empty_line(struct bytes line)
{
    return bytes_equal(line, BYTES("\r\n")) || bytes_equal(line, BYTES("\n"));
}

/* No delimiter can come any more: the rest is passed over, and its lines are counted. */
static void take_rest(struct scan *scan)
{
    struct bytes text = scan->message->bytes;

    while (scan->at < text.len) {
        size_t lf = bytes_find(text, '\n', scan->at);

        scan->lines += lf < text.len;
        scan->at = MIN(lf + 1, text.len);
    }
}

static void take_line(struct scan *scan)
{
    struct bytes text = scan->message->bytes;
    size_t lf = bytes_find(text, '\n', scan->at);
    struct bytes line = bytes_slice(text, scan->at, lf - scan->at + 1);

    if (scan->open > 0 && line.len > 2 && line.ptr[0] == '-' && line.ptr[1] == '-') {
        size_t which = find_boundary(scan, line);

        if (which != SIZE_MAX) {
            take_delimiter(scan, which, line);
            return;
        }
    }
    scan->at += line.len;
    scan->lines += lf < text.len;
    if (scan->in_header && is_empty_line(line))
        end_header(scan);
}

/* Too many comparisons: what is open stays as it is. */
static void give_up(struct scan *scan)
{
    for (size_t i = 0; i < scan->open; i++)
        scan->boundaries[i].part->is_cut = true;
    scan->open = 0;
}

void mime_message_read(struct bytes message, struct mime_message *out)
{
    struct scan scan = {.message = out};

    if (message.len == 0)
        message = BYTES(""); /* slices of it have an address */
    *out = (struct mime_message){.bytes = message};
    arena_init(&out->arena, MEMORY_MAX);
    begin_part(&scan, NULL);
    while (scan.at < message.len) {
        if (scan.open == 0 && !scan.in_header)
            take_rest(&scan);
        else
            take_line(&scan);
        if (scan.compares > COMPARES_MAX)
            give_up(&scan);
    }
    while (scan.part != NULL)
        end_part(&scan, message.len, scan.lines);
}

void mime_message_free(struct mime_message *message)
{
    arena_free(&message->arena);
    *message = (struct mime_message){0};
}

static const struct mime_part *child(const struct mime_part *part, uint32_t number)
{
    const struct mime_part *found = part->children;

    for (uint32_t i = 1; i < number && found != NULL; i++)
        found = found->next;
    return number == 0 ? NULL : found;
}

const struct mime_part *mime_message_part(const struct mime_message *message, const uint32_t *path,
                                          size_t depth)
{
    const struct mime_part *part = message->root;
    bool is_message = true; /* the number counts parts of a message, which may be just one */

    for (size_t i = 0; i < depth && part != NULL; i++) {
        if (!is_message && part->kind == MIME_MESSAGE) {
            part = part->children;
            is_message = true;
        }
        if (part->kind == MIME_MULTIPART)
            part = child(part, path[i]);
        else if (!is_message || path[i] != 1)
            part = NULL;
        is_message = false;
    }
    return part;
}

const struct mime_part *mime_part_next(const struct mime_part *part)
{
    if (part->children != NULL)
        return part->children;
    while (part != NULL && part->next == NULL)
        part = part->parent;
    return part == NULL ? NULL : part->next;
}
