/* source.c - reads as little of a message as will do. */
#include "inbound/imap/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inbound/mime/mime_envelope.h"
#include "inbound/mime/mime_field.h"
#include "inbound/mime/mime_line.h"
#include "inbound/mime/mime_structure.h"
#include "inbound/store/mail_file.h"

enum { HEAD_LEN = 32 << 10, TEXT_MAX = 64 << 20, CACHE_VERSION = 2 };

static const struct bytes kept[SOURCE_FIELDS] = {
    BYTES("From"), BYTES("To"),         BYTES("Cc"),          BYTES("Bcc"),        BYTES("Subject"),
    BYTES("Date"), BYTES("Message-ID"), BYTES("In-Reply-To"), BYTES("References"),
};

void source_begin(struct source *source, struct mailbox *mailbox,
                  const struct mailbox_message *message)
{
    source->mailbox = mailbox;
    source->message = *message;
    source->fd = -1;
    source->has_size = source->is_converted = source->has_cache = false;
    if (source->cache.ptr == NULL)
        buf_init(&source->cache, MAILBOX_CACHE_MAX + TEXT_MAX);
    buf_init(&source->header, 2 * HEAD_LEN);
}

void source_unload(struct source *source)
{
    if (source->has_mime)
        mime_message_free(&source->mime);
    source->has_mime = false;
    buf_free(&source->header);
    free(source->memory);
    source->memory = NULL;
    source->memory_len = 0;
}

void source_end(struct source *source)
{
    if (!source_was_read(source))
        return;
    source_unload(source);
    if (source->cache.capacity > MAILBOX_CACHE_MAX)
        buf_free(&source->cache);
    buf_clear(&source->cache);
    source->has_cache = false;
    if (source->fd >= 0)
        close(source->fd);
    source->fd = -1;
}

void source_settle(struct source *source)
{
    if (source->has_put)
        mailbox_cache_write(source->mailbox);
    source->has_put = false;
}

void source_free(struct source *source)
{
    buf_free(&source->cache);
}

/* --- bytes ------------------------------------------------------------------------------------ */

static int open_file(struct source *source)
{
    if (source->fd < 0 && source->is_quick)
        source->fd = mailbox_open_message_held(source->mailbox, source->message.uid);
    else if (source->fd < 0)
        source->fd = mailbox_open_message(source->mailbox, source->message.uid);
    return MIN(source->fd, 0);
}

static int read_at(const struct source *source, uint8_t *into, size_t len, uint64_t offset)
{
    int64_t got = source->is_quick ? mail_file_read_cached(source->fd, into, len, offset)
                                   : mail_file_read_at(source->fd, into, len, offset);

    if (got < 0 || (uint64_t)got == len)
        return (int)MIN(got, (int64_t)0);
    return source->is_quick ? -EAGAIN : -EIO; /* it is shorter than the index says */
}

int source_size(struct source *source, uint64_t *size_out)
{
    uint64_t size = source->message.size;

    if (!source->has_size) {
        if (size == MAILBOX_SIZE_UNKNOWN) {
            int error = source->is_quick
                            ? -EAGAIN
                            : mailbox_message_size(source->mailbox, source->message.uid, &size);

            if (error < 0)
                return error;
        }
        source->size = size;
        source->is_converted = size != source->message.file_size;
        source->has_size = true;
    }
    *size_out = source->size;
    return 0;
}

/* The first `len` bytes of the file. */
static int load(struct source *source, size_t len)
{
    int error = source->is_quick && len > SOURCE_QUICK_MAX ? -EAGAIN : open_file(source);

    if (error < 0 || (source->memory != NULL && source->memory_len >= len))
        return error;
    source_unload(source);
    uint8_t *memory = malloc(MAX(len, (size_t)1));

    if (memory == NULL)
        return -ENOMEM;
    error = read_at(source, memory, len, 0);
    if (error < 0) {
        free(memory);
        return error;
    }
    source->memory = memory;
    source->memory_len = len;
    return 0;
}

static int convert(struct source *source)
{
    struct buf out;
    bool in_cr = false;

    buf_init(&out, (size_t)source->size);
    bool fits = mime_line_convert(bytes_range(source->memory, source->memory_len), &in_cr, &out);

    if (!fits || buf_len(&out) != source->size) { /* another size than the index says */
        buf_free(&out);
        return -EIO;
    }
    source_unload(source);
    check(out.start == 0 && out.ptr != NULL); /* longer than the file, so not empty */
    source->memory = out.ptr;
    source->memory_len = buf_len(&out);
    return 0;
}

