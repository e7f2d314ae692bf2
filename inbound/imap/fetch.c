/*
 * fetch.c - FETCH (RFC 9051 section 6.4.5): message by message, item by item; the bytes of long
 * ones in pieces.
 *
 * A message that went since the client was told of it is passed over, and the answer says so
 * (RFC 2180 section 4.1.2, EXPUNGEISSUED). \Seen is set for what was sent, a slice at a time, and
 * told as a change of flags behind it.
 */
#include "inbound/imap/command.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "inbound/imap/fetch_line.h"
#include "inbound/imap/fetch_program.h"
#include "inbound/imap/kept.h"
#include "inbound/imap/notify.h"
#include "inbound/imap/progress.h"
#include "inbound/imap/reader.h"
#include "inbound/imap/source.h"
#include "inbound/mailbox/mailbox_change.h"
#include "inbound/mime/mime_binary.h"
#include "inbound/mime/mime_field.h"
#include "inbound/mime/mime_preview.h"
#include "inbound/mime/mime_section.h"
#include "inbound/mime/mime_structure.h"

enum { PIECE = 64 << 10, SEEN_MAX = 256, TEXT_MAX = 32 << 20 };

struct fetch {
    struct sequence_set set;
    struct sequence_set vanished; /* where those that went are asked for */
    struct fetch_program program;
    bool has_begun;
    bool has_lines; /* which are written at one go */
    uint32_t number;
    struct flag_memo *memo; /* of this slice; NULL: none had keywords */
    /* texts that were told before */
    bool wants_kept, has_kept /* in this slice: it is locked */, may_keep;
    const struct fetch_item *section; /* whose texts may be kept; NULL: none */
    unsigned section_column;          /* KEPT_COLUMNS: they are not */
    struct kept *kept_texts;
    uint32_t row, row_uid; /* of the message that was looked up last */
    /* of the message that is being told */
    bool in_message, has_items;
    size_t item;
    struct source source;
    uint64_t stream_offset, stream_left; /* of its bytes */
    struct buf text;                     /* that is made before its length is told */
    const struct mime_section *kept_for; /* which is_kept was asked for */
    bool kept;
    /* of all */
    bool has_gone, has_failed, has_unknown;
    size_t seen_count;
    uint32_t seen[SEEN_MAX];
};

/* --- parsing ---------------------------------------------------------------------------------- */

bool imap_parse_fetch(struct imap_work *work, struct bytes *arguments)
{
    struct fetch *fetch = arena_alloc(&work->arena, sizeof(*fetch));

    if (fetch == NULL || !imap_take_space(arguments) ||
        !sequence_set_take(&work->arena, arguments, true, &fetch->set) ||
        !imap_take_space(arguments) ||
        !fetch_program_take(&work->arena, arguments, &fetch->program))
        return false;
    fetch->source.fd = -1;
    work->state = fetch;
    work->is_quick = true;
    /* RFC 7162 section 3.2.6 */
    if (fetch->program.has_vanished && (!work->is_uid || !work->has_qresync))
        return imap_refuse(work, "BAD VANISHED is for UID FETCH after ENABLE QRESYNC");
    if (fetch->program.has_vanished &&
        !sequence_set_copy(&work->arena, &fetch->set, &fetch->vanished))
        return false;
    return imap_resolve(work, &fetch->set) &&
           (!work->is_uid || work->is_uidonly || fetch_program_add(&fetch->program, FETCH_UID)) &&
           (!fetch->program.wants_modseq || fetch_program_add(&fetch->program, FETCH_MODSEQ));
}

bool imap_begin_fetch(struct imap_work *work, const struct fetch_program *program,
                      const struct sequence_range *ranges, size_t count)
{
    struct fetch *fetch = arena_alloc(&work->arena, sizeof(*fetch));
    struct sequence_range *copy = arena_alloc(&work->arena, count * sizeof(*copy));

    if (fetch == NULL || copy == NULL)
        return false;
    memcpy(copy, ranges, count * sizeof(*copy));
    *fetch = (struct fetch){
        .set = {.count = count, .ranges = copy},
        .program = *program,
        .source = {.fd = -1},
    };
    work->is_uid = true;
    work->state = fetch;
    return true;
}

