/* attachments.c - a walk over lines: headers of parts are kept and read, bodies are counted. */
#include "inbound/receive/attachments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "inbound/archives/archive_reader.h"
#include "inbound/mime/mime_binary.h"
#include "inbound/mime/mime_field.h"
#include "inbound/mime/mime_param.h"
#include "inbound/receive/archive_copy.h"
#include "inbound/receive/decision.h"
#include "inbound/receive/part_names.h"
#include "inbound/receive/zip_names.h"

enum {
    HEADER_MAX = 200 * 1024, /* as much as of the message's own */
    START_MAX = 128,         /* bytes of a line that are looked at in a body */
    BOUNDARIES_MAX = 8,
    BOUNDARY_MAX = 100, /* RFC 2046 section 5.1.1 allows 70 */
    ARENA_MAX = 1 << 20,
    ENCODED_MAX = 4096, /* bytes of a body that are decoded at once */
    LINE_ROOM = 256,    /* of them for a line that begins, so that it can be taken back */
    MEMBER_NAME = 256,  /* bytes; longer ones count as several */
    SHOWN_MAX = ATTACHMENT_NAME_MAX / 2,
    KEPT_MAX = 8,                      /* archives of a message that are read when it is whole, */
    KEPT_BYTES_MAX = 32 * 1024 * 1024, /* and how large they are in all */
};

struct part_name {
    bool is_known;
    char text[SHOWN_MAX + 1]; /* as it can be shown */
};

/* A part's, while it goes by. */
struct body {
    enum mime_encoding encoding;
    struct buf encoded; /* not yet decoded */
    struct mime_binary binary;
    struct zip_names zip;
    struct archive_copy copy;
    bool has_archive_name, has_nested; /* it may be an archive; it is one that has another */
    uint64_t len;                      /* without line ends */
    struct part_name name;
};

struct kept_archive {
    struct part_name name;
    struct archive_copy copy;
};

struct attachments {
    const struct attachment_rules *rules; /* while it is fed */
    struct attachment_found found;
    bool in_header;
    struct buf header;        /* of the part that begins */
    uint8_t start[START_MAX]; /* of the line */
    size_t start_len, line_len;
    struct body body;
    struct body around;    /* in which a delimiter stood that not all readers take for one, */
    bool has_around;       /* and which goes on for the others */
    unsigned member_count; /* of the message */
    const struct part_name *archive; /* whose member's is what is compared; NULL: it is none */
    size_t kept_count, kept_room;
    struct kept_archive kept[KEPT_MAX];
    size_t boundary_count; /* more than fit are not kept */
    size_t boundary_lens[BOUNDARIES_MAX];
    uint8_t boundaries[BOUNDARIES_MAX][BOUNDARY_MAX];
};

/* --- patterns --------------------------------------------------------------------------------- */

bool attachment_matches(const char *pattern, struct bytes text)
{
    struct bytes p = bytes_of(pattern);
    size_t at = 0, in = 0, star = SIZE_MAX, from = 0;

    /* Most are of an end, by which most names are told apart at once. */
    while (p.len > 0 && p.ptr[p.len - 1] != '*') {
        if (text.len == 0 || byte_lower(p.ptr[p.len - 1]) != byte_lower(text.ptr[text.len - 1]))
            return false;
        p.len--;
        text.len--;
    }
    while (in < text.len) {
        if (at < p.len && p.ptr[at] == '*') {
            star = at++;
            from = in;
        } else if (at < p.len && byte_lower(p.ptr[at]) == byte_lower(text.ptr[in])) {
            at++;
            in++;
        } else if (star != SIZE_MAX) {
            at = star + 1;
            in = ++from;
        } else {
            return false;
        }
    }
    while (at < p.len && p.ptr[at] == '*')
        at++;
    return at == p.len;
}

/* --- what was found --------------------------------------------------------------------------- */

static void show(struct bytes text, char out[static SHOWN_MAX + 1])
{
    size_t len = MIN(text.len, (size_t)SHOWN_MAX);

    for (size_t i = 0; i < len; i++)
        out[i] = text.ptr[i] > ' ' && text.ptr[i] < 127 ? (char)text.ptr[i] : '?';
    out[len] = '\0';
}

