/*
 * sort.c - SORT and THREAD (RFC 5256, RFC 5957): what is found, by what the kept fields say.
 *
 * What SORT compares is kept of the mailbox and shared (kept.h): of all that is found it has two
 * numbers. The keys of a THREAD are in memory until the answer. Past the bounds of either, NO
 * [LIMIT].
 */
#include "inbound/imap/search.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "inbound/imap/command.h"
#include "inbound/imap/progress.h"
#include "inbound/imap/reader.h"
#include "inbound/imap/sort_order.h"
#include "inbound/mime/mime_date.h"
#include "inbound/mime/mime_field.h"
#include "inbound/mime/mime_sort.h"
#include "inbound/mime/mime_thread.h"

enum { CRITERIA_MAX = 20, KEYS_MAX = 256 << 20, KEY_ROOM = MIME_SORT_KEY_MAX };
enum { RUN_MAX = 4096 /* messages that are noted at one go */ };
enum { QUICK_MAX = 128 << 10 /* numbers that are put in order on the engine */ };

enum criterion_kind {
    BY_ARRIVAL,
    BY_CC,
    BY_DATE,
    BY_FROM,
    BY_SIZE,
    BY_SUBJECT,
    BY_TO,
    BY_DISPLAYFROM,
    BY_DISPLAYTO,
};

static const char *const criterion_names[] = {"ARRIVAL", "CC", "DATE",        "FROM",     "SIZE",
                                              "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO"};

struct criterion {
    enum criterion_kind kind;
    bool is_reverse;
};

struct sort {
    struct search_program program;
    bool is_thread, by_subject;
    size_t criterion_count;
    struct criterion criteria[CRITERIA_MAX];
    /* while it runs */
    bool has_begun;
    uint32_t number;
    struct searched searched;
    struct source source;
    struct arena memory; /* of texts of threads */
    size_t count, capacity;
    struct sorted *sorted; /* told by numbers or UIDs: both are in the order of the mailbox */
    struct mime_threaded *threaded;
};

/* --- parsing ---------------------------------------------------------------------------------- */

static bool take_criterion(struct bytes *input, struct sort *sort)
{
    struct criterion *criterion = &sort->criteria[sort->criterion_count];

    if (sort->criterion_count == CRITERIA_MAX)
        return false;
    criterion->is_reverse = imap_take_word(input, "REVERSE");
    if (criterion->is_reverse && !imap_take_space(input))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(criterion_names); i++)
        if (imap_take_word(input, criterion_names[i])) {
            criterion->kind = (enum criterion_kind)i;
            sort->criterion_count++;
            return true;
        }
    return false;
}

static bool take_criteria(struct bytes *input, struct sort *sort)
{
    if (!imap_take_byte(input, '('))
        return false;
    do {
        if (!take_criterion(input, sort))
            return false;
    } while (imap_take_space(input));
    return imap_take_byte(input, ')');
}

static bool take_algorithm(struct bytes *input, struct sort *sort)
{
    sort->is_thread = true;
    sort->by_subject = imap_take_word(input, "ORDEREDSUBJECT");
    return sort->by_subject || imap_take_word(input, "REFERENCES");
}

static bool parse(struct imap_work *work, struct bytes *arguments,
                  bool (*take_how)(struct bytes *input, struct sort *sort))
{
    struct sort *sort = arena_alloc(&work->arena, sizeof(*sort));
    struct bytes charset;

    work->state = sort;
    if (sort == NULL || !imap_take_space(arguments) || !take_how(arguments, sort) ||
        !imap_take_space(arguments) || !imap_take_astring(&work->arena, arguments, &charset) ||
        !imap_take_space(arguments))
        return false;
    sort->program.charset = charset;
    if (!search_program_take_keys(&work->arena, arguments, &sort->program))
        return false;
    work->is_quick = !sort->is_thread && search_is_quick(sort->program.root);
    return true;
}

bool imap_parse_sort(struct imap_work *work, struct bytes *arguments)
{
    return parse(work, arguments, take_criteria);
}

bool imap_parse_thread(struct imap_work *work, struct bytes *arguments)
{
    return parse(work, arguments, take_algorithm);
}

/* --- keys ------------------------------------------------------------------------------------- */

static struct bytes field_of(struct bytes fields, const char *name)
{
    struct mime_field field;

    return mime_field_find(fields, bytes_of(name), &field) ? field.value : BYTES_NONE;
}

