/* search_match.c - asks what is cheap first: what the index answers, then the fields that it keeps,
 * then the message. */
#include "inbound/imap/search.h"

#include <errno.h>
#include <stdlib.h>

#include "inbound/imap/command.h"
#include "inbound/mime/mime_charset.h"
#include "inbound/mime/mime_date.h"
#include "inbound/mime/mime_field.h"
#include "inbound/mime/mime_search.h"

enum { DAY_S = 86400, STEP_BYTES = 256 << 10 };
enum { COST_KEPT = 10, COST_HEADER = 100, COST_BODY = 1000 };

/* Not all that are taken, but all that anybody should use. */
#define USUAL_CHARSETS \
    "UTF-8 US-ASCII UTF-7 UTF-16 ISO-8859-1 ISO-8859-2 ISO-8859-5 ISO-8859-7 ISO-8859-9 " \
    "ISO-8859-15 WINDOWS-1250 WINDOWS-1251 WINDOWS-1252 KOI8-R KOI8-U GB18030 GB2312 GBK BIG5 " \
    "SHIFT_JIS EUC-JP ISO-2022-JP EUC-KR"

/* --- before ----------------------------------------------------------------------------------- */

static bool has_needle(const struct search_key *key)
{
    return key->kind == SEARCH_HEADER || key->kind == SEARCH_BODY || key->kind == SEARCH_TEXT;
}

static unsigned cost_of(const struct search_key *key)
{
    unsigned cost = 0;

    switch (key->kind) {
    case SEARCH_BODY:
    case SEARCH_TEXT:
        return COST_BODY;
    case SEARCH_HEADER:
        return source_keeps_field(key->name) ? COST_KEPT : COST_HEADER;
    case SEARCH_SENTBEFORE:
    case SEARCH_SENTON:
    case SEARCH_SENTSINCE:
        return COST_KEPT;
    case SEARCH_AND:
    case SEARCH_OR:
    case SEARCH_NOT:
        for (const struct search_key *child = key->first; child != NULL; child = child->next)
            cost = MAX(cost, cost_of(child));
        return cost;
    case SEARCH_NUMBERS:
    case SEARCH_UIDS:
    case SEARCH_FLAG:
    case SEARCH_RECENT:
    case SEARCH_LARGER:
    case SEARCH_SMALLER:
    case SEARCH_BEFORE:
    case SEARCH_ON:
    case SEARCH_SINCE:
    case SEARCH_SAVEDBEFORE:
    case SEARCH_SAVEDON:
    case SEARCH_SAVEDSINCE:
    case SEARCH_SAVEDATESUPPORTED:
    case SEARCH_OLDER:
    case SEARCH_YOUNGER:
    case SEARCH_MODSEQ:
    case SEARCH_EMAILID:
    case SEARCH_THREADID:
        break;
    }
    return 0;
}

bool search_is_quick(const struct search_key *key)
{
    return cost_of(key) <= COST_KEPT;
}

bool search_is_all(const struct search_key *key)
{
    bool is_all = key->kind == SEARCH_AND;

    for (const struct search_key *child = key->first; child != NULL && is_all; child = child->next)
        is_all = search_is_all(child);
    return is_all;
}

bool search_asks_kept(const struct search_key *key)
{
    if (key->kind == SEARCH_HEADER && source_keeps_field(key->name))
        return true;
    for (const struct search_key *child = key->first; child != NULL; child = child->next)
        if (search_asks_kept(child))
            return true;
    return false;
}

/* By insertion: keys are few. */
static void sort_children(struct search_key *key)
{
    struct search_key *sorted = NULL;

    while (key->first != NULL) {
        struct search_key *child = key->first, **place = &sorted;

        key->first = child->next;
        while (*place != NULL && cost_of(*place) <= cost_of(child))
            place = &(*place)->next;
        child->next = *place;
        *place = child;
    }
    key->first = sorted;
}

static enum search_ready make_needle(struct search_key *key, struct bytes charset)
{
    struct mime_needle *needle = calloc(1, sizeof(*needle));

