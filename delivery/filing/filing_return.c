/* filing_return.c - a recipient that is a return path of ours: its report is read and told. */
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "delivery/filing/filer_private.h"
#include "directory/directory_name.h"
#include "inbound/returns/returns.h"

struct filing_return {
    struct returned returned;
    struct filer *filer;
    struct filed_recipient *recipient;
};

static const enum metric counts[RETURNED_KIND_COUNT] = {
    [RETURNED_BOUNCE] = METRIC_RETURNS_BOUNCES,  [RETURNED_COMPLAINT] = METRIC_RETURNS_COMPLAINTS,
    [RETURNED_DMARC] = METRIC_RETURNS_DMARC,     [RETURNED_TLS] = METRIC_RETURNS_TLS,
    [RETURNED_OTHER] = METRIC_RETURNS_OTHERS,    [RETURNED_UNTIED] = METRIC_RETURNS_UNTIED,
    [RETURNED_UNKNOWN] = METRIC_RETURNS_UNKNOWN,
};

/* False: the spool takes no event now. What was told of it before is not told again. */
static bool tell(struct filing_return *back)
{
    struct filer *filer = back->filer;
    struct returns *returns = filer->filers->setup.returns;

    for (size_t i = 0; i < back->returned.count; i++) {
        struct event *event = &back->returned.events[i];

        if (returns_was_told(returns, event)) {
            metric_inc(METRIC_RETURNS_REPEATED);
            continue;
        }
        if (event->kind == EVENT_REPORTED)
            event->id = filer->message->id;
        event->time_ms = engine_wall_ms(filer->carrier.engine);
        if (!shard_note(filer->shard, event))
            return false;
        returns_told(returns, event);
    }
    return true;
}

static void on_answer(struct letter *letter, struct engine *engine)
{
    struct filing_return *back = container_of(container_of(letter, struct chore, letter),
                                              struct filing_return, returned.chore);
    struct filer *filer = back->filer;
    struct filed_recipient *r = back->recipient;
    char id[MESSAGE_ID_TEXT_MAX];

    (void)engine;
    check(filer->outstanding > 0);
    filer->outstanding--;
    r->answered++;
    if (!filer->is_aborted) {
        if (tell(back)) {
            metric_inc(counts[back->returned.kind]);
            message_id_format(filer->message->id, id);
            log_debug("id=%s report=%s events=%zu", id,
                      LOG_STRING(returned_kind_name(back->returned.kind)), back->returned.count);
            filer_judge(filer, r, JUDGEMENT_FILED, 1, 5, "report", "return-path",
                        returned_kind_name(back->returned.kind));
        } else {
            filer_judge(filer, r, JUDGEMENT_DEFERRED, 3, 1, "system", "return-path",
                        "the spool takes no event of what it reports now");
        }
    }
    returned_free(&back->returned);
    filer_run_later(filer);
}

bool filer_ask_return(struct filer *filer, struct filed_recipient *r,
                      const struct recipient_found *found, struct bytes tenant,
                      struct bytes content)
{
    struct filing_return *back = arena_alloc(&filer->arena, sizeof(*back));
    struct bytes domain = directory_address_domain(found->address);

    if (back == NULL)
        return false;
    memset(back, 0, sizeof(*back));
    back->filer = filer;
    back->recipient = r;
    back->returned.chore.letter.open = on_answer;
    back->returned.chore.engine = filer->carrier.engine;
    back->returned.content = content;
    back->returned.is_signed = found->is_signed;
    back->returned.back = found->back;
    if (!arena_copy(&filer->arena, domain, &back->returned.domain) ||
        !arena_copy(&filer->arena, tenant, &back->returned.tenant) ||
        !returns_ask(filer->filers->setup.returns, &back->returned))
        return false;
    r->copies++;
    filer->outstanding++;
    return true;
}
