/* recipient.c - what is said to each RCPT. */
#include "inbound/receive/recipient.h"

#include <stdio.h>

#include "base/log.h"
#include "base/metric.h"
#include "directory/directory_name.h"
#include "directory/recipient_lookup.h"
#include "event/event_privacy.h"
#include "inbound/receive/greylist.h"
#include "smtp/address.h"

/* By enum recipient_kind; those of KNOWN stand behind. */
static const struct verdict words[] = {
    [RECIPIENT_FOREIGN] = {550, "5.7.1", "No mail is received here for that domain", "relay",
                           false},
    [RECIPIENT_UNKNOWN] = {550, "5.1.1", "There is nobody of that name here", "recipient", false},
    [RECIPIENT_ROUTED] = {550, "5.7.1", "No mail is passed on by a route in an address", "relay",
                          false},
    [RECIPIENT_DISABLED] = {550, "5.2.1", "This mailbox is disabled", "disabled", false},
    [RECIPIENT_SUSPENDED] = {450, "4.2.1", "Mail for this domain is not taken now", "tenant",
                             false},
    [RECIPIENT_BROKEN] = {451, "4.3.5", "This address leads to nobody for now", "alias", false},
    [RECIPIENT_KNOWN] = {0, NULL, NULL, NULL, false},
    [RECIPIENT_RETURN] = {0, NULL, NULL, NULL, false},
};

static struct receive *receive_of(const struct arrival *arrival)
{
    return receive_generation_of(arrival->session)->receive;
}

/* Names are not to be found by trying. */
static struct verdict slow_down(struct arrival *arrival, struct verdict verdict)
{
    struct receive_session *session = arrival->session;
    unsigned max = receive_generation_of(session)->settings.unknown_max;
    unsigned count = ++session->unknown_count;
    int64_t delay_ms = RECIPIENT_DELAY_MS_FIRST;

    metric_inc(METRIC_INBOUND_UNKNOWN);
    if (count > (max != 0 ? max : RECEIVE_UNKNOWN_DEFAULT)) {
        metric_inc(METRIC_INBOUND_HARVESTS);
        return verdict_refuse(421, "4.7.0", "Too many recipients that nobody is, closing",
                              "inbound.unknown_recipients");
    }
    if (count == 1)
        return verdict;
    for (unsigned i = 2; i < count && delay_ms < RECIPIENT_DELAY_MS_MAX; i++)
        delay_ms *= 2;
    return smtp_server_delayed(&session->server, MIN(delay_ms, (int64_t)RECIPIENT_DELAY_MS_MAX),
                               verdict);
}

/* Filing sorts out who of several has room; here it counts that somebody has. */
static struct verdict judge_room(const struct arrival *arrival, const struct recipient_found *found)
{
    const struct receive_setup *setup = &receive_of(arrival)->setup;
    bool fits_later = false;

    if (setup->room == NULL)
        return VERDICT_OK;
    for (size_t i = 0; i < found->target_count; i++) {
        const struct directory_account *account = found->targets[i].account;

        if (account == NULL)
            return VERDICT_OK;
        switch (setup->room(setup->room_context, account, arrival->size)) {
        case MAILBOX_HAS_ROOM:
            return VERDICT_OK;
        case MAILBOX_IS_FULL:
            fits_later = true;
            break;
        case MAILBOX_IS_TOO_SMALL:
            break;
        }
    }
    if (fits_later)
        return verdict_refuse(452, "4.2.2", "The mailbox is full, try again later", "quota");
    return arrival_too_large();
}

/* What the largest of its mailboxes holds, were it empty. */
static uint64_t holds_max(const struct recipient_found *found)
{
    uint64_t max = 0;

    for (size_t i = 0; i < found->target_count; i++) {
        const struct directory_account *account = found->targets[i].account;

        if (account == NULL || account->quota == 0)
            return UINT64_MAX;
        max = MAX(max, account->quota);
    }
    return found->kind == RECIPIENT_KNOWN ? max : UINT64_MAX;
}

/* RFC 6647 section 5: 4xx to RCPT. */
static struct verdict judge_newcomer(const struct arrival *arrival, struct bytes recipient)
{
    const struct receive *receive = receive_of(arrival);
    int64_t delay_ms = receive_newest(receive)->greylist_ms;

