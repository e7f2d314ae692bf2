/* metadata_command.c - GETMETADATA and SETMETADATA, done (RFC 5464). */
#include "inbound/imap/command.h"

#include <errno.h>
#include <inttypes.h>

#include "inbound/imap/metadata.h"
#include "inbound/mailbox/account_event.h"

/* What is computed: /shared/admin (RFC 5464 section 3.2.1.1), /private/specialuse (RFC 6154). */
static const char admin[] = "/shared/admin", special[] = "/private/specialuse";

/* The mailbox's name as it is kept; the account has none. */
static bool read_mailbox(struct imap_work *work, struct metadata_request *request)
{
    return request->mailbox.len == 0 || mailbox_name_read(&work->arena, request->mailbox,
                                                          work_tells_utf8(work), &request->mailbox);
}

bool imap_parse_getmetadata(struct imap_work *work, struct bytes *arguments)
{
    struct metadata_request *request = arena_alloc(&work->arena, sizeof(*request));

    work->state = request;
    return request != NULL && metadata_take_get(&work->arena, *arguments, request) &&
           read_mailbox(work, request);
}

bool imap_parse_setmetadata(struct imap_work *work, struct bytes *arguments)
{
    struct metadata_request *request = arena_alloc(&work->arena, sizeof(*request));

    work->state = request;
    return request != NULL && metadata_take_set(&work->arena, *arguments, request) &&
           read_mailbox(work, request);
}

/* --- GETMETADATA ------------------------------------------------------------------------------ */

struct telling {
    struct imap_work *work;
    const struct metadata_request *request;
    bool has_begun;
    uint64_t longest; /* of what is longer than MAXSIZE */
};

static void put_entry(struct telling *t, struct bytes name, struct bytes value)
{
    struct imap_work *work = t->work;

    if (!t->has_begun) {
        work_put(work, BYTES("* METADATA "));
        if (!mailbox_name_put(&work->access.out, t->request->mailbox, work_tells_utf8(work)))
            work->access.is_last = true;
    }
    work_put(work, t->has_begun ? BYTES(" ") : BYTES(" ("));
    t->has_begun = true;
    if (!imap_put_astring(&work->access.out, name))
        work->access.is_last = true;
    work_put(work, BYTES(" "));
    if (value.ptr != NULL && bytes_find(value, '\0', 0) < value.len) {
        work_printf(work, "~{%zu}\r\n", value.len);
        work_put(work, value);
    } else if (!imap_put_nstring(&work->access.out, value)) {
        work->access.is_last = true;
    }
}

/* True: it has been told, or that it is too long is noted. */
static bool tell(struct telling *t, struct bytes asked, struct bytes name, struct bytes value)
{
    if (!metadata_matches(t->request, asked, name))
        return false;
    if (t->request->has_size_max && value.len > t->request->size_max)
        t->longest = MAX(t->longest, (uint64_t)value.len);
    else
        put_entry(t, name, value);
    return true;
}

static bool tell_computed(struct telling *t, struct bytes asked, enum special_use use)
{
    struct bytes mail_to;

    if (t->request->mailbox.len > 0)
        return use != SPECIAL_NONE &&
               tell(t, asked, bytes_of(special), bytes_of(special_use_name(use)));
    return arena_printf(&t->work->arena, &mail_to, "mailto:postmaster@%s",
                        t->work->access.domain) &&
           tell(t, asked, bytes_of(admin), mail_to);
}

enum work_step imap_run_getmetadata(struct imap_work *work)
{
    const struct metadata_request *request = work->state;
    struct telling t = {.work = work, .request = request};
    struct annotation_list list;
    int error = mail_account_annotations(work->account, request->mailbox, &list);

    if (error < 0)
        return work_fail(work, error);
    for (size_t i = 0; i < request->count; i++) {
        struct bytes asked = request->of[i].name;
        bool is_any = tell_computed(&t, asked, list.use);

        for (size_t k = 0; k < list.count; k++)
            is_any |= tell(&t, asked, list.of[k].name, list.of[k].value);
        /* Who asks for one entry is told that it has no value. */
        if (!is_any && request->depth == METADATA_ITSELF)
            put_entry(&t, asked, BYTES_NONE);
    }
    if (t.has_begun)
        work_put(work, BYTES(")\r\n"));
    annotation_list_free(&list);
    if (t.longest > 0)
        return work_answer(work, "OK [METADATA LONGENTRIES %" PRIu64 "] GETMETADATA done",
                           t.longest);
    return work_answer(work, "OK GETMETADATA done");
}

/* --- SETMETADATA ------------------------------------------------------------------------------ */

static bool is_computed(const struct metadata_request *request, struct bytes name)
{
    return bytes_equal(name, request->mailbox.len == 0 ? bytes_of(admin) : bytes_of(special));
}

/* Who said NOTIFY is to know. */
static void tell_changes(struct imap_work *work, const struct metadata_request *request)
{
    for (size_t i = 0; i < request->count; i++) {
        struct account_event event = {
            .kind = ACCOUNT_ANNOTATED,
            .by = work,
            .name = request->mailbox,
            .other = request->of[i].name,
        };

        mail_account_tell(work->account, &event);
    }
}

enum work_step imap_run_setmetadata(struct imap_work *work)
{
    const struct metadata_request *request = work->state;

    for (size_t i = 0; i < request->count; i++)
        if (is_computed(request, request->of[i].name))
            return work_answer(work, "NO [NOPERM] One of these cannot be changed");
    int error = mail_account_annotate(work->account, request->mailbox, request->of, request->count);

    if (error == -EFBIG)
        return work_answer(work, "NO [METADATA MAXSIZE %d] A value is too large",
                           ANNOTATION_VALUE_MAX);
    if (error == -EMFILE)
        return work_answer(work, "NO [METADATA TOOMANY] There are too many, or too large in all");
    if (error < 0)
        return work_fail(work, error);
    tell_changes(work, request);
    return work_answer(work, "OK SETMETADATA done");
}