static void show_found(struct attachments *a, struct bytes text)
{
    char shown[SHOWN_MAX + 1];

    show(text, shown);
    (void)snprintf(a->found.name, sizeof(a->found.name), "%s%s%s",
                   a->archive != NULL ? a->archive->text : "",
                   a->archive != NULL && a->archive->is_known && shown[0] != '\0' ? "/" : "",
                   shown);
}

/* Names have no slash, and types have one. `shown`: what it is about. */
static void compare_as(struct attachments *a, struct bytes text, bool is_type, struct bytes shown)
{
    for (size_t i = 0; i < a->rules->count && !a->found.refuses; i++) {
        const struct attachment_rule *rule = &a->rules->rules[i];
        bool is_of_type = strchr(rule->pattern, '/') != NULL;

        if (is_of_type != is_type || !attachment_matches(rule->pattern, text) ||
            (a->found.is_found && rule->action != DECISION_REFUSE))
            continue;
        a->found.is_found = true;
        a->found.refuses = rule->action == DECISION_REFUSE;
        (void)snprintf(a->found.pattern, sizeof(a->found.pattern), "%s", rule->pattern);
        show_found(a, shown);
    }
}

static void compare(struct attachments *a, struct bytes text, bool is_type)
{
    compare_as(a, text, is_type, text);
}

/* Compares a name's last part behind slashes, without what Windows passes over: returns that. */
static struct bytes compare_name(struct attachments *a, struct bytes name)
{
    for (size_t i = name.len; i > 0; i--) {
        if (name.ptr[i - 1] != '/' && name.ptr[i - 1] != '\\')
            continue;
        name = bytes_slice(name, i, name.len);
        break;
    }
    while (name.len > 0 && (name.ptr[name.len - 1] == '.' || name.ptr[name.len - 1] <= ' '))
        name = bytes_slice(name, 0, name.len - 1);
    /* What stands behind a NUL or a colon some readers do not see. */
    for (size_t i = 0; i < 3 && name.len > 0; i++) {
        static const uint8_t ends[] = {0, ':', ';'};
        size_t end = bytes_find(name, ends[i], 0);

        if (end < name.len)
            compare(a, bytes_slice(name, 0, end), false);
    }
    if (name.len == 0)
        return name;
    compare(a, name, false);
    struct bytes unpacked = archive_kind_unpacked(name);
    if (a->rules->members_max > 0 && unpacked.len < name.len)
        compare_as(a, unpacked, false, name);
    return name;
}

static void take_name(struct attachments *a, struct bytes name)
{
    name = compare_name(a, name);
    if (name.len == 0)
        return;
    if (!a->body.name.is_known)
        show(name, a->body.name.text);
    a->body.name.is_known = true;
    a->body.has_archive_name |= archive_kind_has_name(name);
}

static void take_part_name(void *context, struct bytes name)
{
    take_name(context, name);
}

/* --- headers of parts ------------------------------------------------------------------------- */

static void keep_boundary(struct attachments *a, const struct mime_param *params)
{
    const struct mime_param *p = mime_param_find(params, BYTES("boundary"));

    if (a->boundary_count >= BOUNDARIES_MAX || p == NULL || p->value.len == 0 ||
        p->value.len > BOUNDARY_MAX) {
        a->boundary_count = BOUNDARIES_MAX + 1; /* nobody knows: any line may be one */
        return;
    }
    memcpy(a->boundaries[a->boundary_count], p->value.ptr, p->value.len);
    a->boundary_lens[a->boundary_count++] = p->value.len;
}

/* Returns whether a message is in it, whose header comes next. */
static bool take_type(struct attachments *a, struct bytes value, struct arena *arena)
{
    struct mime_type type;
    struct bytes whole;

    if (!mime_type_read(value, arena, &type)) {
        /* Not of its form; readers may find a boundary or a name in it all the same. */
        a->boundary_count = BOUNDARIES_MAX + 1;
        part_names_loosely(value, take_part_name, a);
        return false;
    }
    if (type.params != NULL)
        part_names_of(type.params, BYTES("name"), take_part_name, a);
    else
        part_names_loosely(value, take_part_name, a);
    if (arena_printf(arena, &whole, "%.*s/%.*s", BYTES_ARG(type.type), BYTES_ARG(type.subtype)))
        compare(a, whole, true);
    if (bytes_equal_nocase(type.type, BYTES("multipart")))
        keep_boundary(a, type.params);
    return bytes_equal_nocase(type.type, BYTES("message")) &&
           (bytes_equal_nocase(type.subtype, BYTES("rfc822")) ||
            bytes_equal_nocase(type.subtype, BYTES("global")));
}