/* --- items ------------------------------------------------------------------------------------ */

/* What went may have been behind what is the last one now, so "*" of them has no end. */
static void tell_vanished(struct imap_work *work, struct fetch *fetch)
{
    if (fetch->set.is_saved)
        fetch->vanished = fetch->set;
    else
        sequence_set_resolve(&fetch->vanished, UINT32_MAX);
    view_put_vanished(work, fetch->program.since, &fetch->vanished);
}

static void put_named(struct imap_work *work, struct bytes name, uint64_t number)
{
    work_put(work, name);
    work_put_number(work, number);
}

static void put_index_item(struct imap_work *work, enum fetch_kind kind,
                           const struct mailbox_message *message)
{
    uint8_t *at = work_reserve(work, FETCH_LINE_ITEM_ROOM);

    if (at != NULL)
        work_extend(work, at, fetch_line_put_item(at, kind, message));
}

static int put_size(struct imap_work *work, struct source *source)
{
    struct mailbox_message message = source->message;
    int error = source_size(source, &message.size);

    if (error == 0)
        put_index_item(work, FETCH_SIZE, &message);
    return error;
}

static uint32_t row_of(struct fetch *fetch, uint32_t uid)
{
    uint32_t hint = fetch->row + 1;

    if (!fetch->has_kept)
        return KEPT_NO_ROW;
    if (fetch->row_uid != uid)
        fetch->row = fetch->may_keep ? kept_row(fetch->kept_texts, uid, hint)
                                     : kept_known_row(fetch->kept_texts, uid, hint);
    fetch->row_uid = uid;
    return fetch->row;
}

/* ENVELOPE or BODYSTRUCTURE, as it is kept; else the source's, which is kept then. */
static int find_made(struct fetch *fetch, enum fetch_kind kind, struct bytes *text_out)
{
    unsigned column = kind == FETCH_ENVELOPE ? KEPT_ENVELOPE : KEPT_STRUCTURE;
    uint32_t row = row_of(fetch, fetch->source.message.uid);

    if (row != KEPT_NO_ROW && kept_find(fetch->kept_texts, column, row, text_out))
        return 0;
    int error = kind == FETCH_ENVELOPE ? source_envelope(&fetch->source, text_out)
                                       : source_structure(&fetch->source, text_out);

    if (error == 0 && row != KEPT_NO_ROW && fetch->may_keep && text_out->len <= KEPT_TEXT_MAX)
        (void)!kept_put(fetch->kept_texts, column, row, *text_out);
    return error;
}

static int put_made(struct imap_work *work, struct fetch *fetch, enum fetch_kind kind)
{
    struct bytes text;
    int error = find_made(fetch, kind, &text);

    if (error < 0)
        return error;
    work_put(work, kind == FETCH_ENVELOPE ? BYTES("ENVELOPE ") : BYTES("BODYSTRUCTURE "));
    work_put(work, text);
    return 0;
}

static int put_body(struct imap_work *work, struct source *source)
{
    const struct mime_message *mime;
    int error = source_mime(source, &mime);

    if (error < 0)
        return error;
    work_put(work, BYTES("BODY "));
    if (!mime_structure_write(mime, false, &work->access.out))
        work->access.is_last = true;
    return 0;
}

static int put_preview(struct imap_work *work, struct source *source)
{
    const struct mime_message *mime;
    struct buf text;
    int error = source_mime(source, &mime);

    if (error < 0)
        return error;
    buf_init(&text, PIECE);
    bool fits = mime_preview_write(mime, &text);

    work_put(work, BYTES("PREVIEW "));
    if (!fits || !imap_put_string(&work->access.out, buf_bytes(&text)))
        work->access.is_last = true;
    buf_free(&text);
    return 0;
}

/* --- sections --------------------------------------------------------------------------------- */

/* "BODY[TEXT]<0> " */
static void put_label(struct imap_work *work, const struct fetch_item *item)
{
    work_put(work, item->label);
    if (item->is_partial)
        work_printf(work, "<%" PRIu64 ">", item->from);
    work_put(work, BYTES(" "));
}

static void clip(const struct fetch_item *item, uint64_t *from, uint64_t *len)
{
    if (!item->is_partial)
        return;
    uint64_t skipped = MIN(item->from, *len);

    *from += skipped;
    *len = MIN(*len - skipped, item->len);
}

