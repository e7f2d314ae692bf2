/* mail_parts.c - a message taken apart by GMime. */
#include "inbound/report/mail_parts.h"

#include <gmime/gmime.h>
#include <pthread.h>

enum { BESIDES_MAX = 64 * 1024 }; /* types and what is kept of the header */

static pthread_once_t is_ready = PTHREAD_ONCE_INIT;

static void make_ready(void)
{
    g_mime_init();
}

static bool keep_lower(struct arena *arena, const char *text, struct bytes *out)
{
    char *lower = text == NULL ? NULL : g_ascii_strdown(text, -1);
    bool fits = arena_copy(arena, lower == NULL ? BYTES_NONE : bytes_of(lower), out);

    g_free(lower);
    return fits;
}

static bool keep_type(struct mail_parts *out, GMimeObject *object, struct bytes *type_out)
{
    GMimeContentType *type = g_mime_object_get_content_type(object);
    char *text = type == NULL ? NULL : g_mime_content_type_get_mime_type(type);
    bool fits = keep_lower(&out->arena, text == NULL ? "text/plain" : text, type_out);

    g_free(text);
    return fits;
}

/* What a leaf holds, or the bytes of the message in a part. */
static bool keep_content(struct mail_parts *out, GMimeObject *object, struct bytes *content_out)
{
    GByteArray *bytes = g_byte_array_new();
    GMimeStream *stream = g_mime_stream_mem_new_with_byte_array(bytes);

    if (GMIME_IS_MESSAGE_PART(object)) {
        GMimeMessage *inner = g_mime_message_part_get_message(GMIME_MESSAGE_PART(object));
        if (inner != NULL)
            g_mime_object_write_to_stream(GMIME_OBJECT(inner), NULL, stream);
    } else if (GMIME_IS_PART(object)) {
        GMimeDataWrapper *content = g_mime_part_get_content(GMIME_PART(object));
        if (content != NULL)
            g_mime_data_wrapper_write_to_stream(content, stream);
    }
    bool fits = arena_copy(&out->arena, bytes_range(bytes->data, bytes->len), content_out);

    g_object_unref(stream); /* and the bytes, which are the stream's */
    return fits;
}

static bool add_leaf(struct mail_parts *out, GMimeObject *object)
{
    if (out->count == MAIL_PARTS_MAX) {
        out->is_cut = true;
        return true;
    }
    struct mail_part *part = &out->parts[out->count];

    if (!keep_type(out, object, &part->type) || !keep_content(out, object, &part->content))
        return false;
    out->count++;
    return true;
}

static bool add_parts(struct mail_parts *out, GMimeObject *object, unsigned depth)
{
    if (!GMIME_IS_MULTIPART(object))
        return add_leaf(out, object);
    if (depth == MAIL_PARTS_DEPTH_MAX) {
        out->is_cut = true;
        return true;
    }
    GMimeMultipart *multipart = GMIME_MULTIPART(object);
    int count = g_mime_multipart_get_count(multipart);

    for (int i = 0; i < count && !out->is_cut; i++)
        if (!add_parts(out, g_mime_multipart_get_part(multipart, i), depth + 1))
            return false;
    return true;
}

static bool keep_header(struct mail_parts *out, GMimeMessage *message, GMimeObject *body)
{
    const char *failed = g_mime_object_get_header(GMIME_OBJECT(message), "X-Failed-Recipients");
    const char *report = g_mime_object_get_content_type_parameter(body, "report-type");

    return keep_type(out, body, &out->type) && keep_lower(&out->arena, report, &out->report) &&
           arena_copy(&out->arena, failed == NULL ? BYTES_NONE : bytes_of(failed),
                      &out->failed_for);
}

bool mail_parts_read(struct bytes message, struct mail_parts *out)
{
    pthread_once(&is_ready, make_ready);
    *out = (struct mail_parts){0};
    if (message.len == 0)
        return false; /* GMime takes no slice without bytes */
    /* Decoded parts are no longer than they were; what a reader unfolds of them comes to it. */
    arena_init(&out->arena, 3 * message.len + BESIDES_MAX);
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer((const char *)message.ptr, message.len);
    GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    GMimeMessage *parsed = g_mime_parser_construct_message(parser, NULL);
    GMimeObject *body = parsed == NULL ? NULL : g_mime_message_get_mime_part(parsed);
    bool is_read = body != NULL && keep_header(out, parsed, body) && add_parts(out, body, 0);

    if (parsed != NULL)
        g_object_unref(parsed);
    g_object_unref(parser);
    g_object_unref(stream);
    if (!is_read)
        mail_parts_free(out);
    return is_read;
}

const struct mail_part *mail_parts_find(const struct mail_parts *parts, const char *type)
{
    for (size_t i = 0; i < parts->count; i++)
        if (bytes_equal(parts->parts[i].type, bytes_of(type)))
            return &parts->parts[i];
    return NULL;
}

void mail_parts_free(struct mail_parts *parts)
{
    arena_free(&parts->arena);
    *parts = (struct mail_parts){0};
}
