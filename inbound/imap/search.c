/* search.c - SEARCH and its answers (RFC 9051 sections 6.4.4 and 7.3.4, RFC 3501 section 7.2.5). */
#include "inbound/imap/search.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "inbound/imap/command.h"
#include "inbound/imap/progress.h"
#include "inbound/imap/reader.h"

struct search {
    struct search_program program;
    bool has_begun;
    uint32_t number; /* looked at last */
    struct searched searched;
    struct source source;
    size_t count, capacity;
    uint32_t *found;      /* as they are told: numbers or UIDs */
    uint32_t *found_uids; /* as they are saved */
    uint64_t modseq;      /* the highest of them */
    uint64_t first_modseq, last_modseq;
};

bool imap_parse_search(struct imap_work *work, struct bytes *arguments)
{
    struct search *search = arena_alloc(&work->arena, sizeof(*search));

    work->state = search;
    if (search == NULL || !search_program_take(&work->arena, arguments, &search->program))
        return false;
    work->is_quick = search_is_quick(search->program.root);
    /* RFC 9755 section 3: who enabled UTF-8 names no other charset. */
    return !work->is_utf8 || search->program.charset.len == 0 ||
           imap_refuse(work, "BAD After ENABLE UTF8=ACCEPT all is UTF-8, without CHARSET");
}

static void search_ended(struct imap_work *work)
{
    struct search *search = work->state;

    kept_close(&search->searched.kept);
    search_free(&search->program);
    source_free(&search->source);
    free(search->found);
    free(search->found_uids);
}

static bool grow(struct search *search)
{
    size_t capacity = MAX(search->capacity * 2, (size_t)64);
    uint32_t *found = realloc(search->found, capacity * sizeof(*found));

    if (found != NULL)
        search->found = found;
    uint32_t *uids = realloc(search->found_uids, capacity * sizeof(*uids));

    if (uids != NULL)
        search->found_uids = uids;
    if (found == NULL || uids == NULL)
        return false;
    search->capacity = capacity;
    return true;
}

static bool note(struct imap_work *work, struct search *search,
                 const struct mailbox_message *message)
{
    if (search->count == search->capacity && !grow(search))
        return false;
    search->found[search->count] = work->is_uid ? message->uid : search->number;
    search->found_uids[search->count++] = message->uid;
    search->modseq = MAX(search->modseq, message->modseq);
    search->last_modseq = message->modseq;
    if (search->count == 1)
        search->first_modseq = message->modseq;
    return true;
}

/* RFC 9051 section 6.4.4.1: of MIN and MAX alone these two, else all. */
static void save(struct imap_work *work, struct search *search)
{
    const unsigned returns = search->program.returns;
    size_t count = search->count;

    if ((returns & SEARCH_RETURN_SAVE) == 0)
        return;
    if ((returns & (SEARCH_RETURN_ALL | SEARCH_RETURN_COUNT)) == 0 && count > 0) {
        uint32_t last = search->found_uids[count - 1];

        if ((returns & SEARCH_RETURN_MIN) != 0 && (returns & SEARCH_RETURN_MAX) != 0 && count > 1) {
            search->found_uids[1] = last;
            count = 2;
        } else if ((returns & SEARCH_RETURN_MAX) != 0 && (returns & SEARCH_RETURN_MIN) == 0) {
            search->found_uids[0] = last;
            count = 1;
        } else if ((returns & SEARCH_RETURN_MIN) != 0) {
            count = 1;
        }
    }
    free(work->saved.uids);
    work->saved = (struct saved){.uids = search->found_uids, .count = count};
    search->found_uids = NULL;
}

static void tell_search(struct imap_work *work, const struct search *search)
{
    work_put(work, BYTES("* SEARCH"));
    uint8_t *at = work_reserve(work, search->count * (1 + IMAP_NUMBER_ROOM)), *end = at;

    for (size_t i = 0; i < search->count && at != NULL; i++) {
        *end++ = ' ';
        end = imap_write_number(end, search->found[i]);
    }
    work_extend(work, at, end);
    if (search->program.has_modseq && search->count > 0)
        work_printf(work, " (MODSEQ %" PRIu64 ")", search->modseq);
    work_put(work, BYTES("\r\n"));
}

/* RFC 4731 section 3.2: of the messages that are told, where these are the first and the last. */
static uint64_t told_modseq(const struct search *search)
{
    switch (search->program.returns & ~(unsigned)SEARCH_RETURN_SAVE) {
    case SEARCH_RETURN_MIN:
        return search->first_modseq;
    case SEARCH_RETURN_MAX:
        return search->last_modseq;
    case SEARCH_RETURN_MIN | SEARCH_RETURN_MAX:
        return MAX(search->first_modseq, search->last_modseq);
    default:
        return search->modseq;
    }
}

