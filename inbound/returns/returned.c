/* returned.c - a report is read, tied to a message, and made events of. */
#include "inbound/returns/returned.h"

#include <errno.h>
#include <string.h>

#include "delivery/outcome/classify.h"
#include "event/event_privacy.h"
#include "inbound/report/report.h"
#include "inbound/returns/reported.h"
#include "inbound/returns/sent.h"

/* --- whom it is about ------------------------------------------------------------------------- */

/* `address` is as a report has it; the other as the tenant's events show it. */
static bool is_same(struct bytes tenant, struct bytes address, struct bytes shown)
{
    char room[PRIVACY_ADDRESS_MAX];

    return address.len > 0 && shown.len > 0 &&
           bytes_equal_nocase(privacy_address(tenant, address, room), shown);
}

static const struct sent_recipient *find_address(const struct sent *sent, struct bytes tenant,
                                                 struct bytes address)
{
    for (size_t i = 0; i < sent->count; i++)
        if (is_same(tenant, address, sent->recipients[i].address))
            return &sent->recipients[i];
    return NULL;
}

static const struct sent_recipient *find_number(const struct sent *sent, uint32_t number)
{
    for (size_t i = 0; i < sent->count; i++)
        if (sent->recipients[i].number == number)
            return &sent->recipients[i];
    return NULL;
}

/* By an address of the report that was a recipient's, else by the number in the return path: others
 * rewrite addresses on the way. */
static bool set_recipient(struct event *event, const struct returned *r, const struct sent *sent,
                          struct bytes original, struct bytes last)
{
    bool is_whole = privacy_of(r->tenant) == PRIVACY_NONE;
    struct bytes given = original;
    const struct sent_recipient *found = find_address(sent, r->tenant, original);

    if (found == NULL) {
        given = last;
        found = find_address(sent, r->tenant, last);
    }
    if (found == NULL) {
        found = find_number(sent, r->back.recipient);
        /* What events show of it cannot be shown again. */
        given = found == NULL ? BYTES_NONE : is_whole ? found->address : BYTES_NONE;
    }
    event->part = found != NULL ? found->number : r->back.recipient;
    if (found != NULL) {
        event->recipient = is_whole ? found->address : given;
        event->orcpt = is_whole ? found->orcpt : BYTES_NONE;
        return true;
    }
    /* Nothing is known of the message any more: then it is as the report says. */
    event->recipient = original.len > 0 ? original : last;
    return sent->count == 0;
}

/* --- events ----------------------------------------------------------------------------------- */

static struct event *begin_event(struct returned *r, const struct sent *sent, enum event_kind kind)
{
    struct event *event = &r->events[r->count];

    *event = sent->message;
    event->kind = kind;
    event->is_late = true;
    event->id = (struct message_id){r->back.message};
    event->tenant = r->tenant;
    event->times = (struct attempt_times){-1, -1, -1, -1, -1, -1};
    if (privacy_of(r->tenant) != PRIVACY_NONE)
        event->sender = BYTES_NONE;
    return event;
}

static bool is_soft(const struct event *event)
{
    static const char *const classes[] = {"mailbox-full", "throttled",
                                          "greylisting",  "connection",
                                          "dns",          "routing",
                                          "protocol",     "too-many-recipients"};

    if (event->enhanced_class == 4)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (bytes_equal(event->class, bytes_of(classes[i])))
            return true;
    return false;
}