/* "{123}\r\n" */
static void put_literal(struct imap_work *work, uint64_t len)
{
    put_named(work, BYTES("{"), len);
    work_put(work, BYTES("}\r\n"));
}

/* What was written from `before` on is what the next who asks for this section is told as well. */
static void keep_section(struct imap_work *work, struct fetch *fetch, size_t before)
{
    uint32_t row = row_of(fetch, fetch->source.message.uid);
    struct bytes out = buf_bytes(&work->access.out);

    if (row == KEPT_NO_ROW || !fetch->may_keep || fetch->section_column == KEPT_COLUMNS ||
        work->access.is_last || out.len - before > KEPT_TEXT_MAX)
        return;
    (void)!kept_put(fetch->kept_texts, fetch->section_column, row,
                    bytes_slice(out, before, out.len - before));
}

/* What is made and not part of the message. */
static int put_fields(struct imap_work *work, struct fetch *fetch, const struct fetch_item *item,
                      struct bytes header)
{
    struct buf *text = &fetch->text;
    uint64_t from = 0, len;

    if (text->ptr == NULL)
        buf_init(text, TEXT_MAX);
    bool fits = mime_section_fields(header, &item->section, text);
    size_t before = buf_len(&work->access.out);

    if (fits) {
        len = buf_len(text);
        clip(item, &from, &len);
        put_label(work, item);
        put_literal(work, len);
        work_put(work, bytes_slice(buf_bytes(text), (size_t)from, (size_t)len));
    }
    if (fits && item == fetch->section)
        keep_section(work, fetch, before);
    if (text->capacity > PIECE)
        buf_free(text);
    buf_clear(text);
    return fits ? 0 : -ENOMEM;
}

/* Are all fields that it names among those that need no look into the message? The same for all
 * messages. */
static bool is_kept(struct fetch *fetch, const struct mime_section *section)
{
    bool kept = section->kind == MIME_SECTION_FIELDS;

    if (fetch->kept_for == section)
        return fetch->kept;
    for (size_t i = 0; i < section->name_count && kept; i++)
        kept = source_keeps_field(section->names[i]);
    fetch->kept_for = section;
    fetch->kept = kept;
    return kept;
}

/* Where a section lies in the message; *is_there_out false: NIL. */
static int find_section(struct fetch *fetch, const struct mime_section *section,
                        struct bytes *slice_out, uint64_t *from_out, uint64_t *len_out,
                        bool *is_there_out)
{
    struct source *source = &fetch->source;
    const struct mime_message *mime;
    struct bytes header, whole;
    uint64_t size;
    int error = source_size(source, &size);

    *is_there_out = true;
    *from_out = 0;
    *len_out = size;
    if (error < 0 || (section->depth == 0 && section->kind == MIME_SECTION_WHOLE))
        return error;
    if (section->depth == 0) {
        error = is_kept(fetch, section) ? source_fields(source, &header)
                                        : source_header(source, &header);
        if (error < 0)
            return error;
        *slice_out = header;
        *from_out = section->kind == MIME_SECTION_TEXT ? header.len : 0;
        *len_out = section->kind == MIME_SECTION_TEXT ? size - header.len : header.len;
        return 0;
    }
    error = source_mime(source, &mime);
    if (error == 0)
        error = source_whole(source, &whole);
    if (error < 0)
        return error;
    *is_there_out = mime_section_find(mime, section, slice_out);
    if (*is_there_out) {
        *from_out = (uint64_t)(slice_out->ptr - whole.ptr);
        *len_out = slice_out->len;
    }
    return 0;
}

/* As it was told before. */
static bool put_kept_section(struct imap_work *work, struct fetch *fetch)
{
    uint32_t row = row_of(fetch, fetch->source.message.uid);
    struct bytes text;

    if (row == KEPT_NO_ROW || fetch->section_column == KEPT_COLUMNS ||
        !kept_find(fetch->kept_texts, fetch->section_column, row, &text))
        return false;
    work_put(work, text);
    return true;
}