static void tell_esearch(struct imap_work *work, const struct search *search)
{
    struct sequence_writer writer = {.out = &work->access.out};
    const unsigned returns = search->program.returns;

    work_printf(work, "* ESEARCH (TAG \"%s\")%s", work->tag, work->is_uid ? " UID" : "");
    if (search->count > 0) {
        if ((returns & SEARCH_RETURN_MIN) != 0)
            work_printf(work, " MIN %u", search->found[0]);
        if ((returns & SEARCH_RETURN_MAX) != 0)
            work_printf(work, " MAX %u", search->found[search->count - 1]);
    }
    if ((returns & SEARCH_RETURN_COUNT) != 0)
        work_printf(work, " COUNT %zu", search->count);
    if (search->count > 0 && (returns & SEARCH_RETURN_ALL) != 0) {
        work_put(work, BYTES(" ALL "));
        for (size_t i = 0; i < search->count; i++)
            sequence_writer_add(&writer, search->found[i]);
        if (!sequence_writer_end(&writer))
            work->access.is_last = true;
    }
    if (search->program.has_modseq && search->count > 0)
        work_printf(work, " MODSEQ %" PRIu64, told_modseq(search));
    work_put(work, BYTES("\r\n"));
}

static enum work_step end(struct imap_work *work, struct search *search)
{
    /* SAVE alone is answered by OK alone. */
    bool is_told = search->program.returns != SEARCH_RETURN_SAVE;

    if (is_told && (search->program.has_return || work->is_rev2))
        tell_esearch(work, search);
    else if (is_told)
        tell_search(work, search);
    save(work, search);
    if (search->searched.has_failed)
        return work_answer(work, "NO [UNAVAILABLE] Some messages cannot be read now");
    return work_answer(work, "OK SEARCH done");
}

static enum work_step begin(struct imap_work *work, struct search *search)
{
    search->has_begun = true;
    work->ended = search_ended;
    search->searched.work = work;
    search->searched.now_s = clock_wall_ms() / 1000;
    if ((search->program.returns & SEARCH_RETURN_SAVE) != 0)
        work->saved.count = 0; /* RFC 9051 section 6.4.4.1: also where it fails */
    if (search->program.has_modseq)
        imap_enable_condstore(work);
    enum search_ready ready = search_prepare(work, &search->program);

    if (ready != SEARCH_READY)
        return search_refuse(work, ready);
    search->searched.wants_kept = search_asks_kept(search->program.root);
    return WORK_MORE;
}

static bool look_at(struct imap_work *work, struct search *search, struct reader *reader)
{
    const struct mailbox_message *message =
        reader_find(reader, work->view.uids[search->number - 1]);
    struct source *source = &search->source;
    bool is_good = true;

    if (message == NULL)
        return true;
    source_begin(source, work->view.mailbox, message);
    search->searched.source = source;
    search->searched.number = search->number;
    if (search_matches(&search->searched, search->program.root) && !search->searched.is_blocked)
        is_good = note(work, search, message);
    search->searched.has_read = source_was_read(source);
    source_end(source);
    return is_good;
}

/* Until all were looked at or the slice is full. False: no memory. */
static bool look_at_some(struct imap_work *work, struct search *search)
{
    struct reader reader;

    reader_begin(&reader, work->view.mailbox);
    do {
        if (search->number == work->view.count)
            return true;
        search->number++;
        if (!look_at(work, search, &reader))
            return false;
        if (search->searched.is_blocked) {
            search->searched.is_blocked = false;
            search->number--;
            work_want_pool(work);
        }
    } while (searched_may_go_on(&search->searched));
    return true;
}

enum work_step imap_run_search(struct imap_work *work)
{
    struct search *search = work->state;

    if (!search->has_begun && begin(work, search) == WORK_DONE)
        return WORK_DONE;
    if (!searched_lock(&search->searched))
        return WORK_MORE;
    search->source.is_quick = work_is_on_engine(work);
    bool is_good = look_at_some(work, search);

    searched_unlock(&search->searched);
    source_settle(&search->source);
    if (!is_good)
        return work_fail(work, -ENOMEM);
    if (search->number == work->view.count)
        return end(work, search);
    imap_progress(work, search->number, work->view.count);
    return WORK_MORE;
}
