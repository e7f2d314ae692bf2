/* intake.c - builds a message and hands it to the shard; the drawing is in intake.h. */
#include "intake/intake_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/budget.h"
#include "base/text_format.h"
#include "intake/prefix.h"
#include "queue/tail.h"

enum {
    HELD_BACK_MAX = HEADER_GROWTH_MAX + HEADER_FIELD_KEPT, /* by the scan, beyond its input */
    CONTENT_MAX = 2 * CONTENT_CHUNK_MAX + HELD_BACK_MAX,   /* of content waiting in memory */
    MESSAGE_ID_KEPT = 512,                                 /* of the first Message-ID, for events */
    TLS_REQUIRED_KEPT = 16,
    RECIPIENTS_MIN = 2, /* first size of the array; doubled */
};

void intake_fields_init(struct header_table *fields)
{
    static const struct header_rule rules[] = {
        [INTAKE_RECEIVED] = {.name = BYTES("Received")},
        [INTAKE_MESSAGE_ID] = {.name = BYTES("Message-ID"),
                               .capture_count = 1,
                               .capture_max = MESSAGE_ID_KEPT},
        [INTAKE_DATE] = {.name = BYTES("Date")},
        /* The final server's to write, RFC 5321 section 4.4. */
        [INTAKE_RETURN_PATH] = {.name = BYTES("Return-Path"), .drop = true},
        [INTAKE_TLS_REQUIRED] = {.name = BYTES("TLS-Required"),
                                 .capture_count = 1,
                                 .capture_max = TLS_REQUIRED_KEPT},
    };

    header_table_init(fields);
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        int row = header_table_add(fields, &rules[i]);
        check(row == (int)i);
    }
}

size_t intake_size(const struct header_table *fields)
{
    return sizeof(struct intake) + fields->capture_size;
}

static size_t memory_of(const struct intake *intake)
{
    size_t of_message = intake->message == NULL ? 0 : message_memory(intake->message);

    return intake_size(intake->home->fields) + intake->content.capacity + intake->fields.capacity +
           (intake->signing == NULL ? 0 : signing_memory(intake->signing)) + of_message;
}

void intake_count_memory(struct intake *intake)
{
    size_t memory = memory_of(intake);

    budget_add((int64_t)memory - (int64_t)intake->counted);
    intake->counted = memory;
}

size_t intake_memory(const struct intake *intake)
{
    return intake->is_committing ? 0 : memory_of(intake);
}

static bool copy_client(struct intake *intake, const struct intake_client *client)
{
    struct message *message = intake->message;
    char session[TAIL_SESSION_NAME_MAX];
    size_t session_len = text_put(session, sizeof(session), "%u.%" PRIu64,
                                  engine_index(intake->home->engine), client->session);

    check(session_len < sizeof(session));
    message->class = (enum mail_class)client->class;
    message->credential = client->credential;
    intake->client.is_esmtp = client->is_esmtp;
    intake->client.is_authenticated = client->is_authenticated;
    intake->client.is_finished = client->is_finished;
    intake->client.session = client->session;
    if (!arena_copy(&message->arena, client->ip, &message->client_ip) ||
        !arena_copy(&message->arena, client->ehlo, &message->client_ehlo) ||
        !arena_copy(&message->arena, client->service, &message->service) ||
        !arena_copy(&message->arena, client->tenant, &message->tenant) ||
        !tail_add_session(&message->arena, &message->tail, client->connected_ms,
                          bytes_range(session, session_len)))
        return false;
    return arena_copy(&message->arena, client->tls_cipher, &intake->client.tls_cipher) &&
           arena_copy(&message->arena, client->hostname, &intake->client.hostname);
}

struct verdict intake_out_of_memory(void)
{
    return intake_verdict(-ENOMEM);
}

struct verdict intake_open(struct intake_home *home, const struct smtp_mail *mail,
                           const struct intake_client *client, const struct intake_answer *answer,
                           struct intake **intake_out)
{
    struct intake *intake;

