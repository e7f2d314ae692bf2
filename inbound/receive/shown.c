/* shown.c - for whom a message that comes back is filed too. */
#include "inbound/receive/shown.h"

#include "directory/account_shows.h"
#include "directory/recipient_lookup.h"
#include "event/event_privacy.h"
#include "inbound/receive/arrival.h"

static bool is_shown(const struct snapshot *snapshot, const struct directory_account *account,
                     unsigned kinds)
{
    const struct directory_domain *domain = snapshot_domain_of(snapshot, account->domain);

    return (account->shows & kinds) != 0 && !account->is_disabled && domain != NULL &&
           domain->is_hosted;
}

static struct verdict add_all(struct arrival *arrival, const struct snapshot *snapshot)
{
    struct bytes name = intake_tenant(arrival->intake);
    const struct directory_tenant *tenant = snapshot_tenant(snapshot, name);
    unsigned kinds = account_shows_returned(privacy_of(name) != PRIVACY_NONE);
    struct verdict verdict = VERDICT_OK;

    for (unsigned i = 0; tenant != NULL && i < tenant->showing_count && verdict.code == 0; i++) {
        const struct directory_account *account = snapshot_account_of(snapshot, tenant->showing[i]);

        if (account != NULL && is_shown(snapshot, account, kinds))
            verdict = intake_add_shown(arrival->intake, account->address, arrival->return_number);
    }
    return verdict;
}

struct verdict shown_add(struct arrival *arrival)
{
    const struct receive_generation *generation = receive_generation_of(arrival->session);
    struct snapshot_reader *reader = generation->receive->setup.reader;

    if (!arrival->has_return || intake_has_shown(arrival->intake))
        return VERDICT_OK;
    struct verdict verdict = add_all(arrival, snapshot_begin(reader));

    snapshot_end(reader);
    return verdict;
}
