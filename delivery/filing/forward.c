/* forward.c - the copy for addresses elsewhere, from the envelope to its commit. */
#include "delivery/filing/forward.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "auth/srs/srs.h"
#include "base/log.h"
#include "base/metric.h"
#include "delivery/filing/filer_private.h"
#include "event/event_checks.h"
#include "event/event_privacy.h"
#include "queue/tail.h"
#include "signing/sealing.h"
#include "smtp/address.h"

enum {
    SAID_MAX = 3000, /* of the addresses, in the event */
    FIELDS_MAX = 64 * 1024,
    CHECKS_MAX = 1024,
    ORCPT_MAX = 1024,
};

struct forward_target {
    struct forward_target *next;
    struct bytes address, by;
    const char *rule;
    bool is_loop;
};

struct forward {
    struct filer *filer;
    struct filed_recipient *recipient;
    struct message *message; /* the new one */
    struct sealing *sealing;
    struct bytes fields; /* Delivered-To, then what was added on arrival: in the message's arena */
    struct bytes rest;   /* of the content: to be written */
    size_t extents_max;
    struct content_write write;
    struct commit commit;
    struct outcome outcome;
    const char *seal_word; /* NULL: none was to be made */
    struct bytes seal_domain;
    const char *srs_word;
};

/* --- where to --------------------------------------------------------------------------------- */

bool filer_forward(struct filer *filer, struct filed_recipient *recipient,
                   const struct forward_to *to)
{
    struct forward_target *target;

    for (target = recipient->forwards; target != NULL; target = target->next)
        if (bytes_equal(target->address, to->address))
            return true;
    target = arena_alloc(&filer->arena, sizeof(*target));
    if (target == NULL || !arena_copy(&filer->arena, to->address, &target->address) ||
        !arena_copy(&filer->arena, to->by, &target->by))
        return false;
    target->rule = to->rule;
    target->next = recipient->forwards;
    recipient->forwards = target;
    recipient->forward_count++;
    return true;
}

static const struct recipient *original(const struct forward *f)
{
    return &f->filer->message->recipients[f->recipient->number];
}

/* One address, and no account: what is asked of success is asked of it. */
static bool is_single(const struct filed_recipient *r)
{
    return r->target_count == 1 && r->copies == 0 && r->forward_count == 1;
}

static void judge_forwarded(struct filer *filer, struct filed_recipient *r, const char *text)
{
    filer_judge(filer, r, JUDGEMENT_FORWARDED, 1, 5, "forwarded", r->forwards->rule, text);
}

/* How many of its addresses are left; the others are told of. */
static uint32_t leave_out_loops(struct filer *filer, struct filed_recipient *r)
{
    uint32_t left = 0;

    for (struct forward_target *t = r->forwards; t != NULL; t = t->next) {
        t->is_loop = filer_is_loop(filer, t->by);
        left += !t->is_loop;
    }
    if (left < r->forward_count)
        filer_judge(filer, r, JUDGEMENT_BOUNCED, 4, 6, "loop", "forward-loop",
                    "it was sent on by this address before: this mail is going in circles");
    return left;
}

/* --- the new message -------------------------------------------------------------------------- */

static bool add_orcpt(struct forward *f, struct bytes *out)
{
    const struct recipient *was = original(f);
    struct buf text;

    if (was->orcpt.len > 0 || bytes_has_8bit(was->address))
        return arena_copy(&f->message->arena, was->orcpt, out);
    buf_init(&text, ORCPT_MAX);
    bool fits = buf_append(&text, BYTES("rfc822;")) && smtp_xtext_encode(was->address, &text) &&
                arena_copy(&f->message->arena, buf_bytes(&text), out);
    buf_free(&text);
    return fits;
}

static uint8_t notify_of(const struct forward *f)
{
    unsigned notify = original(f)->notify;

    if (is_single(f->recipient) || (notify & SMTP_NOTIFY_SUCCESS) == 0)
        return (uint8_t)notify;
    notify &= ~(unsigned)SMTP_NOTIFY_SUCCESS;
    return (uint8_t)(notify != 0 ? notify : SMTP_NOTIFY_NEVER);
}

