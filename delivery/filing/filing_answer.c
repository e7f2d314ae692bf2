/* filing_answer.c - answers of scripts as messages. */
#include "delivery/filing/filing_answer.h"

#include <stdio.h>

#include "base/log.h"
#include "base/metric.h"
#include "delivery/filing/filer_private.h"
#include "event/event_privacy.h"
#include "queue/tail.h"
#include "smtp/address.h"

struct bytes filing_answer_id(struct filer *filer, const struct filed_recipient *recipient)
{
    char id[MESSAGE_ID_TEXT_MAX], copy[16] = "";
    struct bytes text;

    message_id_format(filer->message->id, id);
    if (recipient->copies > 0)
        (void)snprintf(copy, sizeof(copy), ".%u", recipient->copies);
    return arena_printf(&filer->arena, &text, "<%s.%u.answer%s@%.*s>", id, recipient->number, copy,
                        BYTES_ARG(filer->filers->rules.hostname))
               ? text
               : BYTES_NONE;
}

/* --- the message ------------------------------------------------------------------------------ */

static bool set_recipient(struct message *m, struct bytes to)
{
    struct recipient *recipient = m->recipients = arena_alloc(&m->arena, sizeof(*m->recipients));
    struct smtp_address parsed;

    m->recipient_count = 1;
    if (recipient == NULL || !smtp_parse_address(to, &parsed) || parsed.domain.len == 0)
        return false;
    recipient->notify = SMTP_NOTIFY_NEVER;
    return arena_copy(&m->arena, to, &recipient->address) &&
           smtp_domain_normalise(&m->arena, parsed.domain, &recipient->domain);
}

static bool set_envelope(struct message *m, const struct message *was,
                         const struct sorting *sorting)
{
    char id[MESSAGE_ID_TEXT_MAX];
    struct bytes content = buf_bytes(&sorting->answer);

    message_id_format(was->id, id);
    m->reverse_path = BYTES("");
    m->is_dsn = true;
    m->body = bytes_has_8bit(content) ? SMTP_BODY_8BITMIME : SMTP_BODY_7BIT;
    m->needs_smtputf8 =
        bytes_has_8bit(was->reverse_path) || bytes_has_8bit(bytes_of(sorting->answer_from));
    m->smtputf8 = m->needs_smtputf8;
    m->service = BYTES("vacation");
    m->class = was->class;
    m->content.size = content.len;
    return set_recipient(m, was->reverse_path) && message_ask_tls(m, was->tls) &&
           tail_add_session(&m->arena, &m->tail, was->accepted_ms, bytes_of(id)) &&
           arena_copy(&m->arena, was->tenant, &m->tenant) &&
           arena_copy(&m->arena, content, &m->content.memory);
}

static struct message *make(const struct filing_copy *copy)
{
    struct filer *filer = copy->filer;
    struct message *m = message_create();

    if (m == NULL || !set_envelope(m, filer->message, copy->sorting) ||
        !arena_copy(&m->arena, copy->answer_id, &m->header_message_id)) {
        if (m != NULL)
            message_release(&m);
        return NULL;
    }
    m->id = shard_next_id(filer->shard);
    return m;
}

/* --- what it comes to ------------------------------------------------------------------------- */

static void tell(const struct filing_copy *copy, const char *result, const char *why)
{
    const struct message *message = copy->filer->message;
    char id[MESSAGE_ID_TEXT_MAX], shown[PRIVACY_ADDRESS_MAX], account[PRIVACY_ADDRESS_MAX];

    message_id_format(message->id, id);
    log_debug("id=%s account=%s vacation=%s to=%s why=%s", id,
              LOG_TEXT(privacy_address(message->tenant, copy->filing.local, account)),
              LOG_STRING(result),
              LOG_TEXT(privacy_address(message->tenant, message->reverse_path, shown)),
              LOG_STRING(why != NULL ? why : ""));
}

/* False: no memory, or there are too many. */
static bool add(const struct filing_copy *copy)
{
    struct filed_recipient *r = copy->recipient;
    size_t bytes = r->answer_bytes + buf_len(&copy->sorting->answer);

    if (bytes > FILING_ANSWERS_BYTES_MAX) {
        copy->sorting->why = "its other accounts answer so much already";
        return false;
    }
    check(r->answer_count < r->copies);
    if (r->answers == NULL)
        r->answers = arena_alloc(&copy->filer->arena, r->copies * sizeof(*r->answers));
    struct message *message = r->answers != NULL ? make(copy) : NULL;

    if (message == NULL)
        return false;
    r->answer_bytes = bytes;
    r->answers[r->answer_count++] =
        (struct filing_answer){.message = message,
                               .is_redirect = copy->sorting->kind == SORTING_REDIRECTED};
    return true;
}

void filing_answer_take(const struct filing_copy *copy)
{
    const struct sorting *sorting = copy->sorting;

    switch (sorting->answered) {
    case SORTING_NOT_ASKED:
        return;
    case SORTING_UNANSWERED:
        metric_inc(METRIC_VACATION_UNANSWERED);
        tell(copy, "no", sorting->why);
        return;
    case SORTING_ANSWERED_BEFORE:
        metric_inc(METRIC_VACATION_BEFORE);
        tell(copy, "before", NULL);
        return;
    case SORTING_ANSWERED:
        if (add(copy))
            return;
        break;
    case SORTING_ANSWER_FAILED:
        break;
    }
    metric_inc(METRIC_VACATION_FAILED);
    tell(copy, "failed", sorting->why);
}

/* Where nothing was kept it is to be on its way. */
static bool is_due(const struct filed_recipient *r, const struct filing_answer *answer)
{
    enum judgement_kind kind = r->judgement.kind;

    return !answer->is_redirect || r->pending->is_forwarded || kind == JUDGEMENT_FILED ||
           kind == JUDGEMENT_FORWARDED;
}

bool filing_answer_is_due(struct filed_recipient *r)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < r->answer_count; i++) {
        if (is_due(r, &r->answers[i]))
            r->answers[kept++] = r->answers[i];
        else
            message_release(&r->answers[i].message);
    }
    r->answer_count = kept;
    return kept > 0;
}

void filing_answer_drop(struct filed_recipient *r)
{
    while (r->answer_count > 0)
        message_release(&r->answers[--r->answer_count].message);
}
