/* list.c - LIST, LSUB and STATUS; LIST-EXTENDED (RFC 5258), LIST-STATUS (RFC 5819), SPECIAL-USE
 * (RFC 6154). */
#include "inbound/imap/command.h"
#include "inbound/imap/queue.h"

#include <errno.h>
#include <inttypes.h>

enum { PATTERNS_MAX = 64 };

enum status_item {
    STATUS_MESSAGES = 1,
    STATUS_RECENT = 2,
    STATUS_UIDNEXT = 4,
    STATUS_UIDVALIDITY = 8,
    STATUS_UNSEEN = 16,
    STATUS_SIZE = 32,
    STATUS_DELETED = 64,
    STATUS_DELETED_STORAGE = 128, /* RFC 9208 section 4.1.4 */
    STATUS_HIGHESTMODSEQ = 256,
    STATUS_MAILBOXID = 512,
    STATUS_APPENDLIMIT = 1024, /* RFC 7889 */
};

static const char *const status_names[] = {"MESSAGES",    "RECENT",          "UIDNEXT",
                                           "UIDVALIDITY", "UNSEEN",          "SIZE",
                                           "DELETED",     "DELETED-STORAGE", "HIGHESTMODSEQ",
                                           "MAILBOXID",   "APPENDLIMIT"};

struct listing {
    bool is_lsub, is_delimiter_asked;
    bool selects_subscribed, selects_recursive, selects_special;
    bool returns_children, returns_subscribed, returns_special, returns_status, is_extended;
    unsigned items;
    size_t pattern_count;
    struct bytes patterns[PATTERNS_MAX];
    /* while it runs */
    bool has_list;
    struct mailbox_list list;
    size_t next;
};

struct status {
    struct bytes name;
    unsigned items;
};

/* --- parsing ---------------------------------------------------------------------------------- */

static bool take_items(struct bytes *input, unsigned *items_out)
{
    unsigned items = 0;

    if (!imap_take_space(input) || !imap_take_byte(input, '('))
        return false;
    do {
        size_t i = 0;

        while (i < ARRAY_LEN(status_names) && !imap_take_word(input, status_names[i]))
            i++;
        if (i == ARRAY_LEN(status_names))
            return false;
        items |= 1U << i;
    } while (imap_take_space(input));
    *items_out = items;
    return imap_take_byte(input, ')');
}

bool imap_parse_status(struct imap_work *work, struct bytes *arguments)
{
    struct status *status = arena_alloc(&work->arena, sizeof(*status));

    work->state = status;
    return status != NULL && imap_take_space(arguments) &&
           imap_take_mailbox(work, arguments, &status->name) &&
           take_items(arguments, &status->items) && arguments->len == 0;
}

/* "(SUBSCRIBED REMOTE RECURSIVEMATCH SPECIAL-USE)" */
static bool take_selection(struct bytes *input, struct listing *list)
{
    bool is_first = true;

    list->is_extended = true;
    while (!imap_take_byte(input, ')')) {
        if (!is_first && !imap_take_space(input))
            return false;
        is_first = false;
        if (imap_take_word(input, "SUBSCRIBED"))
            list->selects_subscribed = true;
        else if (imap_take_word(input, "RECURSIVEMATCH"))
            list->selects_recursive = true;
        else if (imap_take_word(input, "SPECIAL-USE"))
            list->selects_special = true;
        else if (!imap_take_word(input, "REMOTE")) /* all of ours are here */
            return false;
    }
    return true;
}

static bool take_returns(struct bytes *input, struct listing *list)
{
    bool is_first = true;

    list->is_extended = true;
    if (!imap_take_space(input) || !imap_take_word(input, "RETURN") || !imap_take_space(input) ||
        !imap_take_byte(input, '('))
        return false;
    while (!imap_take_byte(input, ')')) {
        if (!is_first && !imap_take_space(input))
            return false;
        is_first = false;
        if (imap_take_word(input, "SUBSCRIBED")) {
            list->returns_subscribed = true;
        } else if (imap_take_word(input, "CHILDREN")) {
            list->returns_children = true;
        } else if (imap_take_word(input, "SPECIAL-USE")) {
            list->returns_special = true;
        } else if (imap_take_word(input, "STATUS")) {
            list->returns_status = true;
            if (!take_items(input, &list->items))
                return false;
        } else {
            return false;
        }
    }
    return true;
}

/* The reference is put before the pattern. */
static bool add_pattern(struct imap_work *work, struct listing *list, struct bytes reference,
                        struct bytes text)
{
    struct bytes whole, name;

    if (list->pattern_count == PATTERNS_MAX)
        return imap_refuse(work, "NO [LIMIT] These are too many patterns");
    if (!arena_printf(&work->arena, &whole, "%.*s%.*s", BYTES_ARG(reference), BYTES_ARG(text)) ||
        !mailbox_name_read(&work->arena, whole, work_tells_utf8(work), &name))
        return imap_refuse(work, IMAP_NO_MAILBOX_NAME);
    list->patterns[list->pattern_count++] = name;
    return true;
}

