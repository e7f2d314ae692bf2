/* filing_shown.c - an account that is shown what came back for its tenant: what it is is read, then
 * it is filed in the folder for that.
 *
 * It is a recipient of its own (queue/tail.h, TAIL_SHOWN), so that the events of what came back are
 * told whatever becomes of the copy. */
#include <string.h>

#include "delivery/filing/filer_private.h"
#include "directory/account_shows.h"
#include "directory/directory_name.h"
#include "event/event_privacy.h"
#include "inbound/returns/returns.h"

struct filing_shown {
    struct returned returned;
    struct filer *filer;
    struct filed_recipient *recipient;
    struct bytes address; /* of the account */
    uint64_t quota;
    unsigned shows;
};

static const struct {
    unsigned shows; /* enum account_shows */
    const char *folder;
} places[RETURNED_KIND_COUNT] = {
    [RETURNED_BOUNCE] = {SHOWS_BOUNCES, "Bounces"},
    [RETURNED_COMPLAINT] = {SHOWS_COMPLAINTS, "Complaints"},
    [RETURNED_DMARC] = {SHOWS_REPORTS, "Reports"},
    [RETURNED_TLS] = {SHOWS_REPORTS, "Reports"},
};

/* An end that is well: there is nothing to show. */
static void judge_unshown(struct filer *filer, struct filed_recipient *r, const char *why)
{
    filer_judge(filer, r, JUDGEMENT_FILED, 1, 5, "report", "shown", why);
}

static void on_read(struct letter *letter, struct engine *engine)
{
    struct filing_shown *shown = container_of(container_of(letter, struct chore, letter),
                                              struct filing_shown, returned.chore);
    struct filer *filer = shown->filer;
    struct filed_recipient *r = shown->recipient;
    enum returned_kind kind = shown->returned.kind;

    (void)engine;
    check(filer->outstanding > 0);
    filer->outstanding--;
    r->answered++;
    returned_free(&shown->returned);
    if (!filer->is_aborted) {
        if ((shown->shows & places[kind].shows) == 0)
            judge_unshown(filer, r, returned_kind_name(kind));
        else
            filer_file_shown(filer, r, shown->address, shown->quota, places[kind].folder);
    }
    filer_run_later(filer);
}

/* False: not now. */
static bool ask(struct filer *filer, struct filed_recipient *r,
                const struct directory_account *account, unsigned shows,
                const struct recipient_found *found, struct bytes content)
{
    struct filing_shown *shown = arena_alloc(&filer->arena, sizeof(*shown));
    struct bytes domain = directory_address_domain(found->address);

    if (shown == NULL)
        return false;
    memset(shown, 0, sizeof(*shown));
    shown->filer = filer;
    shown->recipient = r;
    shown->quota = account->quota;
    shown->shows = shows;
    shown->returned.chore.letter.open = on_read;
    shown->returned.chore.engine = filer->carrier.engine;
    shown->returned.content = content;
    shown->returned.only_kind = true;
    shown->returned.is_signed = found->is_signed;
    shown->returned.back = found->back;
    if (!arena_copy(&filer->arena, account->address, &shown->address) ||
        !arena_copy(&filer->arena, domain, &shown->returned.domain) ||
        !returns_ask(filer->filers->setup.returns, &shown->returned))
        return false;
    r->copies++;
    filer->outstanding++;
    return true;
}

static unsigned shows_of(const struct snapshot *snapshot, const struct directory_account *account)
{
    const struct directory_tenant *tenant = snapshot_tenant_of(snapshot, account->tenant);

    if (tenant == NULL)
        return 0;
    return account->shows & account_shows_returned(privacy_of(tenant->name) != PRIVACY_NONE);
}

bool filer_show(struct filer *filer, struct filed_recipient *r, uint32_t of,
                const struct snapshot *snapshot, struct arena *arena, struct bytes content)
{
    const struct message *message = filer->message;
    const struct directory_account *account = NULL;
    const struct directory_domain *domain = NULL;
    struct recipient_found found = {.kind = RECIPIENT_UNKNOWN};
    struct bytes address;

    r->is_shown = true;
    r->target_count = 1;
    if (directory_address(arena, message->recipients[r->number].address, false, &address))
        account = snapshot_account(snapshot, address);
    if (of < message->recipient_count)
        recipient_look_up(snapshot, &filer->filers->rules, message->recipients[of].address, arena,
                          &found);
    if (found.kind == RECIPIENT_RETURN)
        domain = snapshot_domain(snapshot, directory_address_domain(found.address));
    /* Either may be another tenant's by now. */
    unsigned shows = account != NULL && !account->is_disabled && domain != NULL &&
                             domain->tenant == account->tenant
                         ? shows_of(snapshot, account)
                         : 0;

    if (shows == 0) {
        judge_unshown(filer, r, "the account is not shown it any more");
        return true;
    }
    return ask(filer, r, account, shows, &found, content);
}
