/* command_parts.c - what several commands do. */
#include "inbound/imap/command.h"

#include <inttypes.h>

#include "inbound/imap/notify.h"
#include "inbound/imap/queue.h"

bool imap_refuse(struct imap_work *work, const char *status_and_text)
{
    (void)work_answer(work, "%s", status_and_text);
    return false;
}

bool imap_resolve(struct imap_work *work, struct sequence_set *set)
{
    return view_resolve(work, set, work->is_uid) ||
           imap_refuse(work, "BAD There is no message of that number");
}

bool imap_read_mailbox(const struct imap_work *work, struct arena *arena, struct bytes text,
                       struct bytes *name_out)
{
    return text.len > 0 && mailbox_name_read(arena, text, work_tells_utf8(work), name_out);
}

bool imap_take_mailbox(struct imap_work *work, struct bytes *input, struct bytes *name_out)
{
    struct bytes text;

    return imap_take_astring(&work->arena, input, &text) &&
           (imap_read_mailbox(work, &work->arena, text, name_out) ||
            imap_refuse(work, IMAP_NO_MAILBOX_NAME));
}

int imap_flags_of(struct mailbox *mailbox, const struct imap_flag_list *list, bool makes_keywords,
                  uint64_t *flags_out)
{
    static const struct {
        const char *name;
        uint64_t flag;
    } rows[] = {
        {"\\Answered", MAIL_ANSWERED}, {"\\Flagged", MAIL_FLAGGED}, {"\\Deleted", MAIL_DELETED},
        {"\\Seen", MAIL_SEEN},         {"\\Draft", MAIL_DRAFT},
    };
    uint64_t flags = 0;

    for (size_t i = 0; i < list->count; i++) {
        uint64_t flag = 0;
        unsigned number;

        for (size_t k = 0; k < ARRAY_LEN(rows); k++)
            if (bytes_equal_nocase(list->flags[i], bytes_of(rows[k].name)))
                flag = rows[k].flag;
        if (flag == 0) {
            int error = mailbox_keyword(mailbox, list->flags[i], makes_keywords, &number);

            if (error < 0 && makes_keywords)
                return error;
            if (error < 0) /* no message has it */
                continue;
            flag = MAIL_KEYWORD(number);
        }
        flags |= flag;
    }
    *flags_out = flags;
    return 0;
}

void imap_put_mailbox_id(struct imap_work *work, const uint8_t id[static 16])
{
    work_put(work, BYTES("M"));
    for (size_t i = 0; i < 16; i++)
        work_printf(work, "%02x", id[i]);
}

static void unwatch(struct imap_work *work)
{
    if (work->is_watching)
        mailbox_unwatch(work->view.mailbox, &work->watch);
    work->is_watching = false;
}

static void forget_selected(struct imap_work *work)
{
    notify_forget_selected(work);
    work->saved.count = 0;
    atomic_store(&work->has_news, false);
}

void imap_deselect(struct imap_work *work)
{
    unwatch(work);
    queue_let_go(work);
    view_close(&work->view);
    forget_selected(work);
}

bool imap_try_deselect(struct imap_work *work)
{
    unwatch(work);
    work_let_go(work);
    if (work->keeps_queue || !view_try_close(&work->view))
        return false;
    forget_selected(work);
    return true;
}

void imap_enable_condstore(struct imap_work *work)
{
    if (work->has_condstore)
        return;
    work->has_condstore = true;
    if (work_is_selected(work))
        work_printf(work, "* OK [HIGHESTMODSEQ %" PRIu64 "] CONDSTORE is on\r\n",
                    work->view.modseq);
}