    if (needle == NULL)
        return SEARCH_BAD;
    switch (mime_needle_init(needle, charset, key->text)) {
    case MIME_NEEDLE_OK:
        key->of_search = needle;
        return SEARCH_READY;
    case MIME_NEEDLE_CHARSET:
        free(needle);
        return SEARCH_CHARSET;
    case MIME_NEEDLE_BROKEN:
        break;
    }
    free(needle);
    return SEARCH_BAD;
}

/* What a flag is as bits; a keyword that the mailbox has not is of no message: 0. */
static void find_flag(struct imap_work *work, struct search_key *key)
{
    struct imap_flag_list list = {.count = 1, .flags = {key->text}};
    uint64_t flags = 0;
    unsigned number;

    if (key->text.ptr[0] == '\\') {
        if (imap_flags_of(work->view.mailbox, &list, false, &flags) < 0)
            flags = 0;
    } else if (mailbox_keyword(work->view.mailbox, key->text, false, &number) == 0) {
        flags = MAIL_KEYWORD(number);
    }
    key->number = (int64_t)flags;
}

static enum search_ready prepare(struct imap_work *work, struct search_key *key,
                                 struct bytes charset)
{
    enum search_ready ready = SEARCH_READY;

    if (key->kind == SEARCH_NUMBERS && work->is_uidonly && !key->set.is_saved)
        return SEARCH_UIDREQUIRED;
    if (key->kind == SEARCH_NUMBERS || key->kind == SEARCH_UIDS)
        return view_resolve(work, &key->set, key->kind == SEARCH_UIDS) ? SEARCH_READY
                                                                       : SEARCH_NUMBER;
    if (key->kind == SEARCH_FLAG)
        find_flag(work, key);
    if (key->kind == SEARCH_HEADER)
        key->number = source_kept_field(key->name);
    if (has_needle(key))
        return make_needle(key, charset);
    for (struct search_key *child = key->first; child != NULL && ready == SEARCH_READY;
         child = child->next)
        ready = prepare(work, child, charset);
    if (ready == SEARCH_READY && (key->kind == SEARCH_AND || key->kind == SEARCH_OR))
        sort_children(key);
    return ready;
}

enum search_ready search_prepare(struct imap_work *work, struct search_program *program)
{
    if (program->charset.len > 0 && !mime_charset_is_known(program->charset))
        return SEARCH_CHARSET;
    return prepare(work, program->root, program->charset);
}

static void free_keys(struct search_key *key)
{
    struct mime_needle *needle = key->of_search;

    key->of_search = NULL;
    if (needle != NULL)
        mime_needle_free(needle);
    free(needle);
    for (struct search_key *child = key->first; child != NULL; child = child->next)
        free_keys(child);
}

enum work_step search_refuse(struct imap_work *work, enum search_ready why)
{
    switch (why) {
    case SEARCH_BAD:
        return work_answer(work, "BAD [CLIENTBUG] A text of the search is not of its charset");
    case SEARCH_NUMBER:
        return work_answer(work, "BAD [CLIENTBUG] There is no message of that number");
    case SEARCH_UIDREQUIRED:
        return work_answer(work, "BAD [UIDREQUIRED] Messages have no numbers under UIDONLY");
    case SEARCH_READY:
    case SEARCH_CHARSET:
        break;
    }
    check(why == SEARCH_CHARSET);
    return work_answer(work, "NO [BADCHARSET (" USUAL_CHARSETS ")] This charset is not known");
}

void search_free(struct search_program *program)
{
    if (program->root != NULL)
        free_keys(program->root);
}

/* --- a message -------------------------------------------------------------------------------- */

bool searched_may_go_on(const struct searched *searched)
{
    bool is_quick = !searched->has_read && searched->number % 16 != 0;

    return is_quick ? !searched->work->access.wants_pool : !work_is_full(searched->work);
}