/* Of no Date, or one that cannot be: when it came (RFC 5256 section 2.2). */
static int64_t sent_s(struct bytes fields, const struct mailbox_message *message)
{
    struct bytes value = field_of(fields, "Date");
    struct mime_date date;

    return value.ptr != NULL && mime_date_read(value, &date) ? date.unix_s : message->internal_s;
}

/* Numbers as bytes that compare as they do. */
static bool put_number(struct buf *key, uint64_t number)
{
    uint8_t bytes[8];

    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(number >> (56 - 8 * i));
    return buf_append(key, bytes_range(bytes, sizeof(bytes)));
}

static bool put_time(struct buf *key, int64_t seconds)
{
    return put_number(key, (uint64_t)seconds ^ UINT64_C(1) << 63);
}

/* False: cut where it was too long. */
static bool put_key(const struct mailbox_message *message, struct bytes fields, uint64_t size,
                    enum criterion_kind kind, struct buf *key)
{
    bool is_reply;

    switch (kind) {
    case BY_ARRIVAL:
        return put_time(key, message->internal_s);
    case BY_DATE:
        return put_time(key, sent_s(fields, message));
    case BY_SIZE:
        return put_number(key, size);
    case BY_SUBJECT:
        return mime_sort_subject(field_of(fields, "Subject"), key, &is_reply);
    case BY_CC:
        return mime_sort_mailbox(field_of(fields, "Cc"), key);
    case BY_FROM:
        return mime_sort_mailbox(field_of(fields, "From"), key);
    case BY_TO:
        return mime_sort_mailbox(field_of(fields, "To"), key);
    case BY_DISPLAYFROM:
        return mime_sort_display(field_of(fields, "From"), key);
    case BY_DISPLAYTO:
        break;
    }
    return mime_sort_display(field_of(fields, "To"), key);
}

/* 0, -ENOSPC: the bound of what is kept is reached, or why the message cannot be read. */
static int make_key(struct sort *sort, struct source *source, enum criterion_kind kind,
                    uint32_t row)
{
    struct bytes fields = BYTES_NONE;
    uint64_t size = 0;
    struct buf key;
    int error = 0;

    if (kind == BY_SIZE)
        error = source_size(source, &size);
    else if (kind != BY_ARRIVAL)
        error = source_fields(source, &fields);
    if (error < 0)
        return error;
    buf_init(&key, KEY_ROOM);
    (void)!put_key(&source->message, fields, size, kind, &key);
    if (!kept_put(sort->searched.kept, kind, row, buf_bytes(&key)))
        error = -ENOSPC;
    buf_free(&key);
    return error;
}

static int make_keys(struct sort *sort, struct source *source, uint32_t *row_out)
{
    uint32_t row = searched_row(&sort->searched);
    struct bytes key;
    int error = row == KEPT_NO_ROW ? -ENOSPC : 0;

    for (size_t i = 0; i < sort->criterion_count && error == 0; i++)
        if (!kept_find(sort->searched.kept, sort->criteria[i].kind, row, &key))
            error = make_key(sort, source, sort->criteria[i].kind, row);
    *row_out = row;
    return error;
}

/* --- threads ---------------------------------------------------------------------------------- */

/* All message ids of a field; of In-Reply-To the first counts (RFC 5256 section 3). */
static bool take_ids(struct sort *sort, struct bytes value, size_t max, struct bytes *ids,
                     size_t *count_out)
{
    struct buf id;
    bool is_good = true;

    buf_init(&id, KEY_ROOM);
    while (*count_out < max && is_good && mime_sort_take_id(&value, &id)) {
        is_good = arena_copy(&sort->memory, buf_bytes(&id), &ids[*count_out]);
        *count_out += is_good;
        buf_clear(&id);
    }
    buf_free(&id);
    return is_good;
}

static bool make_references(struct sort *sort, struct bytes fields, struct mime_threaded *threaded)
{
    struct bytes *ids = calloc(MIME_REFERENCES_MAX, sizeof(*ids)), *kept;
    size_t count = 0;
    bool is_good = ids != NULL &&
                   take_ids(sort, field_of(fields, "References"), MIME_REFERENCES_MAX, ids, &count);

    if (is_good && count == 0)
        is_good = take_ids(sort, field_of(fields, "In-Reply-To"), 1, ids, &count);
    if (is_good && count > 0) {
        kept = arena_alloc(&sort->memory, count * sizeof(*kept));
        is_good = kept != NULL;
        if (is_good)
            memcpy(kept, ids, count * sizeof(*kept));
        threaded->references = kept;
        threaded->reference_count = count;
    }
    free(ids);
    return is_good;
}