    if (delay_ms == 0 ||
        greylist_passes(&arrival->session->client, intake_reverse_path(arrival->intake), recipient,
                        delay_ms, engine_now_ms(receive->setup.engine)))
        return VERDICT_OK;
    metric_inc(METRIC_INBOUND_GREYLISTED);
    return verdict_refuse(451, "4.7.1", "You are new here: try again in some minutes",
                          "inbound.greylist");
}

/* A message is one tenant's, whose record and share it is: the client sends the rest in another
 * transaction, as with too many recipients (RFC 5321 section 4.5.3.1.10). */
static struct verdict judge_tenant(struct arrival *arrival, const struct snapshot *snapshot,
                                   struct bytes domain_name)
{
    const struct directory_domain *domain = snapshot_domain(snapshot, domain_name);
    const struct directory_tenant *tenant =
        domain != NULL ? snapshot_tenant_of(snapshot, domain->tenant) : NULL;
    struct bytes name = tenant != NULL ? tenant->name : BYTES_NONE;

    if (arrival->session->server.transaction.recipient_count > 0 &&
        !bytes_equal(name, intake_tenant(arrival->intake)))
        return verdict_refuse(452, "4.5.3", "Send this one in a transaction of its own", "tenant");
    return intake_set_tenant(arrival->intake, name) ? VERDICT_OK : intake_out_of_memory();
}

/* What the tenant says of the return path or, where that is nothing, of the client. */
static struct verdict judge_sender(struct arrival *arrival, const struct snapshot *snapshot,
                                   struct bytes domain_name)
{
    const struct directory_domain *domain = snapshot_domain(snapshot, domain_name);
    const struct directory_rule *rule =
        domain == NULL
            ? NULL
            : sender_rule_find(snapshot, domain->tenant, intake_reverse_path(arrival->intake),
                               &arrival->session->client);

    if (rule == NULL)
        return VERDICT_OK;
    if (rule->is_allowed) {
        arrival_keep_rule(arrival, rule);
        return VERDICT_OK;
    }
    metric_inc(METRIC_INBOUND_BLOCKED);
    return decision_blocked(sender_rule_text(rule), arrival->decision.text);
}

/* "<postmaster>" becomes an address that leads somewhere. */
static struct verdict add(struct arrival *arrival, const struct smtp_rcpt *rcpt,
                          const struct recipient_found *found)
{
    struct smtp_rcpt whole = *rcpt;
    uint32_t number = (uint32_t)intake_recipient_count(arrival->intake);

    if (whole.forward_path.domain.len == 0) {
        bool is_address = smtp_parse_address(found->address, &whole.forward_path);
        check(is_address);
    }
    struct verdict verdict = intake_add_recipient(arrival->intake, &whole);

    if (verdict.code == 0)
        arrival->holds_max = MAX(arrival->holds_max, holds_max(found));
    if (verdict.code == 0 && found->kind == RECIPIENT_RETURN && !arrival->has_return) {
        arrival->has_return = true;
        arrival->return_number = number;
    }
    return verdict;
}

static bool hosted_domain(struct arena *arena, const struct snapshot *snapshot, struct bytes domain,
                          struct bytes *name_out)
{
    return smtp_domain_normalise(arena, domain, name_out) &&
           recipient_domain_is_hosted(snapshot, *name_out);
}

/* A sender that we rewrote comes back: only what we made, and lately, leads on (auth/srs/srs.h). */
static struct verdict judge_returned(struct arrival *arrival, const struct smtp_rcpt *rcpt,
                                     const struct snapshot *snapshot, struct bytes domain)
{
    const struct receive *receive = receive_of(arrival);
    struct bytes address = rcpt->forward_path.text;
    enum srs_result result = SRS_REFUSED;
    struct buf sender;

    if (receive->setup.srs == NULL)
        return verdict_refuse(451, "4.3.5", "Mail to this address is not taken now", "srs");
    buf_init(&sender, SRS_ADDRESS_MAX);
    result =
        srs_reverse(receive->setup.srs, address, engine_wall_ms(receive->setup.engine), &sender);
    buf_free(&sender);
    if (result == SRS_EXPIRED)
        return slow_down(arrival,
                         verdict_refuse(550, "5.7.1", "This return path is too old", "srs"));
    if (result != SRS_OK)
        return slow_down(arrival, verdict_refuse(550, "5.7.1",
                                                 "This return path is not one of ours", "srs"));
    const struct directory_domain *row = snapshot_domain(snapshot, domain);
    const struct directory_tenant *tenant = snapshot_tenant_of(snapshot, row->tenant);
    if (tenant == NULL || tenant->is_disabled)
        return words[RECIPIENT_SUSPENDED];
    struct verdict verdict = judge_tenant(arrival, snapshot, domain);
    if (verdict.code == 0)
        verdict = intake_add_recipient(arrival->intake, rcpt);
    if (verdict.code == 0)
        arrival->holds_max = UINT64_MAX;
    return verdict;
}

