/* filing_copy.c - copies for whom a recipient means, and what the store says of each. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "base/random.h"
#include "delivery/filing/filer_private.h"
#include "delivery/outcome/place.h"
#include "directory/directory_name.h"
#include "queue/tail.h"

enum {
    BUSY_MS = 2000,             /* until a slow account is asked again, up to twice that */
    SHOWN_MESSAGES_MAX = 10000, /* of what came back, in a folder */
};

/* --- judgements ------------------------------------------------------------------------------- */

static void judge_answer(struct filer *filer, const struct filing_copy *copy)
{
    struct filed_recipient *r = copy->recipient;
    const struct filing *filing = &copy->filing;

    if (filing->result == FILING_DONE && filing_copy_judge(copy))
        return;
    switch (filing->result) {
    case FILING_DONE:
        filer_judge(filer, r, JUDGEMENT_FILED, 1, 5, "filed", "store",
                    filing->was_filed ? "filed by an earlier try" : "filed");
        return;
    case FILING_OVER_QUOTA:
        filer_judge(filer, r, JUDGEMENT_DEFERRED, 2, 2, "mailbox-full", "store-quota", filing->why);
        return;
    case FILING_TOO_LARGE:
        if (r->is_shown) /* nobody asked for the copy, and what it tells is an event */
            filer_judge(filer, r, JUDGEMENT_FILED, 1, 5, "report", "shown", filing->why);
        else
            filer_judge(filer, r, JUDGEMENT_BOUNCED, 2, 2, "mailbox-full", "store-quota",
                        filing->why);
        return;
    case FILING_NO_SPACE:
        filer_judge(filer, r, JUDGEMENT_DEFERRED, 3, 1, "system", "store-full", filing->why);
        return;
    case FILING_BUSY:
    case FILING_FAILED:
        break;
    }
    filer_judge(filer, r, JUDGEMENT_DEFERRED, 3, 0, "system", "store", filing->why);
}

/* --- settling --------------------------------------------------------------------------------- */

static bool has_ended(const struct filed_recipient *r)
{
    return !r->is_settled && r->is_judged && r->answered == r->copies && r->forward == NULL;
}

static struct attempt_facts facts_of(struct filer *filer)
{
    int64_t now_ms = engine_now_ms(filer->carrier.engine);

    return (struct attempt_facts){
        .counts = carrier_counts(&filer->carrier),
        .is_attempt = true,
        .started_ms = filer->began_wall_ms,
        .times = {filer->wait_ms, -1, -1, -1, -1, (int32_t)(now_ms - filer->began_ms)},
        .site = carrier_site_name(&filer->carrier),
        .mx_host = filer->carrier.host_name,
    };
}

static void settle_one(struct filer *filer, struct settlement *settlement,
                       struct filed_recipient *r)
{
    filer_word_refusals(filer, r);
    r->judgement.is_expanded = forward_expands(r);
    settlement_add(settlement, r->pending, &r->judgement);
    if (r->judgement.kind == JUDGEMENT_FILED || r->judgement.kind == JUDGEMENT_FORWARDED)
        carrier_took(&filer->carrier);
    r->is_settled = true;
    filer->settled++;
}

/* In a commit of its own, for the answers are in it. */
static void settle_answered(struct filer *filer, struct filed_recipient *r)
{
    struct attempt_facts facts = facts_of(filer);
    struct settlement *settlement =
        settlement_begin(filer->carrier.outcomes, filer->shard, filer->message, &facts, 1);

    settle_one(filer, settlement, r);
    struct message *answers[RECIPIENT_TARGETS_MAX];

    for (unsigned i = 0; i < r->answer_count; i++)
        answers[i] = r->answers[i].message;
    settlement_answer(settlement, answers, r->answer_count);
    r->answer_count = 0;
    settlement_commit(&settlement);
}