/* Of several that counts which hides most. */
static void take_encoding(struct attachments *a, struct bytes value, struct arena *arena)
{
    struct mime_disposition encoding; /* a token, as theirs is, with comments around it */

    if (!mime_disposition_read(value, arena, &encoding))
        return;
    if (bytes_starts_nocase(encoding.kind, BYTES("base64")))
        a->body.encoding = MIME_BASE64;
    else if (a->body.encoding != MIME_BASE64 && bytes_starts_nocase(encoding.kind, BYTES("quoted")))
        a->body.encoding = MIME_QUOTED_PRINTABLE;
}

/* Of the section that is held. A line that is no field ends it for some readers, and others pass it
 * over: so do we. Returns whether a message is in the part. */
static bool take_fields(struct attachments *a)
{
    struct bytes section = buf_bytes(&a->header);
    struct mime_disposition disposition;
    struct mime_field field;
    bool has_message = false;
    struct arena arena;

    arena_init(&arena, ARENA_MAX);
    while (mime_field_next(&section, &field)) {
        arena_clear(&arena);
        if (bytes_equal_nocase(field.name, BYTES("Content-Type")))
            has_message |= take_type(a, field.value, &arena);
        else if (bytes_equal_nocase(field.name, BYTES("Content-Transfer-Encoding")))
            take_encoding(a, field.value, &arena);
        else if (!bytes_equal_nocase(field.name, BYTES("Content-Disposition")))
            continue;
        else if (mime_disposition_read(field.value, &arena, &disposition) &&
                 disposition.params != NULL)
            part_names_of(disposition.params, BYTES("filename"), take_part_name, a);
        else
            part_names_loosely(field.value, take_part_name, a);
    }
    arena_free(&arena);
    return has_message;
}

static void cut(struct attachments *a)
{
    if (a->found.refuses)
        return;
    a->found.is_cut = a->found.refuses = true;
    show(BYTES("header"), a->found.name);
}

static struct bytes archive_name(const struct part_name *name)
{
    return name->is_known ? bytes_of(name->text) : BYTES("archive");
}

static void cut_archive(struct attachments *a)
{
    if (a->found.refuses)
        return;
    a->found.is_crowded = a->found.refuses = true;
    show(archive_name(a->archive), a->found.name);
}

static void end_header(struct attachments *a)
{
    a->body.encoding = MIME_IDENTITY;
    a->in_header = take_fields(a); /* of the message in it */
    a->body.binary = (struct mime_binary){.encoding = a->body.encoding};
    buf_clear(&a->header);
    a->body.len = 0;
}

/* --- archives --------------------------------------------------------------------------------- */

static void count_member(struct attachments *a, size_t name_len)
{
    a->member_count += 1 + (unsigned)(name_len / MEMBER_NAME);
    if (a->member_count > a->rules->members_max)
        cut_archive(a);
}

/* Whose other names nobody knows: told, and compared as a type. */
static void note_unread(struct attachments *a, const struct part_name *name)
{
    compare_as(a, BYTES("archive/unread"), true, archive_name(name));
    if (!a->found.is_unread)
        show(archive_name(name), a->found.unread);
    a->found.is_unread = true;
}

static void take_member(struct attachments *a, struct body *body, const struct zip_member *member)
{
    struct bytes name = compare_name(a, member->name), unicode = compare_name(a, member->unicode);
    struct bytes shown = unicode.len > 0 ? unicode : name;

    if (member->is_encrypted)
        compare_as(a, BYTES("archive/encrypted"), true, shown);
    if (archive_kind_has_name(name) || archive_kind_has_name(unicode)) {
        compare_as(a, BYTES("archive/nested"), true, shown);
        body->has_nested = true;
    }
    count_member(a, member->name.len + member->unicode.len);
}

static void take_members(struct attachments *a, struct body *body)
{
    struct zip_member member;
    enum zip_found found;

    a->archive = &body->name;
    while (!a->found.refuses && (found = zip_names_next(&body->zip, &member)) != ZIP_NOTHING) {
        if (found == ZIP_MEMBER)
            take_member(a, body, &member);
        else
            cut_archive(a);
    }
    a->archive = NULL;
}