static int begin_section(struct imap_work *work, struct fetch *fetch, const struct fetch_item *item)
{
    if (item == fetch->section && put_kept_section(work, fetch))
        return 0;
    struct bytes slice = BYTES_NONE;
    uint64_t from, len;
    bool is_there;
    int error = find_section(fetch, &item->section, &slice, &from, &len, &is_there);

    if (error < 0)
        return error;
    if (is_there && (item->section.kind == MIME_SECTION_FIELDS ||
                     item->section.kind == MIME_SECTION_FIELDS_NOT))
        return put_fields(work, fetch, item, slice);
    put_label(work, item);
    if (!is_there) {
        work_put(work, BYTES("NIL"));
        return 0;
    }
    clip(item, &from, &len);
    put_literal(work, len);
    fetch->stream_offset = from;
    fetch->stream_left = len;
    return 0;
}

/* A piece of the bytes that are being told. Cannot be told otherwise any more if that fails. */
static void put_piece(struct imap_work *work, struct fetch *fetch)
{
    size_t len = (size_t)MIN(fetch->stream_left, (uint64_t)PIECE);
    int error = source_copy(&fetch->source, fetch->stream_offset, len, &work->access.out);

    if (access_work_would_wait(&work->access, error))
        return;
    if (error < 0) {
        work->access.is_last = true;
        len = (size_t)fetch->stream_left;
    }
    fetch->stream_offset += len;
    fetch->stream_left -= len;
}

/* --- BINARY (RFC 3516) ------------------------------------------------------------------------ */

static const struct mime_part *part_of(const struct mime_message *mime,
                                       const struct fetch_item *item)
{
    return mime_message_part(mime, item->section.path, item->section.depth);
}

/* Decoded, `from` and `len` of it, to the output. */
static void put_decoded(struct imap_work *work, const struct mime_part *part, uint64_t from,
                        uint64_t len)
{
    struct mime_binary binary;
    uint8_t piece[8192];
    size_t got;

    mime_binary_begin(&binary, part);
    while (len > 0 && (got = mime_binary_read(&binary, piece, sizeof(piece))) > 0) {
        uint64_t skipped = MIN(from, (uint64_t)got), taken = MIN(len, got - skipped);

        work_put(work, bytes_range(piece + skipped, (size_t)taken));
        from -= skipped;
        len -= taken;
    }
}

static int put_binary(struct imap_work *work, struct fetch *fetch, const struct fetch_item *item)
{
    const struct mime_message *mime;
    bool has_nul;
    int error = source_mime(&fetch->source, &mime);

    if (error < 0)
        return error;
    const struct mime_part *part = part_of(mime, item);

    if (item->section.depth == 0) /* BINARY[]: the message itself, as it is */
        return begin_section(work, fetch, item);
    if (part != NULL && part->encoding == MIME_UNKNOWN) {
        fetch->has_unknown = true;
        part = NULL;
    }
    put_label(work, item);
    if (part == NULL) {
        work_put(work, BYTES("NIL"));
        return 0;
    }
    uint64_t from = 0, len = mime_binary_size(part, &has_nul);

    clip(item, &from, &len);
    if (len > TEXT_MAX) {
        fetch->has_failed = true;
        work_put(work, BYTES("NIL"));
        return 0;
    }
    if (has_nul)
        work_put(work, BYTES("~"));
    put_literal(work, len);
    put_decoded(work, part, from, len);
    return 0;
}

static int put_binary_size(struct imap_work *work, struct fetch *fetch,
                           const struct fetch_item *item)
{
    const struct mime_message *mime;
    uint64_t size = 0;
    bool has_nul;
    int error = source_mime(&fetch->source, &mime);

    if (error < 0)
        return error;
    const struct mime_part *part = part_of(mime, item);

    if (item->section.depth == 0)
        size = fetch->source.size;
    else if (part != NULL && part->encoding == MIME_UNKNOWN)
        fetch->has_unknown = true;
    else if (part != NULL)
        size = mime_binary_size(part, &has_nul);
    work_put(work, item->label);
    put_named(work, BYTES(" "), size);
    return 0;
}

/* --- messages --------------------------------------------------------------------------------- */