void filer_settle(struct filer *filer)
{
    struct settlement *settlement = NULL;
    uint32_t count = 0;
    struct attempt_facts facts = facts_of(filer);

    for (uint32_t i = 0; i < filer->count; i++) {
        struct filed_recipient *r = &filer->recipients[i];

        if (!has_ended(r))
            continue;
        count++;
        if (filing_answer_is_due(r)) {
            settle_answered(filer, r);
            continue;
        }
        if (settlement == NULL)
            settlement = settlement_begin(filer->carrier.outcomes, filer->shard, filer->message,
                                          &facts, filer->count);
        settle_one(filer, settlement, r);
    }
    if (settlement != NULL)
        settlement_commit(&settlement);
    if (count > 0)
        carrier_done(&filer->carrier, count);
}

/* Out of its hands without an attempt, until then. */
void filer_give_back(struct filer *filer, struct filed_recipient *r, int64_t after_ms)
{
    pending_release(r->pending);
    shard_postpone(filer->shard, r->pending, engine_now_ms(filer->carrier.engine) + after_ms);
    metric_inc(METRIC_DELIVERY_POSTPONED);
    r->is_settled = true;
    filer->settled++;
    carrier_done(&filer->carrier, 1);
}

void filer_give_back_busy(struct filer *filer, struct filed_recipient *r)
{
    filer_give_back(filer, r, BUSY_MS + (int64_t)random_below(BUSY_MS));
}

/* --- copies ----------------------------------------------------------------------------------- */

/* Once all of its copies are answered: the scripts of accounts may add addresses. */
void filer_forward_where_known(struct filer *filer, struct filed_recipient *r)
{
    if (!r->is_settled && !r->is_unsorted && r->forward_count > 0 && r->answered == r->copies &&
        !filer->is_aborted)
        forward_begin(filer, r);
}

static void on_answer(struct letter *letter, struct engine *engine)
{
    struct filing_copy *copy =
        container_of(container_of(letter, struct filing, answer), struct filing_copy, filing);
    struct filer *filer = copy->filer;

    (void)engine;
    check(filer->outstanding > 0);
    filer->outstanding--;
    copy->recipient->answered++;
    judge_answer(filer, copy);
    filing_copy_sorted(copy);
    filer_forward_where_known(filer, copy->recipient);
    filer_run_later(filer);
}

/* Among the fields that we added: what the sender wrote itself says nothing. */
static bool is_spam(const struct message *message)
{
    struct bytes rest = message->prefix, line;

    while (bytes_take_until(&rest, '\n', &line)) {
        if (!bytes_take_nocase(&line, BYTES("X-Spam:")))
            continue;
        line = bytes_trim(line);
        if (bytes_take_nocase(&line, BYTES("Yes")))
            return true;
    }
    return false;
}

/* Where a copy goes without the account's script; unset: the inbox. */
static bool set_target(struct filer *filer, struct filing_copy *copy, const char *folder,
                       const char *flags)
{
    struct filing_target *target = arena_alloc(&filer->arena, sizeof(*target));

    if (target == NULL || !mail_folder_encode(bytes_of(folder), target->folder))
        return false;
    snprintf(target->flags, sizeof(target->flags), "%s", flags);
    copy->filing.targets = target;
    copy->filing.target_count = 1;
    return true;
}

/* For the account or a role's mailbox, by its address, which stays. NULL: no memory. */
static struct filing_copy *new_copy(struct filer *filer, struct filed_recipient *r,
                                    struct bytes address, uint64_t quota)
{
    const struct message *message = filer->message;
    struct filing_copy *copy = arena_alloc(&filer->arena, sizeof(*copy));
    struct bytes head;

    if (copy == NULL ||
        !arena_printf(&filer->arena, &head, "Return-Path: <%.*s>\r\nDelivered-To: %.*s\r\n",
                      BYTES_ARG(message->reverse_path), BYTES_ARG(address)))
        return NULL;
    size_t at = address.len;