/* False: no memory, or an address that cannot be routed, which the directory does not hold. */
static bool add_recipient(struct forward *f, const struct forward_target *target)
{
    struct message *m = f->message;
    struct recipient *to = &m->recipients[m->recipient_count];
    struct smtp_address parsed;

    if (!smtp_parse_address(target->address, &parsed) || parsed.domain.len == 0 ||
        !arena_copy(&m->arena, target->address, &to->address) ||
        !smtp_domain_normalise(&m->arena, parsed.domain, &to->domain) || !add_orcpt(f, &to->orcpt))
        return false;
    to->notify = notify_of(f);
    m->needs_smtputf8 |= parsed.is_utf8;
    m->recipient_count++;
    return true;
}

static bool set_sender(struct forward *f)
{
    struct bytes sender = f->filer->message->reverse_path;
    struct message *m = f->message;
    struct buf made;

    f->srs_word = "null";
    if (sender.len == 0)
        return true;
    buf_init(&made, SRS_ADDRESS_MAX);
    bool is_made = srs_forward(f->filer->filers->setup.srs, sender, original(f)->domain,
                               engine_wall_ms(f->filer->carrier.engine), &made) == SRS_OK;
    /* Of the longest ones nobody is told; that they are not delivered at all would be worse. */
    f->srs_word = is_made ? "rewritten" : "too-long";
    bool fits = !is_made || arena_copy(&m->arena, buf_bytes(&made), &m->reverse_path);
    m->needs_smtputf8 |= bytes_has_8bit(m->reverse_path);
    buf_free(&made);
    return fits;
}

/* The id of the message that it was made of stands where others have their session's. */
static bool set_origin(struct forward *f)
{
    const struct message *was = f->filer->message;
    struct message *m = f->message;
    char id[MESSAGE_ID_TEXT_MAX];

    message_id_format(was->id, id);
    return tail_add_session(&m->arena, &m->tail, was->accepted_ms, bytes_of(id)) &&
           arena_copy(&m->arena, BYTES("forward"), &m->service) &&
           arena_copy(&m->arena, was->tenant, &m->tenant) &&
           arena_copy(&m->arena, was->envid, &m->envid) &&
           arena_copy(&m->arena, was->header_message_id, &m->header_message_id);
}

/* Each address whose doing it is, once. */
static bool put_delivered(struct filed_recipient *r, struct buf *out)
{
    bool fits = true;

    for (const struct forward_target *t = r->forwards; t != NULL && fits; t = t->next) {
        const struct forward_target *before = r->forwards;

        while (before != t && (before->is_loop || !bytes_equal(before->by, t->by)))
            before = before->next;
        if (before == t && !t->is_loop)
            fits = buf_printf(out, "Delivered-To: %.*s\r\n", BYTES_ARG(t->by));
    }
    return fits;
}

static bool set_fields(struct forward *f)
{
    struct buf text;

    buf_init(&text, FIELDS_MAX + f->filer->message->prefix.len);
    bool fits = put_delivered(f->recipient, &text) &&
                buf_append(&text, f->filer->message->prefix) &&
                arena_copy(&f->message->arena, buf_bytes(&text), &f->fields);
    buf_free(&text);
    return fits;
}