/* As they were told already, or for the next that has the same. */
static void put_flags(struct imap_work *work, struct fetch *fetch, uint64_t flags)
{
    struct buf *out = &work->access.out;
    size_t before = buf_len(out);
    bool has_keywords = flags > FLAG_TEXT_ALL;
    const struct flag_text *text =
        has_keywords && fetch->memo != NULL ? flag_memo_find(fetch->memo, flags) : NULL;

    if (text != NULL) {
        work_put(work, bytes_range(text->bytes, text->len));
        work_put(work, BYTES(")"));
        return;
    }
    view_put_flags(work, work->view.mailbox, flags);
    if (!has_keywords || work->access.is_last)
        return;
    if (fetch->memo == NULL)
        fetch->memo = arena_alloc(&work->arena, sizeof(*fetch->memo));
    if (fetch->memo != NULL)
        flag_memo_keep(fetch->memo, flags,
                       bytes_slice(buf_bytes(out), before, buf_len(out) - 1 - before));
}

static int put_item(struct imap_work *work, struct fetch *fetch, const struct fetch_item *item)
{
    const struct mailbox_message *message = &fetch->source.message;

    switch (item->kind) {
    case FETCH_FLAGS:
        put_flags(work, fetch, message->flags);
        return 0;
    case FETCH_UID:
    case FETCH_INTERNALDATE:
    case FETCH_SAVEDATE:
    case FETCH_MODSEQ:
    case FETCH_EMAILID:
    case FETCH_THREADID:
        put_index_item(work, item->kind, message);
        return 0;
    case FETCH_SIZE:
        return put_size(work, &fetch->source);
    case FETCH_ENVELOPE:
    case FETCH_BODYSTRUCTURE:
        return put_made(work, fetch, item->kind);
    case FETCH_BODY:
        return put_body(work, &fetch->source);
    case FETCH_PREVIEW:
        return put_preview(work, &fetch->source);
    case FETCH_SECTION:
        return begin_section(work, fetch, item);
    case FETCH_BINARY:
        return put_binary(work, fetch, item);
    case FETCH_BINARY_SIZE:
        break;
    }
    return put_binary_size(work, fetch, item);
}

/* The next item, which may begin a stream of bytes. One that fails is left out, and so is what was
 * written of it. */
static void tell_item(struct imap_work *work, struct fetch *fetch)
{
    const struct fetch_item *item = &fetch->program.items[fetch->item++];
    size_t before = buf_len(&work->access.out);

    if (fetch->has_items)
        work_put(work, BYTES(" "));
    int error = put_item(work, fetch, item);

    if (error == 0) {
        fetch->has_items = true;
        return;
    }
    buf_truncate(&work->access.out, before);
    if (access_work_would_wait(&work->access, error)) {
        fetch->item--;
        return;
    }
    fetch->has_gone |= error == -ENOENT;
    fetch->has_failed |= error != -ENOENT;
}

static void note_seen(struct imap_work *work, struct fetch *fetch)
{
    const struct mailbox_message *message = &fetch->source.message;

    if (fetch->program.sets_seen && !work->view.is_read_only && (message->flags & MAIL_SEEN) == 0)
        fetch->seen[fetch->seen_count++] = message->uid;
}

/* False: on the engine that cannot be. */
static bool set_seen(struct imap_work *work, struct fetch *fetch)
{
    struct mailbox_flags_change change = {.how = STORE_ADD, .flags = MAIL_SEEN};

    if (fetch->seen_count == 0)
        return true;
    if (work_is_on_engine(work)) {
        work_want_pool(work);
        return false;
    }
    if (mailbox_store_flags(work->view.mailbox, fetch->seen, fetch->seen_count, &change) < 0)
        fetch->has_failed = true;
    fetch->seen_count = 0;
    return true;
}

/* ENVELOPE, BODYSTRUCTURE and the section of messages, as they are kept: of how many. */
static size_t find_texts(struct fetch *fetch, const struct mailbox_message *messages, size_t count,
                         struct fetch_line_texts *texts, size_t *len_out)
{
    bool has_envelope = fetch_program_has(&fetch->program, FETCH_ENVELOPE);
    bool has_structure = fetch_program_has(&fetch->program, FETCH_BODYSTRUCTURE);
    bool has_section = fetch->section != NULL;
    size_t i = 0;

    if (has_section && fetch->section_column == KEPT_COLUMNS)
        count = 0;