static bool take_patterns(struct imap_work *work, struct bytes *input, struct listing *list)
{
    struct bytes reference, text;

    if (!imap_take_astring(&work->arena, input, &reference) || !imap_take_space(input))
        return false;
    if (!list->is_lsub && imap_take_byte(input, '(')) {
        list->is_extended = true;
        do {
            if (!imap_take_list_mailbox(&work->arena, input, &text) ||
                !add_pattern(work, list, reference, text))
                return false;
        } while (imap_take_space(input));
        return imap_take_byte(input, ')');
    }
    if (!imap_take_list_mailbox(&work->arena, input, &text))
        return false;
    list->is_delimiter_asked = text.len == 0 && !list->is_extended;
    return text.len == 0 || add_pattern(work, list, reference, text);
}

static bool parse(struct imap_work *work, struct bytes *arguments, bool is_lsub)
{
    struct listing *list = arena_alloc(&work->arena, sizeof(*list));

    if (list == NULL || !imap_take_space(arguments))
        return false;
    work->state = list;
    list->is_lsub = is_lsub;
    if (!is_lsub && imap_take_byte(arguments, '(') &&
        (!take_selection(arguments, list) || !imap_take_space(arguments)))
        return false;
    /* RFC 5258 section 3.5 */
    if (list->selects_recursive && !list->selects_subscribed && !list->selects_special)
        return imap_refuse(work, "BAD RECURSIVEMATCH needs an option that it is to match");
    if (!take_patterns(work, arguments, list))
        return false;
    if (!is_lsub && arguments->len > 0 && !take_returns(arguments, list))
        return false;
    return arguments->len == 0;
}

bool imap_parse_list(struct imap_work *work, struct bytes *arguments)
{
    return parse(work, arguments, false);
}

bool imap_parse_lsub(struct imap_work *work, struct bytes *arguments)
{
    return parse(work, arguments, true);
}

/* --- STATUS ----------------------------------------------------------------------------------- */

static void put_items(struct imap_work *work, const struct mailbox_status *status, unsigned items)
{
    const struct {
        unsigned item;
        uint64_t value;
    } numbers[] = {
        {STATUS_MESSAGES, status->exists},
        {STATUS_RECENT, 0},
        {STATUS_UIDNEXT, status->uidnext},
        {STATUS_UIDVALIDITY, status->uidvalidity},
        {STATUS_UNSEEN, status->unseen},
        {STATUS_SIZE, status->size},
        {STATUS_DELETED, status->deleted},
        {STATUS_DELETED_STORAGE, (status->deleted_size + 1023) / 1024},
        {STATUS_HIGHESTMODSEQ, status->modseq},
        {STATUS_APPENDLIMIT, work->message_size_max},
    };
    const char *space = "";

    for (size_t i = 0; i < ARRAY_LEN(status_names); i++) {
        if ((items & 1U << i) == 0)
            continue;
        work_printf(work, "%s%s ", space, status_names[i]);
        space = " ";
        if (1U << i == STATUS_MAILBOXID) {
            work_put(work, BYTES("("));
            imap_put_mailbox_id(work, status->id);
            work_put(work, BYTES(")"));
        }
        for (size_t k = 0; k < ARRAY_LEN(numbers); k++)
            if (numbers[k].item == 1U << i)
                work_printf(work, "%" PRIu64, numbers[k].value);
    }
}

static int put_status(struct imap_work *work, struct bytes name, unsigned items)
{
    struct mailbox_status status;
    struct mailbox *mailbox;

    queue_refresh(work, name);
    int error = mailbox_open(work->account, name, &mailbox);

    if (error < 0)
        return error;
    error = mailbox_look(mailbox);
    mailbox_status(mailbox, &status);
    mailbox_close(&mailbox);
    if (error < 0)
        return error;
    work_put(work, BYTES("* STATUS "));
    if (!mailbox_name_put(&work->access.out, name, work_tells_utf8(work)))
        work->access.is_last = true;
    work_put(work, BYTES(" ("));
    put_items(work, &status, items);
    work_put(work, BYTES(")\r\n"));
    return 0;
}

enum work_step imap_run_status(struct imap_work *work)
{
    const struct status *status = work->state;

    if ((status->items & STATUS_HIGHESTMODSEQ) != 0)
        imap_enable_condstore(work);
    int error = put_status(work, status->name, status->items);

    return error < 0 ? work_fail(work, error) : work_answer(work, "OK STATUS done");
}

/* --- LIST ------------------------------------------------------------------------------------- */

static bool matches(const struct listing *list, struct bytes name)
{
    for (size_t i = 0; i < list->pattern_count; i++)
        if (mailbox_name_matches(name, list->patterns[i]))
            return true;
    return false;
}

static bool is_below(struct bytes name, struct bytes parent)
{
    return name.len > parent.len && name.ptr[parent.len] == '/' &&
           bytes_equal(bytes_slice(name, 0, parent.len), parent);
}