    int full = shard_why_full(home->shard);
    if (full < 0)
        return intake_verdict(full);
    intake = slab_alloc_head(home->intakes, sizeof(*intake));
    if (intake == NULL)
        return intake_verdict(-ENOMEM);
    home->count++;
    intake->home = home;
    intake->answer = *answer;
    intake->opened_ms = engine_now_ms(home->engine);
    buf_init(&intake->content, CONTENT_MAX);
    buf_init(&intake->fields, INTAKE_FIELDS_MAX);
    header_scan_init(&intake->scan, home->fields, intake->captured);
    intake->message = message_create();
    struct message *message = intake->message;
    if (message == NULL || !copy_client(intake, client) ||
        !arena_copy(&message->arena, mail->reverse_path.text, &message->reverse_path) ||
        !arena_copy(&message->arena, mail->envid, &message->envid) ||
        !message_ask_tls(message, mail->requiretls ? MAIL_TLS_REQUIRED : MAIL_TLS_ANY) ||
        !intake_sign_begin(intake)) {
        intake_free(intake);
        return intake_verdict(-ENOMEM);
    }
    message->ret = mail->ret;
    message->smtputf8 = mail->smtputf8;
    intake->is_utf8 = mail->reverse_path.is_utf8;
    intake_count_memory(intake);
    *intake_out = intake;
    return VERDICT_OK;
}

bool intake_set_tenant(struct intake *intake, struct bytes tenant)
{
    check(!intake->is_whole);
    bool fits = arena_copy(&intake->message->arena, tenant, &intake->message->tenant);
    intake_count_memory(intake);
    return fits;
}

struct bytes intake_tenant(const struct intake *intake)
{
    return intake->message->tenant;
}

bool intake_count_to(struct intake *intake, uint32_t account)
{
    struct message *message = intake->message;

    check(!intake->is_whole);
    return tail_add_account(&message->arena, &message->tail, account);
}

bool intake_add_tail(struct intake *intake, uint32_t tag, struct bytes value)
{
    struct message *message = intake->message;

    check(!intake->is_whole);
    bool fits = tail_add(&message->arena, &message->tail, tag, value);
    intake_count_memory(intake);
    return fits;
}

void *intake_grow(struct arena *arena, void *old, size_t count, size_t *capacity, size_t size,
                  size_t capacity_min)
{
    size_t wanted = *capacity == 0 ? capacity_min : *capacity * 2;
    void *array = old;

    if (count < *capacity)
        return old;
    array = arena_alloc(arena, wanted * size);
    if (array == NULL)
        return NULL;
    if (count > 0)
        memcpy(array, old, count * size);
    *capacity = wanted;
    return array;
}

struct verdict intake_add_recipient(struct intake *intake, const struct smtp_rcpt *rcpt)
{
    struct message *message = intake->message;
    struct arena *arena = &message->arena;
    const struct smtp_address *path = &rcpt->forward_path;
    struct recipient recipient = {.notify = (uint8_t)rcpt->notify};
    bool has_domain = path->domain.len > 0;

    check(!intake->has_ended);
    if (message->recipient_count == MESSAGE_RECIPIENTS_MAX)
        return verdict_refuse(452, "4.5.3", "Too many recipients", "recipients");
    /* "<postmaster>" is ours (RFC 5321 section 4.5.1): with our name it can be routed. */
    struct bytes domain = has_domain ? path->domain : intake->client.hostname;
    if (!smtp_domain_normalise(arena, domain, &recipient.domain))
        return verdict_refuse(553, "5.1.2", "That domain is no domain", "syntax");
    bool fits = has_domain ? arena_copy(arena, path->text, &recipient.address)
                           : arena_printf(arena, &recipient.address, "%.*s@%.*s",
                                          BYTES_ARG(path->text), BYTES_ARG(domain));
    if (!fits || !arena_copy(arena, rcpt->orcpt, &recipient.orcpt))
        return intake_verdict(-ENOMEM);
    struct recipient *recipients =
        intake_grow(arena, message->recipients, message->recipient_count,
                    &intake->recipient_capacity, sizeof(recipient), RECIPIENTS_MIN);
    if (recipients == NULL)
        return intake_verdict(-ENOMEM);
    message->recipients = recipients;
    message->recipients[message->recipient_count++] = recipient;
    intake->is_utf8 |= path->is_utf8;
    intake_count_memory(intake);
    return VERDICT_OK;
}

