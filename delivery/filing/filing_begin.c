/* filing_begin.c - whom each recipient of a message means, and who sees to it. */
#include "auth/srs/srs.h"
#include "delivery/filing/filer_private.h"
#include "directory/directory_name.h"
#include "queue/tail.h"

enum { NOT_OURS_MS = 1500 };

/* Each account answers for itself, and an address that means several is nobody's own (RFC 5230
 * section 4.5). Where else the mail goes does not count: who keeps an archive is one account
 * still. */
static void set_alias(struct filer *filer, struct filed_recipient *r,
                      const struct recipient_found *found)
{
    size_t accounts = 0;

    for (size_t i = 0; i < found->target_count; i++)
        accounts += found->targets[i].account != NULL || found->targets[i].is_role;
    if (accounts == 1 && found->is_alias && !arena_copy(&filer->arena, found->address, &r->alias))
        r->alias = BYTES_NONE;
}

/* Whose domain it is: whoever sent what comes there. */
static struct bytes tenant_of(const struct snapshot *snapshot, struct bytes address)
{
    const struct directory_domain *domain =
        snapshot_domain(snapshot, directory_address_domain(address));
    const struct directory_tenant *tenant =
        domain != NULL ? snapshot_tenant_of(snapshot, domain->tenant) : NULL;

    return tenant != NULL ? tenant->name : BYTES_NONE;
}

/* Mail that comes back to a sender that we rewrote goes on to whom it was. It was in time when it
 * was accepted, however long it waited since. */
static void send_back(struct filer *filer, struct filed_recipient *r, struct arena *arena,
                      struct bytes address)
{
    const struct srs_keys *keys = filer->filers->setup.srs;
    struct forward_to to = {.rule = "srs"};
    enum srs_result result = SRS_FORGED;
    struct buf sender;

    buf_init(&sender, SRS_ADDRESS_MAX);
    if (keys != NULL)
        result = srs_reverse(keys, address, filer->message->accepted_ms, &sender);
    to.address = buf_bytes(&sender);
    r->target_count = 1;
    if (keys == NULL)
        filer_judge(filer, r, JUDGEMENT_DEFERRED, 3, 5, "system", "forward-key",
                    "the key that senders are rewritten with cannot be read");
    else if (result != SRS_OK)
        filer_judge(filer, r, JUDGEMENT_BOUNCED, 7, 1, "relaying", "srs",
                    "that is not an address that we made, or it is too old");
    else if (!directory_address(arena, address, false, &to.by) || !filer_forward(filer, r, &to))
        filer_no_memory(filer, r);
    buf_free(&sender);
}

static void begin(struct filer *filer, struct filed_recipient *r, struct bytes content,
                  struct arena *arena, const struct snapshot *snapshot)
{
    const struct recipient *recipient = &filer->message->recipients[r->number];
    struct recipient_found found;

    uint32_t of;

    arena_clear(arena);
    if (tail_is_shown(filer->message->tail, r->number, &of)) {
        if (!filer_show(filer, r, of, snapshot, arena, content))
            filer_give_back_busy(filer, r);
        return;
    }
    if (srs_is_claimed(recipient->address) &&
        recipient_domain_is_hosted(snapshot, recipient->domain)) {
        send_back(filer, r, arena, recipient->address);
        return;
    }
    recipient_look_up(snapshot, &filer->filers->rules, recipient->address, arena, &found);
    switch (found.kind) {
    case RECIPIENT_FOREIGN: /* just now: the line will know in a moment */
        filer_give_back(filer, r, NOT_OURS_MS);
        return;
    case RECIPIENT_UNKNOWN:
        filer_judge(filer, r, JUDGEMENT_BOUNCED, 1, 1, "invalid-recipient", "directory-unknown",
                    "there is nobody of that name here");
        return;
    case RECIPIENT_ROUTED:
        filer_judge(filer, r, JUDGEMENT_BOUNCED, 7, 1, "relaying", "directory-routed",
                    "we do not relay for that address");
        return;
    case RECIPIENT_DISABLED:
    case RECIPIENT_SUSPENDED:
        filer_judge(filer, r, JUDGEMENT_DEFERRED, 2, 1, "inactive-mailbox", "directory-disabled",
                    "the mailbox is disabled");
        return;
    case RECIPIENT_BROKEN:
        filer_judge(filer, r, JUDGEMENT_DEFERRED, 3, 5, "system", "directory-alias",
                    "its alias leads to nobody, to itself or to too many");
        return;
    case RECIPIENT_RETURN:
        if (!filer_ask_return(filer, r, &found, tenant_of(snapshot, found.address), content))
            filer_give_back_busy(filer, r);
        return;
    case RECIPIENT_KNOWN:
        break;
    }
    r->target_count = (uint32_t)found.target_count;
    set_alias(filer, r, &found);
    if (!filer_ask_copies(filer, r, &found))
        filer_give_back_busy(filer, r);
}

void filer_begin_copies(struct filer *filer, struct bytes content)
{
    struct snapshot_reader *reader = filer->filers->setup.reader;
    const struct snapshot *snapshot = snapshot_begin(reader);
    struct arena arena;

    filer->whole = content;
    arena_init(&arena, RECIPIENT_ARENA_MAX);
    for (uint32_t i = 0; i < filer->count; i++)
        begin(filer, &filer->recipients[i], content, &arena, snapshot);
    arena_free(&arena);
    snapshot_end(reader);
    for (uint32_t i = 0; i < filer->count; i++)
        filer_forward_where_known(filer, &filer->recipients[i]);
}