bool searched_lock(struct searched *searched)
{
    struct mailbox *mailbox = searched->work->view.mailbox;
    bool is_locked = true;

    if (work_is_on_engine(searched->work)) {
        is_locked = !searched->wants_kept || kept_try_open(mailbox, &searched->kept);
        searched->wants_kept &= !is_locked;
        is_locked = is_locked && (searched->kept == NULL || kept_try_lock(searched->kept));
        if (!is_locked)
            work_want_pool(searched->work);
        return is_locked;
    }
    if (searched->wants_kept)
        searched->kept = kept_open(mailbox);
    searched->wants_kept = false;
    if (searched->kept != NULL)
        kept_lock(searched->kept);
    return true;
}

void searched_unlock(struct searched *searched)
{
    if (searched->kept != NULL)
        kept_unlock(searched->kept);
}

void searched_note_error(struct searched *searched, int error)
{
    if (error == -EAGAIN && work_is_on_engine(searched->work))
        searched->is_blocked = true;
    else
        searched->has_failed |= error != -ENOENT;
}

uint32_t searched_row(struct searched *searched)
{
    uint32_t uid = searched->source->message.uid;

    if (searched->row_uid != uid)
        searched->row = kept_row(searched->kept, uid, searched->row + 1);
    searched->row_uid = uid;
    return searched->row;
}

/* Each value of the field with a byte behind it that no text has, so that nothing is found over
 * two of them, and a field without a text is one. */
static bool fold_values(struct bytes fields, struct bytes name, struct buf *out)
{
    struct mime_field field;

    while (mime_field_next(&fields, &field))
        if (bytes_equal_nocase(field.name, name) &&
            (!mime_search_fold(field.value, out) || !buf_append_byte(out, 0xff)))
            return false;
    return true;
}

static bool keep_text(struct searched *searched, unsigned column, uint32_t row, struct bytes name)
{
    struct bytes fields;
    struct buf text;

    if (source_fields(searched->source, &fields) < 0)
        return false;
    buf_init(&text, KEPT_TEXT_MAX);
    bool is_good =
        fold_values(fields, name, &text) && kept_put(searched->kept, column, row, buf_bytes(&text));

    buf_free(&text);
    return is_good;
}

/* False: it is not kept and cannot be. */
static bool find_text(struct searched *searched, const struct search_key *key,
                      struct bytes *text_out)
{
    unsigned field = (unsigned)key->number;

    if (searched->kept == NULL || field == SOURCE_FIELDS)
        return false;
    uint32_t row = searched_row(searched);

    return row != KEPT_NO_ROW && (kept_find(searched->kept, KEPT_KEYS + field, row, text_out) ||
                                  (keep_text(searched, KEPT_KEYS + field, row, key->name) &&
                                   kept_find(searched->kept, KEPT_KEYS + field, row, text_out)));
}

static bool matches_header(struct searched *searched, const struct search_key *key)
{
    struct bytes header, text;

    if (find_text(searched, key, &text)) /* an empty needle asks for the field alone */
        return text.len > 0 && mime_needle_is_in(key->of_search, text);
    int error = key->number < SOURCE_FIELDS ? source_fields(searched->source, &header)
                                            : source_header(searched->source, &header);

    if (error < 0) {
        searched_note_error(searched, error);
        return false;
    }
    return mime_search_field(header, key->name, key->of_search);
}

static bool looks_into_text(struct searched *searched, const struct search_key *key)
{
    const struct mime_message *mime;
    enum mime_search_result result = MIME_SEARCH_MORE;
    int error = source_mime(searched->source, &mime);

    if (error < 0) {
        searched_note_error(searched, error);
        return false;
    }
    struct mime_search *search = mime_search_begin(mime, key->kind == SEARCH_TEXT, key->of_search);

    while (search != NULL && result == MIME_SEARCH_MORE &&
           !atomic_load_explicit(&searched->work->access.is_abandoned, memory_order_relaxed))
        result = mime_search_step(search, STEP_BYTES);
    if (search != NULL)
        mime_search_end(&search);
    return result == MIME_SEARCH_FOUND;
}

/* It takes long: others may have what is kept meanwhile. */
static bool matches_text(struct searched *searched, const struct search_key *key)
{
    searched_unlock(searched);
    bool is_found = looks_into_text(searched, key);

    check(searched_lock(searched)); /* it is the pool's */
    return is_found;
}