/* Whose address it is, if anybody's here: what is refused is told as that tenant's. */
static void keep_asked(struct arrival *arrival, const struct smtp_rcpt *rcpt,
                       const struct snapshot *snapshot, struct arena *arena)
{
    const struct directory_tenant *tenant = NULL;
    struct bytes name;

    if (snapshot_version(snapshot) != 0 &&
        hosted_domain(arena, snapshot, rcpt->forward_path.domain, &name))
        tenant = snapshot_tenant_of(snapshot, snapshot_domain(snapshot, name)->tenant);
    struct bytes whose = tenant != NULL ? tenant->name : BYTES_NONE;

    snprintf(arrival->asked_tenant, sizeof(arrival->asked_tenant), "%.*s", (int)whose.len,
             whose.len > 0 ? (const char *)whose.ptr : "");
}

static struct verdict judge(struct arrival *arrival, const struct smtp_rcpt *rcpt,
                            const struct snapshot *snapshot, struct arena *arena)
{
    const struct receive_generation *generation = receive_generation_of(arrival->session);
    const struct recipient_rules rules = {
        .hostname = bytes_of(generation->hostname),
        .postmaster = bytes_of(generation->postmaster),
        .return_key = receive_of(arrival)->setup.return_key,
    };
    struct recipient_found found;
    struct bytes domain;
    char shown[PRIVACY_ADDRESS_MAX];

    if (snapshot_version(snapshot) == 0)
        return verdict_refuse(451, "4.3.0", "The directory cannot be read, try again later",
                              "directory");
    if (srs_is_claimed(rcpt->forward_path.local) &&
        hosted_domain(arena, snapshot, rcpt->forward_path.domain, &domain))
        return judge_returned(arrival, rcpt, snapshot, domain);
    recipient_look_up(snapshot, &rules, rcpt->forward_path.text, arena, &found);
    if (found.kind == RECIPIENT_BROKEN)
        log_limited(LOG_LEVEL_WARN,
                    "to=%s what=\"an alias leads to nobody: its mail waits at its senders\"",
                    LOG_TEXT(
                        privacy_address(bytes_of(arrival->asked_tenant), found.address, shown)));
    if (found.kind == RECIPIENT_UNKNOWN)
        return slow_down(arrival, words[found.kind]);
    struct verdict verdict = words[found.kind];
    if (verdict.code == 0 && found.kind == RECIPIENT_KNOWN)
        verdict = judge_room(arrival, &found);
    if (verdict.code == 0)
        verdict = judge_sender(arrival, snapshot, directory_address_domain(found.address));
    if (verdict.code == 0 && !arrival->has_rule)
        verdict = judge_newcomer(arrival, found.address);
    if (verdict.code == 0)
        verdict = judge_tenant(arrival, snapshot, directory_address_domain(found.address));
    return verdict.code == 0 ? add(arrival, rcpt, &found) : verdict;
}

struct verdict recipient_judge(struct arrival *arrival, const struct smtp_rcpt *rcpt)
{
    struct snapshot_reader *reader = receive_of(arrival)->setup.reader;
    struct arena arena;

    arena_init(&arena, RECIPIENT_ARENA_MAX);
    const struct snapshot *snapshot = snapshot_begin(reader);
    keep_asked(arrival, rcpt, snapshot, &arena);
    struct verdict verdict = judge(arrival, rcpt, snapshot, &arena);
    snapshot_end(reader);
    arena_free(&arena);
    return verdict;
}