static bool add_bounced(struct returned *r, const struct sent *sent, const struct bounce *bounce,
                        const struct bounce_recipient *recipient)
{
    struct event *event = begin_event(r, sent, EVENT_BOUNCED);
    struct bytes status = recipient->status;
    struct smtp_enhanced enhanced = {0};
    struct bytes server = recipient->server.len > 0 ? recipient->server : bounce->reporter;

    if (!set_recipient(event, r, sent, recipient->original, recipient->address))
        return true; /* of somebody else than the message's recipients */
    if (!smtp_enhanced_take(&status, &enhanced))
        enhanced = (struct smtp_enhanced){0};
    event->enhanced_class = enhanced.class;
    event->enhanced_subject = enhanced.subject;
    event->enhanced_detail = enhanced.detail;
    /* As if it had been said in the session: 550 where the report gives no code. */
    struct classification class =
        classify_reply(enhanced.class == 4 ? 450 : 550, enhanced, recipient->diagnostic);

    event->class = bytes_of(class.class);
    event->rule = is_soft(event) ? BYTES("late-bounce-soft") : BYTES("late-bounce-hard");
    r->count++;
    return arena_copy(&r->arena, recipient->diagnostic, &event->reply_text) &&
           arena_copy(&r->arena, server, &event->mx_host) &&
           arena_copy(&r->arena, event->recipient, &event->recipient);
}

static bool add_bounces(struct returned *r, const struct sent *sent, const struct bounce *bounce)
{
    r->kind = RETURNED_OTHER;
    for (size_t i = 0; i < bounce->count && r->count < RETURNED_EVENTS_MAX; i++) {
        if (bounce->recipients[i].action != BOUNCE_FAILED)
            continue;
        if (!add_bounced(r, sent, bounce, &bounce->recipients[i]))
            return false;
    }
    if (r->count > 0)
        r->kind = RETURNED_BOUNCE;
    return true;
}

static bool add_complaint(struct returned *r, const struct sent *sent,
                          const struct complaint *complaint)
{
    struct event *event = begin_event(r, sent, EVENT_COMPLAINED);
    struct bytes who =
        complaint->recipients.count > 0 ? complaint->recipients.texts[0] : BYTES_NONE;
    struct bytes server = complaint->reporter.len > 0 ? complaint->reporter : complaint->user_agent;

    r->kind = RETURNED_COMPLAINT;
    (void)set_recipient(event, r, sent, who, BYTES_NONE);
    event->rule = BYTES("feedback-report");
    r->count++;
    return arena_copy(&r->arena, complaint->type, &event->class) &&
           arena_copy(&r->arena, complaint->user_agent, &event->reply_text) &&
           arena_copy(&r->arena, server, &event->mx_host) &&
           arena_copy(&r->arena, event->recipient, &event->recipient);
}

/* --- the report ------------------------------------------------------------------------------- */

/* A return path of ours in what came back with it: its Original-Mail-From, or the message. */
static bool find_path(struct returned *r, const struct mail_parts *parts,
                      const struct returns_settings *settings)
{
    for (size_t i = 0; i < parts->count && !r->is_signed; i++)
        r->is_signed =
            return_path_find(settings->key, parts->parts[i].content, r->domain, &r->back);
    return r->is_signed;
}

static void judge(struct returned *r, const struct report *report,
                  const struct returns_settings *settings)
{
    bool is_complaint = report->kind == REPORT_COMPLAINT;
    struct sent sent;

    if (report->kind != REPORT_BOUNCE && !is_complaint) {
        r->kind = report->kind == REPORT_TLS ? RETURNED_TLS : RETURNED_DMARC;
        if (!reported_add(r, report))
            r->count = 0;
        return;
    }
    if (!find_path(r, &report->parts, settings) ||
        !message_id_is_valid((struct message_id){r->back.message})) {
        r->kind = RETURNED_UNTIED;
        return;
    }
    sent = (struct sent){0};
    if (!r->only_kind)
        (void)!sent_find(settings->events, (struct message_id){r->back.message}, &r->arena, &sent);
    if (is_complaint ? !add_complaint(r, &sent, &report->complaint)
                     : !add_bounces(r, &sent, &report->bounce))
        r->count = 0; /* the arena is full, which no report of a sane size does */
}

void returned_read(struct returned *r, const struct returns_settings *settings)
{
    struct report report;
    const char *why;

    r->kind = RETURNED_UNKNOWN;
    r->count = 0;
    if (r->content.len > REPORT_SIZE_MAX || !report_read(r->content, &report, &why))
        return;
    judge(r, &report, settings);
    report_free(&report);
}