int source_whole(struct source *source, struct bytes *whole_out)
{
    uint64_t size;
    int error = source_size(source, &size);

    if (error < 0)
        return error;
    if (MAX(size, source->message.file_size) > SOURCE_SIZE_MAX)
        return -ENOMEM;
    if (source->memory == NULL || source->memory_len < size) {
        error = load(source, (size_t)source->message.file_size);
        if (error == 0 && source->is_converted)
            error = convert(source);
        if (error < 0)
            return error;
    }
    *whole_out = bytes_range(source->memory, (size_t)size);
    return 0;
}

/* The empty line is in it: the header ends there, and not because the bytes do. */
static bool ends_header(struct bytes header)
{
    return bytes_ends_nocase(header, BYTES("\r\n\r\n")) || bytes_equal(header, BYTES("\r\n"));
}

/* Of the file's first bytes, which are converted as far as the header goes. *is_there_out false: it
 * does not end among them. */
static int convert_header(struct source *source, struct bytes *header_out, bool *is_there_out)
{
    size_t len = (size_t)MIN(source->message.file_size, (uint64_t)HEAD_LEN);
    bool in_cr = false;
    int error = buf_len(&source->header) > 0 ? 0 : load(source, len);

    if (error == 0 && buf_len(&source->header) == 0 &&
        !mime_line_convert(mime_field_section(bytes_range(source->memory, len)), &in_cr,
                           &source->header))
        error = -ENOMEM;
    *header_out = buf_bytes(&source->header);
    *is_there_out = error == 0 && ends_header(*header_out);
    return error;
}

int source_header(struct source *source, struct bytes *header_out)
{
    struct bytes whole;
    uint64_t size;
    int error = source_size(source, &size);

    if (error < 0)
        return error;
    bool has_whole = source->memory != NULL && source->memory_len >= size;

    if (source->is_converted && !has_whole) {
        bool is_there;

        error = convert_header(source, header_out, &is_there);
        if (error < 0 || is_there)
            return error;
    }
    if (!source->is_converted && size > HEAD_LEN && !has_whole) {
        error = load(source, HEAD_LEN);
        if (error < 0)
            return error;
        *header_out = mime_field_section(bytes_range(source->memory, source->memory_len));
        if (ends_header(*header_out))
            return 0;
    }
    error = source_whole(source, &whole);
    if (error == 0)
        *header_out = mime_field_section(whole);
    return error;
}

int source_mime(struct source *source, const struct mime_message **mime_out)
{
    struct bytes whole;
    int error = source_whole(source, &whole);

    if (error < 0)
        return error;
    if (!source->has_mime)
        mime_message_read(whole, &source->mime);
    source->has_mime = true;
    *mime_out = &source->mime;
    return 0;
}

int source_copy(struct source *source, uint64_t offset, size_t len, struct buf *out)
{
    struct bytes whole;
    int error;

    if (source->is_converted) {
        error = source_whole(source, &whole);
        if (error < 0)
            return error;
        return buf_append(out, bytes_slice(whole, (size_t)offset, len)) ? 0 : -ENOMEM;
    }
    if (source->memory_len >= offset + len)
        return buf_append(out, bytes_range(source->memory + offset, len)) ? 0 : -ENOMEM;
    error = open_file(source);
    if (error < 0)
        return error;
    uint8_t *into = buf_reserve(out, len);

    if (into == NULL)
        return -ENOMEM;
    error = read_at(source, into, len, offset);
    if (error == 0)
        buf_extend(out, len);
    return error;
}

/* --- what is kept ----------------------------------------------------------------------------- */

/* A blob: version, then three texts with their lengths before them; an empty one is not there. */
static bool take_text(struct bytes *blob, struct bytes *text_out)
{
    uint32_t len;

    if (blob->len < sizeof(len))
        return false;
    memcpy(&len, blob->ptr, sizeof(len));
    *blob = bytes_slice(*blob, sizeof(len), blob->len);
    if (len > blob->len)
        return false;
    *text_out = len > 0 ? bytes_slice(*blob, 0, len) : BYTES_NONE;
    *blob = bytes_slice(*blob, len, blob->len);
    return true;
}

static bool put_text(struct buf *blob, struct bytes text)
{
    uint32_t len = (uint32_t)text.len;

    return buf_append(blob, bytes_range(&len, sizeof(len))) && buf_append(blob, text);
}