/* A recipient that nobody named: an account of ours, of which no DSN tells. */
static struct verdict add_copy(struct intake *intake, struct bytes address)
{
    size_t at = address.len;

    while (at > 0 && address.ptr[at - 1] != '@')
        at--;
    check(at > 1);
    struct smtp_rcpt rcpt = {
        .forward_path = {.text = address,
                         .local = bytes_slice(address, 0, at - 1),
                         .domain = bytes_slice(address, at, address.len)},
        .notify = SMTP_NOTIFY_NEVER,
    };
    return intake_add_recipient(intake, &rcpt);
}

struct verdict intake_add_sent(struct intake *intake, struct bytes address)
{
    struct message *message = intake->message;

    if (tail_find(message->tail, TAIL_SENT).ptr != NULL)
        return VERDICT_OK;
    struct verdict verdict = add_copy(intake, address);

    if (verdict.code == 0 &&
        !tail_add_sent(&message->arena, &message->tail, (uint32_t)message->recipient_count - 1))
        verdict = intake_verdict(-ENOMEM);
    intake_count_memory(intake);
    return verdict;
}

struct verdict intake_add_shown(struct intake *intake, struct bytes address, uint32_t of)
{
    struct message *message = intake->message;

    check(of < message->recipient_count);
    struct verdict verdict = add_copy(intake, address);

    if (verdict.code == 0 && !tail_add_shown(&message->arena, &message->tail,
                                             (uint32_t)message->recipient_count - 1, of))
        verdict = intake_verdict(-ENOMEM);
    intake_count_memory(intake);
    return verdict;
}

bool intake_has_shown(const struct intake *intake)
{
    return tail_find(intake->message->tail, TAIL_SHOWN).ptr != NULL;
}

struct bytes intake_reverse_path(const struct intake *intake)
{
    return intake->message->reverse_path;
}

struct bytes intake_recipient(const struct intake *intake)
{
    return intake_recipient_count(intake) == 1 ? intake->message->recipients[0].address
                                               : BYTES_NONE;
}

size_t intake_recipient_count(const struct intake *intake)
{
    const struct message *message = intake->message;
    size_t count = message->recipient_count;

    while (count > 0 && tail_is_copy(message->tail, (uint32_t)count - 1))
        count--;
    return count;
}

struct bytes intake_recipient_at(const struct intake *intake, size_t number)
{
    check(number < intake->message->recipient_count);
    return intake->message->recipients[number].address;
}

size_t intake_room(const struct intake *intake)
{
    size_t room = buf_room(&intake->content);

    if (intake->error != 0)
        return SIZE_MAX; /* to nowhere: the session reads to the end and then says why */
    return room > HELD_BACK_MAX ? room - HELD_BACK_MAX : 0;
}

/* The scan found what is refused: the rest goes nowhere. */
static bool has_failed(struct intake *intake)
{
    if (intake->error == 0 && intake->scan.missing_separator) {
        intake->error = INTAKE_HEADER;
        buf_free(&intake->content);
    }
    return intake->error != 0;
}

void intake_content(struct intake *intake, struct bytes run)
{
    check(!intake->has_ended);
    check(run.len <= intake_room(intake));
    if (intake->error != 0)
        return;
    size_t before = buf_len(&intake->content);
    bool fits = intake->scan.in_body ? buf_append(&intake->content, run)
                                     : header_scan_feed(&intake->scan, &run, &intake->content);
    check(fits);
    bool is_over = has_failed(intake);
    if (!is_over)
        intake_sign_content(intake, before);
    intake_count_memory(intake);
    if (is_over)
        return;
    if (buf_len(&intake->content) > CONTENT_CHUNK_MAX && !intake->is_writing)
        intake_write(intake);
}

void intake_content_end(struct intake *intake, bool has_8bit)
{
    check(!intake->has_ended);
    intake->has_ended = true;
    intake->has_8bit |= has_8bit;
    if (intake->error != 0)
        return;
    size_t before = buf_len(&intake->content);
    bool fits = header_scan_finish(&intake->scan, &intake->content);
    check(fits);
    if (!has_failed(intake))
        intake_sign_content(intake, before);
}