static void look_into(struct attachments *a, struct body *body, struct bytes decoded)
{
    zip_names_feed(&body->zip, decoded);
    take_members(a, body);
    archive_copy_feed(&body->copy, decoded, body->has_archive_name, &a->kept_room);
}

/* What tells its names to libarchive alone, and a zip archive with another in it, is read when the
 * message is whole. */
static void keep_archive(struct attachments *a, struct body *body)
{
    struct archive_copy *copy = &body->copy;

    archive_copy_end(copy, body->has_archive_name, &a->kept_room);
    if (copy->kind == ARCHIVE_NONE || (copy->kind == ARCHIVE_ZIP && !body->has_nested))
        return;
    if (copy->is_lost || a->kept_count == KEPT_MAX) {
        note_unread(a, &body->name);
        return;
    }
    a->kept[a->kept_count++] = (struct kept_archive){body->name, *copy};
    archive_copy_init(copy);
}

static size_t before_blanks(struct bytes text, size_t end)
{
    while (end > 0 &&
           (text.ptr[end - 1] == ' ' || text.ptr[end - 1] == '\t' || text.ptr[end - 1] == '\r'))
        end--;
    return end;
}

/* Bytes at its end of which the next ones tell what they are: the begin of "=4F", blanks that may
 * end a line. Not all, or it would stay full. */
static size_t open_end(struct bytes text)
{
    size_t end = before_blanks(text, text.len);

    if (end > 0 && text.ptr[end - 1] == '=')
        end--;
    else if (end == text.len && end > 1 && text.ptr[end - 2] == '=')
        end -= 2;
    end = before_blanks(text, end);
    return end > 0 ? text.len - end : 0;
}

static void decode(struct attachments *a, struct body *body, bool is_end)
{
    struct bytes text = buf_bytes(&body->encoded);
    uint8_t piece[ZIP_FEED_MAX];
    size_t len;

    if (body->encoding == MIME_QUOTED_PRINTABLE && !is_end)
        text.len -= open_end(text);
    body->binary.rest = text;
    while (!a->found.refuses && body->binary.rest.len > 0) {
        len = mime_binary_read(&body->binary, piece, sizeof(piece));
        if (len > 0)
            look_into(a, body, bytes_range(piece, len));
        else /* behind padding: some readers go on there */
            body->binary =
                (struct mime_binary){.rest = body->binary.rest, .encoding = body->encoding};
    }
    buf_consume(&body->encoded, text.len);
}

static void take_body(struct attachments *a, struct body *body, struct bytes piece)
{
    while (piece.len > 0) {
        struct bytes some = bytes_slice(piece, 0, MIN(piece.len, buf_room(&body->encoded)));
        bool fits = buf_append(&body->encoded, some);

        check(fits);
        piece = bytes_slice(piece, some.len, piece.len);
        if (buf_room(&body->encoded) == 0)
            decode(a, body, false);
    }
}

static void clear_body(struct attachments *a, struct body *body)
{
    buf_clear(&body->encoded);
    zip_names_clear(&body->zip);
    archive_copy_clear(&body->copy, &a->kept_room);
    body->has_archive_name = body->has_nested = false;
    body->name = (struct part_name){0};
}

static void end_body(struct attachments *a, struct body *body)
{
    uint64_t size = body->encoding == MIME_BASE64 ? body->len / 4 * 3 : body->len;
    /* How far that goes nobody knows where boundaries are unknown. */
    bool is_measured = body == &a->body || a->boundary_count <= BOUNDARIES_MAX;

    decode(a, body, true);
    zip_names_end(&body->zip);
    take_members(a, body);
    keep_archive(a, body);
    if (is_measured && body->name.is_known && a->rules->size_max != 0 &&
        size > a->rules->size_max && !a->found.refuses) {
        a->found.is_too_large = a->found.refuses = true;
        show_found(a, bytes_of(body->name.text));
    }
    clear_body(a, body);
}

static void init_body(struct body *body)
{
    *body = (struct body){.encoding = MIME_IDENTITY};
    buf_init(&body->encoded, ENCODED_MAX);
    zip_names_init(&body->zip);
    archive_copy_init(&body->copy);
}