static bool make_threaded(struct sort *sort, const struct mailbox_message *message,
                          struct bytes fields, struct mime_threaded *threaded)
{
    struct buf text;
    size_t count = 0;

    threaded->sent_s = sent_s(fields, message);
    buf_init(&text, KEY_ROOM);
    (void)!mime_sort_subject(field_of(fields, "Subject"), &text, &threaded->is_reply);
    bool is_good = arena_copy(&sort->memory, buf_bytes(&text), &threaded->subject) &&
                   take_ids(sort, field_of(fields, "Message-ID"), 1, &threaded->message_id, &count);

    buf_free(&text);
    return is_good && (sort->by_subject || make_references(sort, fields, threaded));
}

/* --- what is found ---------------------------------------------------------------------------- */

static bool grow(struct sort *sort, size_t wanted)
{
    size_t size = sort->is_thread ? sizeof(*sort->threaded) : sizeof(*sort->sorted);
    size_t capacity = MAX(MAX(sort->capacity * 2, wanted), (size_t)64);
    void *grown =
        realloc(sort->is_thread ? (void *)sort->threaded : (void *)sort->sorted, capacity * size);

    if (grown == NULL)
        return false;
    sort->capacity = capacity;
    if (sort->is_thread)
        sort->threaded = grown;
    else
        sort->sorted = grown;
    return true;
}

/* False: these are too many. */
static bool note_sorted(struct sort *sort, struct source *source, uint32_t told)
{
    uint32_t row;
    int error = make_keys(sort, source, &row);

    if (error == -ENOSPC)
        return false;
    if (error == 0)
        sort->sorted[sort->count++] = (struct sorted){told, row};
    else
        searched_note_error(&sort->searched, error);
    return true;
}

static bool note_threaded(struct sort *sort, struct source *source, uint32_t told)
{
    struct mime_threaded *threaded = &sort->threaded[sort->count];
    struct bytes fields;
    int error = source_fields(source, &fields);

    if (error < 0) {
        searched_note_error(&sort->searched, error);
        return true;
    }
    *threaded = (struct mime_threaded){.id = told};
    sort->count++;
    return make_threaded(sort, &source->message, fields, threaded);
}

static bool note(struct imap_work *work, struct sort *sort, struct source *source)
{
    uint32_t told = work->is_uid ? source->message.uid : sort->number;

    if (sort->count == sort->capacity && !grow(sort, 0))
        return false;
    return sort->is_thread ? note_threaded(sort, source, told) : note_sorted(sort, source, told);
}

static bool look_at(struct imap_work *work, struct sort *sort, struct reader *reader)
{
    const struct mailbox_message *message = reader_find(reader, work->view.uids[sort->number - 1]);
    struct source *source = &sort->source;
    bool is_good = true;

    if (message == NULL)
        return true;
    source_begin(source, work->view.mailbox, message);
    sort->searched.source = source;
    sort->searched.number = sort->number;
    if (search_matches(&sort->searched, sort->program.root) && !sort->searched.is_blocked)
        is_good = note(work, sort, source);
    sort->searched.has_read = source_was_read(source);
    source_end(source);
    return is_good;
}

/* What the view has from here on, as long as it is kept in the view's order: no need to look at it
 * message by message. False: these are too many. */
static bool note_kept(struct imap_work *work, struct sort *sort)
{
    struct searched *searched = &sort->searched;
    const uint32_t *uids = work->view.uids + sort->number;
    size_t count = MIN(work->view.count - sort->number, (size_t)RUN_MAX);
    uint32_t row = searched->row_uid != 0 ? searched->row + 1 : 0;

    for (size_t i = 0; i < sort->criterion_count && count > 0; i++)
        count = kept_run(searched->kept, sort->criteria[i].kind, row, uids, count);
    if (sort->capacity - sort->count < count && !grow(sort, work->view.count))
        return false;
    for (uint32_t i = 0; i < count; i++)
        sort->sorted[sort->count++] =
            (struct sorted){work->is_uid ? uids[i] : sort->number + 1 + i, row + i};
    if (count > 0) {
        searched->row = row + (uint32_t)count - 1;
        searched->row_uid = uids[count - 1];
        sort->number += (uint32_t)count;
    }
    return true;
}

/* --- the answer ------------------------------------------------------------------------------- */

