/* sender.c - addresses against the tenant's domains. */
#include "submission/sender.h"

#include "directory/account_sends.h"
#include "directory/directory_name.h"
#include "directory/recipient_lookup.h"
#include "smtp/mailbox.h"

enum { NAME_ROOM = 1024 };

/* Who sends: an account's user is held to its addresses, a tenant's application to its domains. */
struct sender {
    const struct snapshot *snapshot;
    const struct directory_tenant *tenant;
    bool is_user;
    const struct directory_account *account; /* NULL of a user: it is gone */
};

static struct verdict not_yours(const char *rule)
{
    return verdict_refuse(550, "5.7.1", "You may not send from this domain", rule);
}

static struct verdict not_you(const char *rule)
{
    return verdict_refuse(550, "5.7.1", "This account may not send as that address", rule);
}

static struct verdict too_large(void)
{
    return verdict_refuse(552, "5.3.4", "The message is larger than your limit", "message_size");
}

/* NULL where the session is not held to anything. */
static const struct directory_tenant *tenant_of(const struct snapshot *snapshot,
                                                const struct submission_session *session)
{
    if (session->tenant[0] == '\0')
        return NULL;
    return snapshot_tenant(snapshot, bytes_of(session->tenant));
}

static bool is_domain_of(const struct snapshot *snapshot, const struct directory_tenant *tenant,
                         struct bytes domain)
{
    const struct directory_domain *found = NULL;
    struct arena arena;
    struct bytes name;

    arena_init(&arena, NAME_ROOM);
    if (directory_domain_name(&arena, domain, &name))
        found = snapshot_domain_above(snapshot, name);
    arena_free(&arena);
    return found != NULL && found->tenant == tenant->id && found->is_active;
}

/* Does mail to it come to the account? */
static bool leads_to(const struct sender *sender, struct bytes address)
{
    const struct recipient_rules rules = {.hostname = BYTES_NONE};
    struct recipient_found found;
    struct arena arena;
    bool leads = false;

    arena_init(&arena, RECIPIENT_ARENA_MAX);
    recipient_look_up(sender->snapshot, &rules, address, &arena, &found);
    if (found.kind == RECIPIENT_KNOWN)
        for (size_t i = 0; i < found.target_count && !leads; i++)
            leads = found.targets[i].account == sender->account;
    arena_free(&arena);
    return leads;
}

static bool is_address_of(const struct sender *sender, struct bytes text)
{
    struct arena arena;
    struct bytes address;
    bool is = false;

    if (sender->account == NULL)
        return false;
    arena_init(&arena, NAME_ROOM);
    if (directory_address(&arena, text, false, &address))
        is = bytes_equal(address, sender->account->address) ||
             account_sends_has(sender->account->sends_as, address) || leads_to(sender, address);
    arena_free(&arena);
    return is;
}

static struct verdict judge_address(const struct sender *sender, struct bytes address,
                                    struct bytes domain, const char *rule)
{
    if (!is_domain_of(sender->snapshot, sender->tenant, domain))
        return not_yours(rule);
    return !sender->is_user || is_address_of(sender, address) ? VERDICT_OK : not_you(rule);
}

static struct verdict judge_path(const struct sender *sender, const struct smtp_address *path)
{
    if (path->text.len == 0)
        return sender->tenant->allows_null_sender
                   ? VERDICT_OK
                   : verdict_refuse(550, "5.7.1", "You may not send with the null reverse-path",
                                    "null_sender");
    return judge_address(sender, path->text, path->domain, "reverse-path");
}

/* `tenant` NULL where the session is not held to anything. */
static struct sender sender_of(const struct snapshot *snapshot,
                               const struct submission_session *session)
{
    return (struct sender){
        .snapshot = snapshot,
        .tenant = tenant_of(snapshot, session),
        .is_user = session->account != 0,
        .account = session->account != 0 ? snapshot_account_of(snapshot, session->account) : NULL,
    };
}

