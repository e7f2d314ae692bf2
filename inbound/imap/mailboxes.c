/* mailboxes.c - CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, GETQUOTA, GETQUOTAROOT. */
#include "inbound/imap/command.h"

#include <errno.h>
#include <inttypes.h>

#include "inbound/mailbox/account_event.h"

struct named {
    struct bytes name, to;
    enum special_use use;
};

static struct named *parse_name(struct imap_work *work, struct bytes *arguments)
{
    struct named *named = arena_alloc(&work->arena, sizeof(*named));

    if (named == NULL || !imap_take_space(arguments) ||
        !imap_take_mailbox(work, arguments, &named->name))
        return NULL;
    work->state = named;
    return named;
}

bool imap_parse_name(struct imap_work *work, struct bytes *arguments)
{
    return parse_name(work, arguments) != NULL && arguments->len == 0;
}

bool imap_parse_rename(struct imap_work *work, struct bytes *arguments)
{
    struct named *named = parse_name(work, arguments);

    return named != NULL && imap_take_space(arguments) &&
           imap_take_mailbox(work, arguments, &named->to) && arguments->len == 0;
}

/* "(USE (\Drafts))" (RFC 6154 section 3). An attribute that is none of ours, or a second one, is
 * for run() to refuse: NO [USEATTR]. */
static bool take_use(struct bytes *input, enum special_use *use_out)
{
    unsigned count = 0;

    if (!imap_take_space(input) || !imap_take_byte(input, '(') || !imap_take_word(input, "USE") ||
        !imap_take_space(input) || !imap_take_byte(input, '('))
        return false;
    while (!imap_take_byte(input, ')')) {
        struct bytes rest = *input, name;
        enum special_use use;

        if ((count > 0 && !imap_take_space(&rest)) || !imap_take_byte(&rest, '\\') ||
            !imap_take_atom(&rest, &name))
            return false;
        struct bytes word = bytes_range(name.ptr - 1, name.len + 1);

        *use_out = count == 0 && special_use_parse(word, &use) && use != SPECIAL_NONE
                       ? use
                       : SPECIAL_COUNT;
        count++;
        *input = rest;
    }
    return imap_take_byte(input, ')');
}

bool imap_parse_create(struct imap_work *work, struct bytes *arguments)
{
    struct named *named = parse_name(work, arguments);

    if (named == NULL || (arguments->len > 0 && !take_use(arguments, &named->use)))
        return false;
    /* RFC 9051 section 6.3.4: a name that ends in "/" says that there will be others below. */
    if (named->name.len > 1 && named->name.ptr[named->name.len - 1] == '/')
        named->name.len--;
    return arguments->len == 0;
}

static enum work_step answer(struct imap_work *work, int error, const char *text)
{
    return error < 0 ? work_fail(work, error) : work_answer(work, "%s", text);
}

/* Who said NOTIFY is to know. */
static int tell(struct imap_work *work, int error, enum account_event_kind kind, struct bytes name,
                struct bytes other)
{
    struct account_event event = {.kind = kind, .by = work, .name = name, .other = other};

    if (error == 0)
        mail_account_tell(work->account, &event);
    return error;
}

enum work_step imap_run_create(struct imap_work *work)
{
    const struct named *named = work->state;
    struct mailbox_status status;
    struct mailbox *mailbox;
    char id[2 * sizeof(status.id) + 1] = "";

    if (named->use == SPECIAL_COUNT)
        return work_answer(work, "NO [USEATTR] No mailbox can be that here");
    int error = tell(work, mail_account_create(work->account, named->name, named->use),
                     ACCOUNT_CREATED, named->name, BYTES_NONE);