static void free_body(struct body *body)
{
    buf_free(&body->encoded);
    zip_names_free(&body->zip);
    archive_copy_free(&body->copy);
}

static void begin_part(struct attachments *a)
{
    a->in_header = true;
    buf_clear(&a->header);
}

/* `is_certain`: for all readers. */
static void end_part(struct attachments *a, bool is_certain)
{
    if (!is_certain && !a->has_around) {
        struct body clear = a->around;

        a->around = a->body;
        a->body = clear;
        a->has_around = true;
        return;
    }
    end_body(a, &a->body);
    if (is_certain && a->has_around) {
        end_body(a, &a->around);
        a->has_around = false;
    }
}

/* --- lines ------------------------------------------------------------------------------------ */

enum delimiter { DELIMITER_NONE, DELIMITER_FOR_SOME, DELIMITER_CERTAIN };

/* What stands behind the boundary in a line that begins with "--" and it. */
static bool is_padding(const struct attachments *a, struct bytes rest)
{
    if (bytes_starts_nocase(rest, BYTES("--")))
        rest = bytes_slice(rest, 2, rest.len);
    while (rest.len > 0 && rest.ptr[0] <= ' ')
        rest = bytes_slice(rest, 1, rest.len);
    return rest.len == 0 && a->line_len == a->start_len;
}

/* Some readers pass over what stands behind the boundary, and some take the line for no delimiter
 * then. */
static enum delimiter find_delimiter(const struct attachments *a)
{
    struct bytes line = bytes_range(a->start, a->start_len);
    enum delimiter found = DELIMITER_NONE;

    if (line.len < 3 || line.ptr[0] != '-' || line.ptr[1] != '-' || a->boundary_count == 0)
        return DELIMITER_NONE;
    if (a->boundary_count > BOUNDARIES_MAX)
        found = DELIMITER_FOR_SOME;
    for (size_t i = 0; i < MIN(a->boundary_count, (size_t)BOUNDARIES_MAX); i++) {
        size_t len = 2 + a->boundary_lens[i];

        if (line.len < len || memcmp(line.ptr + 2, a->boundaries[i], a->boundary_lens[i]) != 0)
            continue;
        found = DELIMITER_FOR_SOME;
        if (a->boundary_lens[i] > 0 && is_padding(a, bytes_slice(line, len, line.len)))
            return DELIMITER_CERTAIN;
    }
    return found;
}

/* It was none of the body's, nor was the end of the line before it (RFC 2046 section 5.1.1). */
static void take_back_line(const struct attachments *a, struct body *body)
{
    struct buf *encoded = &body->encoded;

    if (a->line_len > LINE_ROOM || a->line_len > buf_len(encoded))
        return;
    buf_truncate(encoded, buf_len(encoded) - a->line_len);
    for (const char *end = "\n\r"; *end != '\0'; end++) {
        size_t len = buf_len(encoded);

        if (len > 0 && buf_bytes(encoded).ptr[len - 1] == (uint8_t)*end)
            buf_truncate(encoded, len - 1);
    }
}

static void end_line(struct attachments *a)
{
    bool is_empty = a->line_len == 1 || (a->line_len == 2 && a->start[0] == '\r');
    enum delimiter delimiter = find_delimiter(a);

    if (delimiter != DELIMITER_NONE) {
        bool is_certain = delimiter == DELIMITER_CERTAIN;

        if (!a->in_header && (is_certain || a->has_around))
            take_back_line(a, &a->body);
        if (is_certain && a->has_around)
            take_back_line(a, &a->around);
        if (a->in_header)
            end_header(a); /* it had no end */
        end_part(a, is_certain);
        begin_part(a);
    } else if (a->in_header && is_empty) {
        end_header(a);
    }
    a->start_len = a->line_len = 0;
}

static void take_of_body(struct attachments *a, struct body *body, struct bytes piece, bool ends)
{
    body->len += piece.len;
    if (a->rules->members_max > 0) {
        if (a->line_len == piece.len && buf_room(&body->encoded) < LINE_ROOM)
            decode(a, body, false);
        take_body(a, body, piece);
    }
    if (ends)
        body->len -= MIN(body->len, (uint64_t)MIN(a->line_len, (size_t)2));
}