/* On the engine: in no time. */
static bool is_soon_in_order(const struct sort *sort)
{
    bool is_soon = sort->count * sort->criterion_count <= QUICK_MAX;

    for (size_t i = 0; i < sort->criterion_count && is_soon; i++)
        is_soon = kept_is_ranked(sort->searched.kept, sort->criteria[i].kind);
    return is_soon;
}

/* Criteria from the last to the first. Locked. */
static void put_in_order(struct sort *sort)
{
    for (size_t i = sort->criterion_count; i-- > 0;)
        sort_by_ranks(&sort->sorted, sort->count,
                      kept_ranks(sort->searched.kept, sort->criteria[i].kind),
                      sort->criteria[i].is_reverse);
}

static enum work_step end(struct imap_work *work, struct sort *sort)
{
    if (sort->is_thread) {
        work_put(work, sort->count > 0 ? BYTES("* THREAD ") : BYTES("* THREAD"));
        bool fits =
            sort->by_subject
                ? mime_thread_ordered_subject(sort->threaded, sort->count, &work->access.out)
                : mime_thread_references(sort->threaded, sort->count, &work->access.out);

        if (!fits)
            work->access.is_last = true;
    } else {
        work_put(work, BYTES("* SORT"));
        uint8_t *at = work_reserve(work, sort->count * (1 + IMAP_NUMBER_ROOM)), *last = at;

        for (size_t i = 0; i < sort->count && at != NULL; i++) {
            *last++ = ' ';
            last = imap_write_number(last, sort->sorted[i].told);
        }
        work_extend(work, at, last);
    }
    work_put(work, BYTES("\r\n"));
    if (sort->searched.has_failed)
        return work_answer(work, "NO [UNAVAILABLE] Some messages cannot be read now");
    return work_answer(work, "OK %s done", sort->is_thread ? "THREAD" : "SORT");
}

static void sort_ended(struct imap_work *work)
{
    struct sort *sort = work->state;

    kept_close(&sort->searched.kept);
    search_free(&sort->program);
    source_free(&sort->source);
    arena_free(&sort->memory);
    free(sort->sorted);
    free(sort->threaded);
}

static enum work_step begin(struct imap_work *work, struct sort *sort)
{
    sort->has_begun = true;
    arena_init(&sort->memory, KEYS_MAX);
    work->ended = sort_ended;
    sort->searched.work = work;
    sort->searched.now_s = clock_wall_ms() / 1000;
    sort->searched.wants_kept = !sort->is_thread || search_asks_kept(sort->program.root);
    enum search_ready ready = search_prepare(work, &sort->program);

    return ready == SEARCH_READY ? WORK_MORE : search_refuse(work, ready);
}

/* Until all were looked at or the slice is full. False: these are too many. */
static bool look_at_some(struct imap_work *work, struct sort *sort)
{
    struct reader reader;

    reader_begin(&reader, work->view.mailbox);
    bool takes_kept =
        !sort->is_thread && search_is_all(sort->program.root) && view_is_whole(&work->view);

    do {
        if (takes_kept && !note_kept(work, sort))
            return false;
        if (sort->number == work->view.count)
            return true;
        sort->number++;
        if (!look_at(work, sort, &reader))
            return false;
        if (sort->searched.is_blocked) {
            sort->searched.is_blocked = false;
            sort->number--;
            work_want_pool(work);
        }
    } while (searched_may_go_on(&sort->searched));
    return true;
}

enum work_step imap_run_sort(struct imap_work *work)
{
    struct sort *sort = work->state;

    if (!sort->has_begun && begin(work, sort) == WORK_DONE)
        return WORK_DONE;
    if (!searched_lock(&sort->searched))
        return WORK_MORE;
    if (!sort->is_thread && sort->searched.kept == NULL)
        return work_fail(work, -EIO);
    sort->source.is_quick = work_is_on_engine(work);
    bool is_good = look_at_some(work, sort);
    bool is_last = is_good && sort->number == work->view.count;

    if (is_last && work_is_on_engine(work) && !is_soon_in_order(sort)) {
        work_want_pool(work);
        is_last = false;
    }
    if (is_last && !sort->is_thread)
        put_in_order(sort);
    searched_unlock(&sort->searched);
    source_settle(&sort->source);
    if (!is_good)
        return work_answer(work, "NO [LIMIT] These are too many messages");
    if (is_last)
        return end(work, sort);
    imap_progress(work, sort->number, work->view.count);
    return WORK_MORE;
}