    while (at > 0 && address.ptr[at - 1] != '@')
        at--;
    check(at > 1);
    *copy = (struct filing_copy){.filer = filer, .recipient = r};
    copy->filing = (struct filing){
        .answer.open = on_answer,
        .engine = filer->carrier.engine,
        .domain = bytes_slice(address, at, address.len),
        .local = bytes_slice(address, 0, at - 1),
        .quota = quota,
        .time_s = message->accepted_ms / 1000,
        .message = pending_stub(r->pending)->id.value,
        .recipient = r->number,
        .may_be_filed = r->pending->attempts > 0 || (r->pending->flags & PENDING_UNTRIED) != 0,
        .head = head,
        .prefix = message->prefix,
        .content = filer->whole,
    };
    copy->from = message->reverse_path;
    copy->to = message->recipients[r->number].address;
    return copy;
}

static bool make_copy(struct filer *filer, struct filed_recipient *r,
                      const struct recipient_target *target, struct filing_copy **copy_out)
{
    const struct message *message = filer->message;
    uint64_t quota = target->account != NULL ? target->account->quota : 0;
    struct bytes address;
    struct filing_copy *copy = arena_copy(&filer->arena, target->address, &address)
                                   ? new_copy(filer, r, address, quota)
                                   : NULL;

    if (copy == NULL)
        return false;
    bool is_sent = tail_is_sent(message->tail, r->number);

    if (is_sent) { /* it was not delivered: read, and no mail of the account's to be sorted */
        copy->filing.head = BYTES_NONE;
        copy->filing.use = "Sent";
    }
    if (is_sent ? !set_target(filer, copy, "Sent", "S")
                : is_spam(message) && !set_target(filer, copy, "Junk", ""))
        return false;
    if (target->account != NULL && !is_sent && filer->filers->setup.scripts != NULL)
        filing_copy_sort(copy);
    *copy_out = copy;
    return true;
}

void filer_no_memory(struct filer *filer, struct filed_recipient *r)
{
    filer_judge(filer, r, JUDGEMENT_DEFERRED, 3, 0, "system", "no-memory",
                "memory ran dry while it was filed");
}

/* False: some account is slow, and the recipient is to wait for it elsewhere. */
bool filer_ask_copies(struct filer *filer, struct filed_recipient *r,
                      const struct recipient_found *found)
{
    for (size_t i = 0; i < found->target_count; i++) {
        const struct recipient_target *target = &found->targets[i];
        struct filing_copy *copy;

        if (target->account == NULL && !target->is_role) {
            const struct forward_to to = {.address = target->address,
                                          .by = found->address,
                                          .rule = "alias"};

            if (!filer_forward(filer, r, &to))
                filer_no_memory(filer, r);
            continue;
        }
        if (!make_copy(filer, r, target, &copy)) {
            filer_no_memory(filer, r);
            return true;
        }
        if (!mail_store_file(filer->filers->setup.store, &copy->filing)) {
            if (r->copies == 0)
                return false;
            filer_judge(filer, r, JUDGEMENT_DEFERRED, 3, 0, "system", "store-busy",
                        "another account of the same recipient is slow");
            r->is_unsorted = true;
            return true;
        }
        r->copies++;
        filer->outstanding++;
    }
    return true;
}

void filer_file_shown(struct filer *filer, struct filed_recipient *r, struct bytes address,
                      uint64_t quota, const char *folder)
{
    static const struct mail_bounds bounds = {.messages_max = SHOWN_MESSAGES_MAX};
    struct filing_copy *copy = new_copy(filer, r, address, quota);

    if (copy == NULL || !set_target(filer, copy, folder, "")) {
        filer_no_memory(filer, r);
        return;
    }
    copy->filing.bounds = &bounds;
    if (!mail_store_file(filer->filers->setup.store, &copy->filing)) {
        filer_give_back_busy(filer, r);
        return;
    }
    r->copies++;
    filer->outstanding++;
}