static bool is_selected(const struct listing *list, const struct mailbox_entry *entry)
{
    return (!list->selects_subscribed || entry->is_subscribed) &&
           (!list->selects_special || entry->use != SPECIAL_NONE);
}

/* Below it is one that is selected and not matched itself: RFC 5258 section 3.5. Names are in
 * order, but not so that those below follow at once. */
static bool has_selected_below(const struct listing *list, size_t at)
{
    struct bytes parent = list->list.entries[at].name;

    for (size_t i = 0; i < list->list.count; i++) {
        const struct mailbox_entry *entry = &list->list.entries[i];

        if (is_below(entry->name, parent) && is_selected(list, entry) &&
            !matches(list, entry->name))
            return true;
    }
    return false;
}

/* LSUB with "%": a parent that is not subscribed stands for what is below (RFC 3501 section
 * 6.3.9). */
static bool is_parent_of_subscribed(const struct listing *list, size_t at)
{
    for (size_t i = 0; i < list->list.count; i++)
        if (list->list.entries[i].is_subscribed &&
            is_below(list->list.entries[i].name, list->list.entries[at].name) &&
            !matches(list, list->list.entries[i].name))
            return true;
    return false;
}

static void put_attribute(struct imap_work *work, bool *is_first, const char *name)
{
    work_printf(work, "%s%s", *is_first ? "" : " ", name);
    *is_first = false;
}

static void put_entry(struct imap_work *work, const struct listing *list,
                      const struct mailbox_entry *entry, bool is_selected_itself,
                      bool has_childinfo)
{
    bool is_first = true;

    work_printf(work, "* %s (", list->is_lsub ? "LSUB" : "LIST");
    if (list->is_lsub) {
        if (entry->is_missing || !is_selected_itself)
            put_attribute(work, &is_first, "\\Noselect");
    } else {
        if (entry->is_missing)
            put_attribute(work, &is_first,
                          work->is_rev2 || list->is_extended ? "\\NonExistent" : "\\Noselect");
        put_attribute(work, &is_first, entry->has_children ? "\\HasChildren" : "\\HasNoChildren");
        if ((list->returns_subscribed || list->selects_subscribed) && entry->is_subscribed)
            put_attribute(work, &is_first, "\\Subscribed");
        if (entry->use != SPECIAL_NONE)
            put_attribute(work, &is_first, special_use_name(entry->use));
    }
    work_put(work, BYTES(") \"/\" "));
    if (!mailbox_name_put(&work->access.out, entry->name, work_tells_utf8(work)))
        work->access.is_last = true;
    if (has_childinfo)
        work_put(work, list->selects_subscribed ? BYTES(" (\"CHILDINFO\" (\"SUBSCRIBED\"))")
                                                : BYTES(" (\"CHILDINFO\" (\"SPECIAL-USE\"))"));
    work_put(work, BYTES("\r\n"));
}

static void tell_entry(struct imap_work *work, const struct listing *list, size_t at)
{
    const struct mailbox_entry *entry = &list->list.entries[at];
    bool is_itself = is_selected(list, entry);
    bool has_childinfo = list->selects_recursive && has_selected_below(list, at);

    if (list->is_lsub) {
        is_itself = entry->is_subscribed;
        if (!matches(list, entry->name) || (!is_itself && !is_parent_of_subscribed(list, at)))
            return;
        put_entry(work, list, entry, is_itself, false);
        return;
    }
    if (!matches(list, entry->name) || (!is_itself && !has_childinfo))
        return;
    /* What is only subscribed is told to who asks for subscriptions. */
    if (entry->is_missing && !entry->has_children && !list->selects_subscribed)
        return;
    put_entry(work, list, entry, is_itself, has_childinfo);
    if (list->returns_status && !entry->is_missing)
        (void)!put_status(work, entry->name,
                          list->items); /* RFC 5819: one that fails is left out */
}

static void list_ended(struct imap_work *work)
{
    struct listing *list = work->state;

    if (list->has_list)
        mailbox_list_free(&list->list);
    list->has_list = false;
}

enum work_step imap_run_list(struct imap_work *work)
{
    struct listing *list = work->state;

    if (list->is_delimiter_asked) {
        work_printf(work, "* %s (\\Noselect) \"/\" \"\"\r\n", list->is_lsub ? "LSUB" : "LIST");
        return work_answer(work, "OK %s done", list->is_lsub ? "LSUB" : "LIST");
    }
    if (!list->has_list) {
        int error = mail_account_list(work->account, &list->list);

        if (error < 0)
            return work_fail(work, error);
        list->has_list = true;
        work->ended = list_ended;
    }
    while (list->next < list->list.count) {
        tell_entry(work, list, list->next++);
        if (work_is_full(work))
            return WORK_MORE;
    }
    return work_answer(work, "OK %s done", list->is_lsub ? "LSUB" : "LIST");
}