void intake_commit(struct intake *intake, unsigned received_max)
{
    check(intake->has_ended);
    check(!intake->is_whole);
    intake->is_whole = true;
    intake->message->body = intake->has_8bit ? SMTP_BODY_8BITMIME : SMTP_BODY_7BIT;
    if (header_scan_count(&intake->scan, INTAKE_RECEIVED) > received_max)
        intake->error = INTAKE_LOOP;
    if (!intake->is_writing)
        intake_finish(intake);
}

bool intake_header_is_complete(const struct intake *intake)
{
    return intake->scan.in_body || intake->has_ended;
}

uint32_t intake_field_count(const struct intake *intake, unsigned row)
{
    return header_scan_count(&intake->scan, row);
}

bool intake_field_value(const struct intake *intake, unsigned row, unsigned occurrence,
                        struct header_value *value_out)
{
    return header_scan_value(&intake->scan, row, occurrence, value_out);
}

int intake_add_field(struct intake *intake, struct bytes name, struct bytes value)
{
    check(!intake->is_whole);
    if (!prefix_field_is_valid(name, value, intake->message->smtputf8))
        return -EINVAL;
    if (name.len + value.len + 4 > buf_room(&intake->fields))
        return -ENOBUFS;
    bool fits = buf_append(&intake->fields, name) && buf_append(&intake->fields, BYTES(": ")) &&
                buf_append(&intake->fields, value) && buf_append(&intake->fields, BYTES("\r\n"));
    check(fits);
    intake->has_8bit |= bytes_has_8bit(value);
    intake_count_memory(intake);
    return 0;
}

bool intake_label(struct intake *intake, const struct intake_labels *labels)
{
    struct message *message = intake->message;
    struct arena *arena = &message->arena;

    check(!intake->is_whole);
    message->class = (enum mail_class)labels->class;
    bool fits = arena_copy(arena, labels->campaign, &message->campaign) &&
                arena_copy(arena, labels->tags, &message->tags) &&
                (labels->metadata.len == 0 ||
                 tail_add(arena, &message->tail, TAIL_METADATA, labels->metadata));
    intake_count_memory(intake);
    return fits;
}

void intake_claim_envelope(const struct intake *intake, struct claim *claim)
{
    const struct message *message = intake->message;

    claim_add_address(claim, message->reverse_path, true);
    for (size_t i = 0, count = intake_recipient_count(intake); i < count; i++)
        claim_add_address(claim, message->recipients[i].address, false);
}

bool intake_hold_claim(struct intake *intake, const struct claim *claim)
{
    struct message *message = intake->message;
    uint8_t encoded[CLAIM_LEN];

    check(!intake->is_whole);
    check(!intake->has_claim);
    intake->claim = *claim;
    intake->has_claim = true;
    claim_encode(claim, encoded);
    return tail_add(&message->arena, &message->tail, TAIL_CLAIM,
                    bytes_range(encoded, sizeof(encoded)));
}

bool intake_admit(struct intake *intake, const struct admission *admission, int64_t until_ms,
                  struct bytes rule)
{
    struct message *message = intake->message;

    check(!intake->is_whole);
    check(intake->admission.kind == ADMISSION_NONE);
    check(admission->kind == ADMISSION_LET || admission->kind == ADMISSION_WAITS);
    intake->admission = *admission;
    message->is_throttled = admission->kind == ADMISSION_WAITS;
    return !message->is_throttled ||
           tail_add_throttled(&message->arena, &message->tail, until_ms, rule);
}

void intake_let_go(struct intake **intake)
{
    struct intake *gone = *intake;

    *intake = NULL;
    gone->answer.context = NULL;
    if (!gone->is_writing && !gone->is_committing)
        intake_free(gone);
}

void intake_free(struct intake *intake)
{
    struct intake_home *home = intake->home;

    check(!intake->is_writing);
    check(!intake->is_committing);
    if (intake->has_claim)
        claims_drop(&intake->claim);
    if (intake->admission.kind != ADMISSION_NONE)
        admission_give_back(&intake->admission);
    buf_free(&intake->content);
    buf_free(&intake->fields);
    signing_free(&intake->signing);
    message_release(&intake->message);
    budget_add(-(int64_t)intake->counted);
    slab_release(home->intakes, &intake);
    home->count--;
    if (home->gone != NULL)
        home->gone(home);
}