    if (error == 0)
        error = mailbox_open(work->account, named->name, &mailbox);
    if (error < 0)
        return work_fail(work, error);
    mailbox_status(mailbox, &status);
    mailbox_close(&mailbox);
    for (size_t i = 0; i < sizeof(status.id); i++) {
        static const char digits[] = "0123456789abcdef";

        id[2 * i] = digits[status.id[i] >> 4];
        id[2 * i + 1] = digits[status.id[i] & 15];
    }
    return work_answer(work, "OK [MAILBOXID (M%s)] It is created", id);
}

/* The session's own mailbox went: it has none selected any more. */
static void deselect_gone(struct imap_work *work)
{
    struct mailbox_status status;

    if (!work_is_selected(work))
        return;
    mailbox_status(work->view.mailbox, &status);
    if (!status.is_gone)
        return;
    imap_deselect(work);
    work_put(work, BYTES("* OK [CLOSED] The mailbox was selected\r\n"));
}

enum work_step imap_run_delete(struct imap_work *work)
{
    const struct named *named = work->state;

    if (mailbox_name_is_inbox(named->name))
        return work_answer(work, "NO [CANNOT] The inbox stays");
    int error = tell(work, mail_account_delete(work->account, named->name), ACCOUNT_DELETED,
                     named->name, BYTES_NONE);

    if (error == 0)
        deselect_gone(work);
    return answer(work, error, "OK It is deleted");
}

enum work_step imap_run_rename(struct imap_work *work)
{
    const struct named *named = work->state;

    return answer(work,
                  tell(work, mail_account_rename(work->account, named->name, named->to),
                       ACCOUNT_RENAMED, named->to, named->name),
                  "OK It is renamed");
}

enum work_step imap_run_subscribe(struct imap_work *work)
{
    const struct named *named = work->state;

    return answer(work,
                  tell(work, mail_account_subscribe(work->account, named->name, true),
                       ACCOUNT_SUBSCRIBED, named->name, BYTES_NONE),
                  "OK Subscribed");
}

enum work_step imap_run_unsubscribe(struct imap_work *work)
{
    const struct named *named = work->state;

    return answer(work,
                  tell(work, mail_account_subscribe(work->account, named->name, false),
                       ACCOUNT_UNSUBSCRIBED, named->name, BYTES_NONE),
                  "OK Unsubscribed");
}

/* --- quota (RFC 9208): one root a user, called "" --------------------------------------------- */

bool imap_parse_quota(struct imap_work *work, struct bytes *arguments)
{
    struct named *named = arena_alloc(&work->arena, sizeof(*named));

    work->state = named;
    return named != NULL && imap_take_space(arguments) &&
           imap_take_astring(&work->arena, arguments, &named->name) && arguments->len == 0;
}

static int tell_quota(struct imap_work *work)
{
    struct account_usage usage;
    int error = mail_account_usage(work->account, &usage);

    if (error < 0)
        return error;
    if (usage.quota == 0) {
        work_put(work, BYTES("* QUOTA \"\" ()\r\n"));
        return 0;
    }
    work_printf(work, "* QUOTA \"\" (STORAGE %" PRIu64 " %" PRIu64 ")\r\n",
                (usage.bytes + 1023) / 1024, usage.quota / 1024);
    return 0;
}

enum work_step imap_run_quota(struct imap_work *work)
{
    const struct named *named = work->state;

    if (named->name.len > 0)
        return work_answer(work, "NO [NONEXISTENT] There is no such quota root");
    return answer(work, tell_quota(work), "OK GETQUOTA done");
}

enum work_step imap_run_quotaroot(struct imap_work *work)
{
    const struct named *named = work->state;
    struct mailbox *mailbox;
    int error = mailbox_open(work->account, named->name, &mailbox);

    if (error < 0)
        return work_fail(work, error);
    mailbox_close(&mailbox);
    work_put(work, BYTES("* QUOTAROOT "));
    if (!mailbox_name_put(&work->access.out, named->name, work_tells_utf8(work)))
        work->access.is_last = true;
    work_put(work, BYTES(" \"\"\r\n"));
    return answer(work, tell_quota(work), "OK GETQUOTAROOT done");
}