    *len_out = 0;
    for (; i < count && *len_out < PIECE; i++) {
        uint32_t row = row_of(fetch, messages[i].uid);

        texts[i] = (struct fetch_line_texts){0};
        if (row == KEPT_NO_ROW ||
            (has_envelope &&
             !kept_find(fetch->kept_texts, KEPT_ENVELOPE, row, &texts[i].envelope)) ||
            (has_structure &&
             !kept_find(fetch->kept_texts, KEPT_STRUCTURE, row, &texts[i].structure)) ||
            (has_section &&
             !kept_find(fetch->kept_texts, fetch->section_column, row, &texts[i].section)))
            break;
        *len_out += texts[i].envelope.len + texts[i].structure.len + texts[i].section.len;
    }
    return i;
}

/* Of messages from fetch->number on; so many as can be told in lines. */
static size_t put_lines(struct imap_work *work, struct fetch *fetch,
                        const struct mailbox_message *messages, size_t count)
{
    struct fetch_line_texts texts[READER_MAX];
    size_t len = 0;

    if (fetch->wants_kept)
        count = find_texts(fetch, messages, count, texts, &len);
    if (count == 0)
        return 0;
    struct fetch_lines lines = {
        .program = &fetch->program,
        .is_uidonly = work->is_uidonly,
        .number = fetch->number,
        .uids = &work->view.uids[fetch->number - 1],
        .messages = messages,
        .count = count,
        .memo = fetch->memo,
        .texts = fetch->wants_kept ? texts : NULL,
    };
    uint8_t *at = work_reserve(work, count * fetch_line_room(&fetch->program) + len);

    if (at == NULL)
        return 0;
    work_extend(work, at, fetch_lines_put(at, &lines, &count));
    return count;
}

/* Or tells some messages, of which all is at hand. False: there is none any more. */
static bool begin_message(struct imap_work *work, struct fetch *fetch, struct reader *reader)
{
    const struct view *view = &work->view;
    size_t count, ahead;

    uint32_t next = view_next_run(view, &fetch->set, work->is_uid, fetch->number, &count);

    if (next == 0)
        return false;
    fetch->number = next;
    unsigned reads = reader->reads;
    const struct mailbox_message *message = reader_find_run(reader, view->uids[next - 1], &ahead);

    if (reader->reads != reads && fetch_program_has(&fetch->program, FETCH_FLAGS))
        view_put_keywords(work, false);
    if (message == NULL) {
        fetch->has_gone = true;
        return true;
    }
    if (fetch->has_lines) {
        size_t told = put_lines(work, fetch, message, MIN(count, ahead));

        if (told > 0) {
            fetch->number = next + (uint32_t)told - 1;
            reader_pass(reader, told);
            return true;
        }
    }
    if (fetch->program.has_since && message->modseq <= fetch->program.since)
        return true;
    source_begin(&fetch->source, view->mailbox, message);
    fetch->in_message = true;
    fetch->has_items = false;
    fetch->item = 0;
    view_put_fetch(work, fetch->number, message->uid);
    return true;
}

static void end_message(struct imap_work *work, struct fetch *fetch)
{
    note_seen(work, fetch);
    source_end(&fetch->source);
    fetch->in_message = false;
    work_put(work, BYTES(")\r\n"));
}

static void fetch_ended(struct imap_work *work)
{
    struct fetch *fetch = work->state;

    kept_close(&fetch->kept_texts);
    if (fetch->in_message)
        source_end(&fetch->source);
    source_free(&fetch->source);
    buf_free(&fetch->text);
    fetch->in_message = false;
}

static enum work_step end_fetch(struct imap_work *work, struct fetch *fetch)
{
    if (!set_seen(work, fetch))
        return WORK_MORE;
    if (fetch->has_failed)
        return work_answer(work, "NO [UNAVAILABLE] Some of it cannot be read now");
    if (fetch->has_unknown)
        return work_answer(work, "NO [UNKNOWN-CTE] The encoding of a part is not known");
    if (fetch->has_gone && !work->is_uid)
        return work_answer(work, "NO [EXPUNGEISSUED] Some of the messages are gone");
    return work_answer(work, "OK FETCH done");
}