/* The day that the header says, of its own zone (RFC 9051 section 6.4.4). */
static bool sent_day(struct searched *searched, int64_t *day_s_out)
{
    struct mime_field field;
    struct mime_date date;
    struct bytes header;
    int error = source_fields(searched->source, &header);

    if (error < 0) {
        searched_note_error(searched, error);
        return false;
    }
    if (!mime_field_find(header, BYTES("Date"), &field) || !mime_date_read(field.value, &date))
        return false;
    *day_s_out = date.unix_s + date.zone_s;
    return true;
}

static int64_t midnight(int64_t seconds)
{
    return seconds - ((seconds % DAY_S) + DAY_S) % DAY_S;
}

static bool matches_size(struct searched *searched, const struct search_key *key)
{
    uint64_t size;

    int error = source_size(searched->source, &size);

    if (error < 0) {
        searched->is_blocked |= error == -EAGAIN && work_is_on_engine(searched->work);
        return false;
    }
    return key->kind == SEARCH_LARGER ? size > (uint64_t)key->number : size < (uint64_t)key->number;
}

static bool matches_email_id(const struct mailbox_message *message, struct bytes text)
{
    static const char digits[] = "0123456789abcdef";
    char id[17];

    id[0] = 'E';
    for (unsigned i = 0; i < 16; i++)
        id[1 + i] = digits[message->email_id >> (60 - 4 * i) & 15];
    return bytes_equal(text, bytes_range(id, sizeof(id)));
}

static bool matches_all(struct searched *searched, const struct search_key *key)
{
    for (const struct search_key *child = key->first; child != NULL; child = child->next)
        if (!search_matches(searched, child))
            return false;
    return true;
}

bool search_matches(struct searched *searched, const struct search_key *key)
{
    const struct mailbox_message *message = &searched->source->message;
    int64_t sent_s;

    switch (key->kind) {
    case SEARCH_AND:
        return matches_all(searched, key);
    case SEARCH_OR:
        return search_matches(searched, key->first) || search_matches(searched, key->first->next);
    case SEARCH_NOT:
        return !search_matches(searched, key->first);
    case SEARCH_NUMBERS:
        return sequence_set_has(&key->set, searched->number);
    case SEARCH_UIDS:
        return sequence_set_has(&key->set, message->uid);
    case SEARCH_FLAG:
        return (message->flags & (uint64_t)key->number) != 0;
    case SEARCH_RECENT: /* none is: RFC 9051 section 2.3.2 */
        return false;
    case SEARCH_LARGER:
    case SEARCH_SMALLER:
        return matches_size(searched, key);
    case SEARCH_BEFORE:
        return message->internal_s < key->number;
    case SEARCH_ON:
        return midnight(message->internal_s) == key->number;
    case SEARCH_SINCE:
        return message->internal_s >= key->number;
    case SEARCH_SENTBEFORE:
        return sent_day(searched, &sent_s) && sent_s < key->number;
    case SEARCH_SENTON:
        return sent_day(searched, &sent_s) && midnight(sent_s) == key->number;
    case SEARCH_SENTSINCE:
        return sent_day(searched, &sent_s) && sent_s >= key->number;
    case SEARCH_SAVEDBEFORE:
        return message->saved_s < key->number;
    case SEARCH_SAVEDON:
        return midnight(message->saved_s) == key->number;
    case SEARCH_SAVEDSINCE:
        return message->saved_s >= key->number;
    case SEARCH_SAVEDATESUPPORTED:
        return true;
    case SEARCH_OLDER: /* RFC 5032 section 3 */
        return searched->now_s - message->internal_s >= key->number;
    case SEARCH_YOUNGER:
        return searched->now_s - message->internal_s <= key->number;
    case SEARCH_HEADER:
        return matches_header(searched, key);
    case SEARCH_BODY:
    case SEARCH_TEXT:
        return matches_text(searched, key);
    case SEARCH_MODSEQ:
        return message->modseq >= (uint64_t)key->number;
    case SEARCH_EMAILID:
        return matches_email_id(message, key->text);
    case SEARCH_THREADID:
        break;
    }
    return false;
}