static void take_piece(struct attachments *a, struct bytes piece, bool ends)
{
    size_t room = MIN(sizeof(a->start) - a->start_len, piece.len);

    memcpy(a->start + a->start_len, piece.ptr, room);
    a->start_len += room;
    a->line_len += piece.len;
    if (a->has_around)
        take_of_body(a, &a->around, piece, ends);
    if (!a->in_header)
        take_of_body(a, &a->body, piece, ends);
    else if (!buf_append(&a->header, piece))
        cut(a);
    if (ends)
        end_line(a);
}

struct attachments *attachments_open(void)
{
    struct attachments *a = calloc(1, sizeof(*a));

    if (a == NULL)
        return NULL;
    a->in_header = true;
    buf_init(&a->header, HEADER_MAX);
    init_body(&a->body);
    init_body(&a->around);
    a->kept_room = KEPT_BYTES_MAX;
    return a;
}

void attachments_feed(struct attachments *a, const struct attachment_rules *rules, struct bytes run)
{
    a->rules = rules;
    while (run.len > 0 && !a->found.refuses) {
        size_t end = bytes_find(run, '\n', 0);
        struct bytes piece = bytes_slice(run, 0, MIN(end + 1, run.len));

        run = bytes_slice(run, piece.len, run.len);
        take_piece(a, piece, end + 1 <= piece.len);
    }
}

const struct attachment_found *attachments_end(struct attachments *a,
                                               const struct attachment_rules *rules)
{
    a->rules = rules;
    if (a->found.refuses)
        return &a->found;
    if (a->line_len > 0)
        end_line(a);
    if (a->in_header)
        end_header(a);
    end_part(a, true);
    return &a->found;
}

const struct attachment_found *attachments_found(const struct attachments *a)
{
    return &a->found;
}

size_t attachments_archive_count(const struct attachments *a)
{
    return a->kept_count;
}

struct bytes attachments_archive(const struct attachments *a, size_t i)
{
    return buf_bytes(&a->kept[i].copy.bytes);
}

/* Of one that tells no names without a password there is none. */
static void take_read_member(struct attachments *a, const struct archive_member *member)
{
    struct bytes name = compare_name(a, member->path);

    if (member->is_encrypted)
        compare_as(a, BYTES("archive/encrypted"), true, name);
    if (member->is_nested)
        compare_as(a, BYTES("archive/nested"), true, name);
    count_member(a, member->path.len);
}

void attachments_take_answer(struct attachments *a, const struct attachment_rules *rules, size_t i,
                             struct bytes members, enum archive_result result)
{
    const struct kept_archive *kept = &a->kept[i];
    struct archive_member member;

    check(i < a->kept_count);
    a->rules = rules;
    a->archive = &kept->name;
    while (!a->found.refuses && archive_answer_next(&members, &member))
        /* What lies in a zip archive itself was seen as it went by. */
        if (kept->copy.kind != ARCHIVE_ZIP || member.depth > 1)
            take_read_member(a, &member);
    if (result == ARCHIVE_CROWDED)
        cut_archive(a);
    a->archive = NULL;
    if (result == ARCHIVE_UNREAD)
        note_unread(a, &kept->name);
}

void attachments_put_off(struct attachments *a)
{
    if (a->found.refuses)
        return;
    a->found.is_put_off = a->found.refuses = true;
    show(archive_name(&a->kept[0].name), a->found.name);
}

static size_t body_memory(const struct body *body)
{
    return body->encoded.capacity + body->zip.held.capacity + body->copy.bytes.capacity;
}

size_t attachments_memory(const struct attachments *a)
{
    if (a == NULL)
        return 0;
    size_t sum = sizeof(*a) + a->header.capacity + body_memory(&a->body) + body_memory(&a->around);

    for (size_t i = 0; i < a->kept_count; i++)
        sum += a->kept[i].copy.bytes.capacity;
    return sum;
}

void attachments_free(struct attachments **attachments)
{
    struct attachments *freed = *attachments;

    *attachments = NULL;
    if (freed == NULL)
        return;
    buf_free(&freed->header);
    free_body(&freed->body);
    free_body(&freed->around);
    for (size_t i = 0; i < freed->kept_count; i++)
        archive_copy_free(&freed->kept[i].copy);
    free(freed);
}