/* False: no memory. */
static bool make_message(struct forward *f, uint32_t count)
{
    const struct message *was = f->filer->message;
    struct message *m = f->message = message_create();

    if (m == NULL)
        return false;
    m->ret = was->ret;
    m->body = was->body;
    m->smtputf8 = was->smtputf8;
    m->has_ascii_header = was->has_ascii_header || !was->needs_smtputf8;
    m->needs_smtputf8 = !m->has_ascii_header;
    m->class = was->class;
    m->id = shard_next_id(f->filer->shard);
    m->recipients = arena_alloc(&m->arena, count * sizeof(*m->recipients));
    /* What was asked of TLS is asked of the copy as well (RFC 8689 section 5). */
    bool fits = m->recipients != NULL && message_ask_tls(m, was->tls) && set_sender(f) &&
                set_origin(f) && set_fields(f);

    for (const struct forward_target *t = f->recipient->forwards; t != NULL && fits; t = t->next)
        fits = t->is_loop || add_recipient(f, t);
    return fits;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void end(struct forward *f)
{
    struct filer *filer = f->filer;

    sealing_free(&f->sealing);
    if (f->message != NULL)
        message_release(&f->message);
    f->recipient->forward = NULL;
    check(filer->outstanding > 0);
    filer->outstanding--;
    filer_run_later(filer);
}

static void fail(struct forward *f, int error)
{
    struct filer *filer = f->filer;
    struct filed_recipient *r = f->recipient;

    switch (error) {
    case -ENOSPC:
        filer_judge(filer, r, JUDGEMENT_DEFERRED, 3, 1, "system", "spool-full",
                    "the spool is full: it cannot be sent on now");
        break;
    case -EDQUOT:
        filer_judge(filer, r, JUDGEMENT_DEFERRED, 3, 1, "system", "events.sink_budget",
                    "receivers of events are too far behind: it cannot be sent on now");
        break;
    case -EMSGSIZE:
        filer_judge(filer, r, JUDGEMENT_BOUNCED, 3, 4, "system", "segment_size",
                    "with what is added to send it on it does not fit into the spool");
        break;
    case -ENOMEM:
        filer_judge(filer, r, JUDGEMENT_DEFERRED, 3, 0, "system", "no-memory",
                    "memory ran dry while it was sent on");
        break;
    default:
        filer_judge(filer, r, JUDGEMENT_DEFERRED, 3, 0, "system", "spool-error",
                    "it could not be stored to be sent on");
    }
    end(f);
}

/* --- the commit ------------------------------------------------------------------------------- */

static struct bytes put_said(const struct forward *f, struct buf *out)
{
    char id[MESSAGE_ID_TEXT_MAX];
    bool fits = buf_append(out, BYTES("sent on to"));
    size_t count = f->message->recipient_count, i;

    for (i = 0; i < count && buf_room(out) > SMTP_PATH_MAX + 100 && fits; i++)
        fits = buf_printf(out, "%s %.*s", i == 0 ? "" : ",",
                          BYTES_ARG(f->message->recipients[i].address));
    if (i < count)
        (void)!buf_append(out, BYTES(" and others"));
    message_id_format(f->message->id, id);
    (void)!buf_printf(out, " as %s", id);
    return buf_bytes(out);
}

/* For machines: what became of it, and as what. */
static struct bytes put_checks(const struct forward *f, struct buf *out)
{
    char id[MESSAGE_ID_TEXT_MAX], count[32];

    message_id_format(f->message->id, id);
    snprintf(count, sizeof(count), "%zu", f->message->recipient_count);
    const struct event_check lines[] = {
        {.name = BYTES("forward"), .result = bytes_of(id), .detail = bytes_of(count)},
        {.name = BYTES("srs"), .result = bytes_of(f->srs_word)},
        {.name = BYTES("arc"),
         .result = bytes_of(f->seal_word != NULL ? f->seal_word : "none"),
         .detail = f->seal_domain},
    };

    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        (void)!event_checks_add(out, &lines[i]);
    return buf_bytes(out);
}

static void log_forwarded(const struct forward *f)
{
    const struct message *m = f->message;
    const char *arc = f->seal_word != NULL ? f->seal_word : "none";
    char id[MESSAGE_ID_TEXT_MAX], forward_id[MESSAGE_ID_TEXT_MAX], shown[PRIVACY_ADDRESS_MAX];

    message_id_format(f->filer->message->id, id);
    message_id_format(m->id, forward_id);
    log_info("id=%s to=%s forwarded_as=%s to_count=%zu rule=%s sender=%s arc=%s", id,
             LOG_TEXT(privacy_address(m->tenant, original(f)->address, shown)),
             LOG_STRING(forward_id), m->recipient_count, LOG_STRING(f->recipient->forwards->rule),
             LOG_STRING(f->srs_word), LOG_STRING(arc));
}

static void on_committed(struct commit *commit, int result)
{
    struct forward *f = container_of(commit, struct forward, commit);
    char text[64], id[MESSAGE_ID_TEXT_MAX];

    if (result < 0) {
        fail(f, result);
        return;
    }
    log_forwarded(f);
    message_id_format(f->message->id, id);
    snprintf(text, sizeof(text), "sent on as %s", id);
    judge_forwarded(f->filer, f->recipient, text);
    end(f);
}

static void fill_event(const struct forward *f, struct bytes said, struct bytes checks,
                       struct event *event)
{
    const struct message *was = f->filer->message;

    *event = (struct event){
        .kind = EVENT_FORWARDED,
        .id = was->id,
        .accepted_ms = was->accepted_ms,
        .attempt = f->recipient->pending->attempts + 1U,
        .attempt_ms = f->filer->began_wall_ms,
        .times = {-1, -1, -1, -1, -1, -1},
        .recipient = original(f)->address,
        .orcpt = original(f)->orcpt,
        .sender = was->reverse_path.ptr != NULL ? was->reverse_path : BYTES(""),
        .message_header_id = was->header_message_id,
        .tenant = was->tenant,
        .campaign = was->campaign,
        .tags = was->tags,
        .metadata = tail_find(was->tail, TAIL_METADATA),
        .envid = was->envid,
        .size = was->content.size,
        .reply_is_ours = true,
        .reply_text = said,
        .class = BYTES("forwarded"),
        .rule = bytes_of(f->recipient->forwards->rule),
        .checks = checks,
    };
}

static void commit(struct forward *f)
{
    struct buf said, checks;

    if (f->filer->is_aborted) {
        end(f);
        return;
    }
    buf_init(&said, SAID_MAX);
    buf_init(&checks, CHECKS_MAX);
    f->outcome.pending = f->recipient->pending;
    fill_event(f, put_said(f, &said), put_checks(f, &checks), &f->outcome.event);
    f->commit = (struct commit){.message = f->message,
                                .outcomes = &f->outcome,
                                .outcome_count = 1,
                                .done = on_committed};
    list_node_init(&f->commit.node);
    shard_commit(f->filer->shard, &f->commit); /* copies the event */
    buf_free(&said);
    buf_free(&checks);
}

/* --- content ---------------------------------------------------------------------------------- */

static void write_next(struct forward *f);

static void on_written(struct content_write *write, int result)
{
    struct forward *f = container_of(write, struct forward, write);
    struct content *content = &f->message->content;

    if (result < 0) {
        fail(f, result);
        return;
    }
    check(content->extent_count < f->extents_max);
    content->extents[content->extent_count++] = write->extent;
    content->size += write->extent.len;
    write_next(f);
}

static void write_next(struct forward *f)
{
    struct bytes chunk = bytes_slice(f->rest, 0, CONTENT_CHUNK_MAX);

    if (chunk.len == 0 || f->filer->is_aborted) {
        commit(f);
        return;
    }
    f->rest = bytes_slice(f->rest, chunk.len, f->rest.len);
    f->write = (struct content_write){.message = f->message, .done = on_written};
    list_node_init(&f->write.node);
    shard_write_content(f->filer->shard, &f->write, chunk);
}

static void store_content(struct forward *f)
{
    struct bytes whole = f->filer->whole;
    struct message *m = f->message;

    if (whole.len <= CONTENT_CHUNK_MAX) {
        if (!arena_copy(&m->arena, whole, &m->content.memory)) {
            fail(f, -ENOMEM);
            return;
        }
        m->content.size = whole.len;
        commit(f);
        return;
    }
    f->rest = whole;
    f->extents_max = (whole.len + CONTENT_CHUNK_MAX - 1) / CONTENT_CHUNK_MAX;
    m->content.extents = arena_alloc(&m->arena, f->extents_max * sizeof(*m->content.extents));
    if (m->content.extents == NULL)
        fail(f, -ENOMEM);
    else
        write_next(f);
}

/* --- the seal --------------------------------------------------------------------------------- */

static void set_prefix(struct forward *f, struct bytes set)
{
    if (arena_printf(&f->message->arena, &f->message->prefix, "%.*s%.*s", BYTES_ARG(set),
                     BYTES_ARG(f->fields)))
        store_content(f);
    else
        fail(f, -ENOMEM);
}

static void on_sealed(void *context, const struct sealing_result *result)
{
    struct forward *f = context;
    struct bytes set;

    f->seal_word = result->word;
    if (!arena_copy(&f->message->arena, result->domain, &f->seal_domain) ||
        !arena_copy(&f->message->arena, result->fields, &set)) {
        fail(f, -ENOMEM);
        return;
    }
    sealing_free(&f->sealing);
    set_prefix(f, set);
}

/* What its checks said when it was received. False: it was not. */
static bool was_received(const struct message *message, enum arc_status *status_out)
{
    struct bytes checks = tail_find(message->tail, TAIL_CHECKS);
    struct event_check line;

    *status_out = ARC_NONE;
    if (checks.ptr == NULL)
        return false;
    for (unsigned i = 0; event_checks_next(&checks, i, &line); i++) {
        if (!bytes_equal(line.name, BYTES("arc")))
            continue;
        if (bytes_equal(line.result, bytes_of(arc_status_name(ARC_PASS))))
            *status_out = ARC_PASS;
        else if (!bytes_equal(line.result, bytes_of(arc_status_name(ARC_NONE))))
            *status_out = ARC_FAIL;
    }
    return true;
}

/* Ours stands above everything that came. Empty: there is none. */
static struct bytes own_results(struct filer *filer)
{
    const struct mail_header *header = &filer_passage(filer)->header;
    size_t at = 0, len = 0;

    while (at < header->count &&
           !bytes_equal_nocase(header->fields[at].name, BYTES("Authentication-Results")))
        len += header->fields[at++].raw.len;
    return at < header->count && len < filer->message->prefix.len ? header->fields[at].value
                                                                  : BYTES_NONE;
}

static void seal(struct forward *f)
{
    struct filer *filer = f->filer;
    struct sealing_request request = {
        .domain = original(f)->domain,
        .prefix = f->fields,
        .content = filer->whole,
    };

    if (filer->filers->setup.signer != NULL && was_received(filer->message, &request.status) &&
        (request.results = own_results(filer)).len > 0) {
        f->sealing = sealing_begin(filer->filers->setup.signer, &request, on_sealed, f);
        if (f->sealing == NULL)
            fail(f, -ENOMEM);
        return;
    }
    set_prefix(f, BYTES_NONE);
}

/* --- the beginning ---------------------------------------------------------------------------- */

static struct forward *open_forward(struct filer *filer, struct filed_recipient *r)
{
    struct forward *f = arena_alloc(&filer->arena, sizeof(*f));

    if (f == NULL) {
        filer_judge(filer, r, JUDGEMENT_DEFERRED, 3, 0, "system", "no-memory",
                    "memory ran dry while it was sent on");
        return NULL;
    }
    f->filer = filer;
    f->recipient = r;
    r->forward = f;
    filer->outstanding++;
    return f;
}

void forward_begin(struct filer *filer, struct filed_recipient *r)
{
    struct forward *f;

    check(r->forward_count > 0);
    if (r->pending->is_forwarded) {
        judge_forwarded(filer, r, "sent on by an earlier try");
        return;
    }
    if (filer_passage(filer)->received > filer->filers->received_max) {
        filer_judge(filer, r, JUDGEMENT_BOUNCED, 4, 6, "loop", "limits.received",
                    "it passed too many servers: this mail is going in circles");
        return;
    }
    uint32_t left = leave_out_loops(filer, r);
    if (left == 0)
        return;
    if (filer->filers->setup.srs == NULL) {
        filer_judge(filer, r, JUDGEMENT_DEFERRED, 3, 5, "system", "forward-key",
                    "the key that senders are rewritten with cannot be read");
        return;
    }
    f = open_forward(filer, r);
    if (f == NULL)
        return;
    int full = shard_why_full(filer->shard);
    if (full < 0)
        fail(f, full);
    else if (!make_message(f, left))
        fail(f, -ENOMEM);
    else
        seal(f);
}

bool forward_expands(const struct filed_recipient *recipient)
{
    return recipient->forward_count > 0 && !is_single(recipient);
}

void forward_abort(struct filed_recipient *recipient)
{
    struct forward *f = recipient->forward;

    if (f != NULL && f->sealing != NULL)
        end(f);
}