struct verdict sender_judge_mail(const struct submission *submission,
                                 const struct submission_session *session,
                                 const struct smtp_mail *mail)
{
    struct verdict verdict = VERDICT_OK;

    if (submission->reader == NULL)
        return VERDICT_OK;
    const struct sender sender = sender_of(snapshot_begin(submission->reader), session);
    const struct directory_tenant *tenant = sender.tenant;
    if (tenant != NULL && session->server.is_authenticated)
        verdict = judge_path(&sender, &mail->reverse_path);
    if (verdict.code == 0 && tenant != NULL && tenant->limits[LIMIT_MESSAGE_SIZE] != 0 &&
        mail->size > tenant->limits[LIMIT_MESSAGE_SIZE])
        verdict = too_large();
    snapshot_end(submission->reader);
    return verdict;
}

struct verdict sender_judge_rcpt(const struct submission *submission,
                                 const struct submission_session *session)
{
    bool is_over = false;

    if (submission->reader == NULL)
        return VERDICT_OK;
    const struct directory_tenant *tenant = tenant_of(snapshot_begin(submission->reader), session);
    if (tenant != NULL && tenant->limits[LIMIT_RECIPIENTS] != 0)
        is_over = session->server.transaction.recipient_count >= tenant->limits[LIMIT_RECIPIENTS];
    snapshot_end(submission->reader);
    /* As the limit for all: the client sends the rest in another transaction. */
    return is_over ? verdict_refuse(452, "4.5.3", "Too many recipients", "recipients") : VERDICT_OK;
}

static struct verdict judge_mailbox(const struct sender *sender, const struct mailbox *mailbox,
                                    const char *rule)
{
    char address[MAILBOX_LOCAL_MAX + 1 + MAILBOX_DOMAIN_MAX];
    uint8_t *at = (uint8_t *)address;

    (void)bytes_put(mailbox_local(mailbox), &at);
    (void)bytes_put(BYTES("@"), &at);
    (void)bytes_put(mailbox_domain(mailbox), &at);
    return judge_address(sender, bytes_range(address, (size_t)(at - (uint8_t *)address)),
                         mailbox_domain(mailbox), rule);
}

static struct verdict judge_field(const struct sender *sender, const struct intake *intake,
                                  unsigned row, const char *rule)
{
    struct verdict unreadable =
        verdict_refuse(550, "5.6.0", "From or Sender holds no addresses that can be read", rule);
    struct mailbox_reader reader;
    struct mailbox mailbox;
    struct header_value value;
    enum mailbox_step step;
    unsigned count = 0;

    if (!intake_field_value(intake, row, 0, &value) || value.is_cut || value.is_altered)
        return unreadable;
    mailbox_reader_init(&reader, value.text);
    while ((step = mailbox_next(&reader, &mailbox)) == MAILBOX_FOUND) {
        struct verdict verdict = judge_mailbox(sender, &mailbox, rule);

        if (verdict.code != 0)
            return verdict;
        count++;
    }
    return step == MAILBOX_END && count > 0 ? VERDICT_OK : unreadable;
}

/* RFC 5322 section 3.6: From stands once, Sender at most once. Which of two a reader shows is
 * nobody's guess. */
static struct verdict judge_header(const struct sender *sender, const struct intake *intake)
{
    if (intake_field_count(intake, SUBMISSION_FROM) != 1)
        return verdict_refuse(550, "5.6.0", "A message has one From field", "from");
    if (intake_field_count(intake, SUBMISSION_SENDER) > 1)
        return verdict_refuse(550, "5.6.0", "A message has one Sender field at most", "sender");
    struct verdict verdict = judge_field(sender, intake, SUBMISSION_FROM, "from");
    if (verdict.code == 0 && intake_field_count(intake, SUBMISSION_SENDER) == 1)
        verdict = judge_field(sender, intake, SUBMISSION_SENDER, "sender");
    return verdict;
}

struct verdict sender_judge_content(const struct submission *submission,
                                    const struct submission_session *session,
                                    const struct intake *intake, uint64_t size)
{
    struct verdict verdict = VERDICT_OK;

    if (submission->reader == NULL)
        return VERDICT_OK;
    const struct sender sender = sender_of(snapshot_begin(submission->reader), session);
    const struct directory_tenant *tenant = sender.tenant;
    if (tenant != NULL && tenant->limits[LIMIT_MESSAGE_SIZE] != 0 &&
        size > tenant->limits[LIMIT_MESSAGE_SIZE])
        verdict = too_large();
    if (verdict.code == 0 && tenant != NULL && session->server.is_authenticated)
        verdict = judge_header(&sender, intake);
    snapshot_end(submission->reader);
    return verdict;
}