static void read_blob(struct source *source)
{
    struct bytes blob = buf_bytes(&source->cache);

    source->fields = source->envelope = source->structure = BYTES_NONE;
    if (blob.len == 0 || blob.ptr[0] != CACHE_VERSION)
        return;
    blob = bytes_slice(blob, 1, blob.len);
    if (!take_text(&blob, &source->fields) || !take_text(&blob, &source->envelope) ||
        !take_text(&blob, &source->structure))
        source->fields = source->envelope = source->structure = BYTES_NONE;
}

static void look_up(struct source *source)
{
    if (source->has_cache)
        return;
    source->has_cache = true;
    bool is_there =
        source->is_quick
            ? mailbox_cache_get_held(source->mailbox, source->message.uid, &source->cache)
            : mailbox_cache_get(source->mailbox, source->message.uid, &source->cache);

    if (!is_there)
        buf_clear(&source->cache);
    read_blob(source);
}

unsigned source_kept_field(struct bytes name)
{
    unsigned number = 0;

    while (number < SOURCE_FIELDS && !bytes_equal_nocase(name, kept[number]))
        number++;
    return number;
}

/* As HEADER.FIELDS tells them: with the empty line where the header has one. */
static bool write_fields(struct bytes header, struct buf *out)
{
    bool is_ended = ends_header(header);
    struct mime_field field;

    while (mime_field_next(&header, &field))
        if (source_keeps_field(field.name) && !buf_append(out, field.raw))
            return false;
    return !is_ended || buf_append(out, BYTES("\r\n"));
}

enum { WITH_ENVELOPE = 1, WITH_STRUCTURE = 2 };

/* What it had, and what is wanted. */
static bool write_blob(const struct source *source, struct bytes header, unsigned wanted,
                       struct bytes structure, struct buf *blob)
{
    struct bytes fields = source->fields, envelope = source->envelope;
    struct buf text;
    uint8_t version = CACHE_VERSION;
    bool fits = true;

    buf_init(&text, TEXT_MAX);
    if (fields.ptr == NULL) {
        fits = write_fields(header, &text);
        fields = buf_bytes(&text);
    }
    fits = fits && buf_append(blob, bytes_range(&version, 1)) && put_text(blob, fields);
    buf_clear(&text);
    if (envelope.ptr == NULL && (wanted & WITH_ENVELOPE) != 0) {
        fits = fits && mime_envelope_write(header, &text);
        envelope = buf_bytes(&text);
    }
    fits = fits && put_text(blob, envelope) && put_text(blob, structure);
    buf_free(&text);
    return fits;
}

/* Makes the blob anew, with what is wanted as well, and has it kept. What nobody asked for is most
 * of what it costs. */
static int make(struct source *source, unsigned wanted)
{
    const struct mime_message *mime;
    struct bytes header;
    struct buf blob, structure;
    int error = 0;

    if (source->is_quick) { /* it may be there all the same */
        source->has_cache = false;
        return -EAGAIN;
    }
    buf_init(&blob, 4 * (size_t)TEXT_MAX);
    buf_init(&structure, TEXT_MAX);
    if ((wanted & WITH_STRUCTURE) != 0) {
        error = source_mime(source, &mime);
        if (error == 0 && !mime_structure_write(mime, true, &structure))
            error = -ENOMEM;
    }
    if (error == 0)
        error = source_header(source, &header);
    if (error == 0 &&
        !write_blob(source, header, wanted,
                    buf_len(&structure) > 0 ? buf_bytes(&structure) : source->structure, &blob))
        error = -ENOMEM;
    buf_free(&structure);
    if (error < 0) {
        buf_free(&blob);
        return error;
    }
    buf_free(&source->cache);
    source->cache = blob;
    read_blob(source);
    if (buf_len(&blob) <= MAILBOX_CACHE_MAX) {
        mailbox_cache_put(source->mailbox, source->message.uid, buf_bytes(&source->cache));
        source->has_put = true;
    }
    return 0;
}

int source_fields(struct source *source, struct bytes *fields_out)
{
    int error = 0;

    look_up(source);
    if (source->fields.ptr == NULL)
        error = make(source, 0);
    *fields_out = source->fields;
    return error;
}

int source_envelope(struct source *source, struct bytes *text_out)
{
    int error = 0;

    look_up(source);
    if (source->envelope.ptr == NULL)
        error = make(source, WITH_ENVELOPE);
    *text_out = source->envelope;
    return error;
}

int source_structure(struct source *source, struct bytes *text_out)
{
    int error = 0;

    look_up(source);
    if (source->structure.ptr == NULL)
        error = make(source, WITH_STRUCTURE);
    *text_out = source->structure;
    return error;
}