/* The clock is asked once a message, or once for some that are told at one go, and once a piece of
 * it. */
static bool may_go_on(const struct imap_work *work, const struct fetch *fetch)
{
    bool is_inside = fetch->in_message && fetch->stream_left == 0;

    if (work->access.is_last || work->access.wants_pool)
        return false;
    return is_inside ? buf_len(&work->access.out) < ACCESS_SLICE_BYTES : !work_is_full(work);
}

/* The only section, if it is of header fields that need no look into the message. */
static const struct fetch_item *find_kept_section(struct fetch *fetch)
{
    const struct fetch_program *program = &fetch->program;
    const struct fetch_item *section = NULL;

    for (size_t i = 0; i < program->count; i++) {
        const struct fetch_item *item = &program->items[i];

        if (item->kind != FETCH_SECTION)
            continue;
        if (section != NULL || item->is_partial || item->section.depth > 0 ||
            !is_kept(fetch, &item->section))
            return NULL;
        section = item;
    }
    return section;
}

static void begin_fetch(struct imap_work *work, struct fetch *fetch)
{
    const struct fetch_program *program = &fetch->program;

    fetch->has_begun = true;
    fetch->section = program->sets_seen ? NULL : find_kept_section(fetch);
    fetch->section_column = KEPT_COLUMNS;
    fetch->has_lines = fetch_line_fits(program, fetch->section != NULL);
    fetch->wants_kept = !program->sets_seen &&
                        (fetch_program_has(program, FETCH_ENVELOPE) ||
                         fetch_program_has(program, FETCH_BODYSTRUCTURE) || fetch->section != NULL);
    work->ended = fetch_ended;
    work->own_events = NOTIFY_FLAGS;
    if (program->wants_modseq)
        imap_enable_condstore(work);
    if (program->has_vanished) /* RFC 7162 section 3.2.6 */
        tell_vanished(work, fetch);
}

/* For a slice; where somebody else has it just now, all is told without it. */
static void lock_kept(struct imap_work *work, struct fetch *fetch)
{
    if (!fetch->wants_kept ||
        (fetch->kept_texts == NULL && !kept_try_open(work->view.mailbox, &fetch->kept_texts)))
        return;
    fetch->has_kept = fetch->kept_texts != NULL && kept_try_lock(fetch->kept_texts);
    if (!fetch->has_kept)
        return;
    fetch->may_keep = kept_may_grow(fetch->kept_texts);
    if (fetch->section != NULL)
        fetch->section_column = kept_section(fetch->kept_texts, fetch->section->label);
}

static void unlock_kept(struct fetch *fetch)
{
    if (fetch->has_kept)
        kept_unlock(fetch->kept_texts);
    fetch->has_kept = false;
}

/* Until the slice is full. False: there are no more. */
static bool tell_some(struct imap_work *work, struct fetch *fetch)
{
    struct reader reader;

    reader_begin(&reader, work->view.mailbox);
    if (fetch->memo != NULL)
        flag_memo_clear(fetch->memo);
    while (may_go_on(work, fetch)) {
        if (!fetch->in_message) {
            if (!begin_message(work, fetch, &reader))
                return false;
            continue;
        }
        if (fetch->stream_left > 0)
            put_piece(work, fetch);
        else if (fetch->item < fetch->program.count)
            tell_item(work, fetch);
        else
            end_message(work, fetch);
        if (fetch->seen_count == SEEN_MAX)
            (void)set_seen(work, fetch);
    }
    return true;
}

enum work_step imap_run_fetch(struct imap_work *work)
{
    struct fetch *fetch = work->state;

    fetch->source.is_quick = work_is_on_engine(work);
    if (!fetch->has_begun)
        begin_fetch(work, fetch);
    lock_kept(work, fetch);
    bool has_more = tell_some(work, fetch);

    unlock_kept(fetch);
    source_settle(&fetch->source);
    if (!has_more)
        return end_fetch(work, fetch);
    (void)set_seen(work, fetch);
    if (fetch->in_message && !fetch->source.is_converted)
        source_unload(&fetch->source);
    if (!fetch->in_message)
        imap_progress(work, fetch->number, work->view.count);
    return work->access.is_last ? WORK_DONE : WORK_MORE;
}
