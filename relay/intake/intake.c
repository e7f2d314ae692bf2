/* intake.c - builds a message and hands it to the shard; the drawing is in intake.h. */
#include "intake/intake.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/log.h"

enum {
    HELD_BACK_MAX = HEADER_GROWTH_MAX + HEADER_FIELD_KEPT, /* by the scan, beyond its input */
    CONTENT_MAX = 2 * CONTENT_CHUNK_MAX + HELD_BACK_MAX,   /* of content waiting in memory */
    PREFIX_MAX = 4096,
    RECIPIENTS_MIN = 2, /* first size of the array; doubled */
    EXTENTS_MIN = 8,
};

/* What ends an intake beside a -errno of the shard. */
enum {
    INTAKE_LOOP = -1000,   /* more Received fields than received_max */
    INTAKE_HEADER = -1001, /* a line before the empty one is no header field */
};

struct intake {
    struct intake_home *home;
    struct intake_answer answer; /* context NULL: let go */
    struct message *message;
    struct intake_client client; /* in the message's arena */
    size_t recipient_capacity, extent_capacity;
    struct header_scan scan;
    struct buf content; /* neither written nor in the message yet */
    bool is_utf8;       /* an address is */
    bool has_ended;     /* all content is here */
    bool is_writing, is_committing;
    int error; /* of a write, or INTAKE_*: content is dropped from then on */
    int64_t opened_ms;
    size_t counted; /* bytes that the budget knows of */
    struct content_write write;
    struct commit commit;
};

static void write_content(struct intake *intake);
static void write_done(struct content_write *write, int result);
static void finish(struct intake *intake);
static void commit(struct intake *intake);
static void commit_done(struct commit *done, int result);
static void answer(struct intake *intake, int result, const char *id);
static struct verdict verdict_of(int result);
static bool build_prefix(struct intake *intake);
static void intake_free(struct intake *intake);

size_t intake_size(void)
{
    return sizeof(struct intake);
}

static size_t memory_of(const struct intake *intake)
{
    size_t of_message = intake->message == NULL ? 0 : message_memory(intake->message);

    return sizeof(*intake) + intake->content.capacity + of_message;
}

/* After whatever may have changed what it takes. */
static void count_memory(struct intake *intake)
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

    intake->client.is_esmtp = client->is_esmtp;
    intake->client.session = client->session;
    if (!arena_copy(&message->arena, client->ip, &message->client_ip) ||
        !arena_copy(&message->arena, client->ehlo, &message->client_ehlo) ||
        !arena_copy(&message->arena, client->service, &message->service))
        return false;
    return arena_copy(&message->arena, client->hostname, &intake->client.hostname);
}

struct verdict intake_out_of_memory(void)
{
    return verdict_of(-ENOMEM);
}

struct verdict intake_open(struct intake_home *home, const struct smtp_mail *mail,
                           const struct intake_client *client, const struct intake_answer *answer,
                           struct intake **intake_out)
{
    struct intake *intake;

    if (shard_is_full(home->shard))
        return verdict_of(-ENOSPC);
    intake = slab_alloc(home->intakes);
    if (intake == NULL)
        return verdict_of(-ENOMEM);
    home->count++;
    intake->home = home;
    intake->answer = *answer;
    intake->opened_ms = engine_now_ms(home->engine);
    buf_init(&intake->content, CONTENT_MAX);
    header_scan_init(&intake->scan, true);
    intake->message = message_create();
    struct message *message = intake->message;
    if (message == NULL || !copy_client(intake, client) ||
        !arena_copy(&message->arena, mail->reverse_path.text, &message->reverse_path) ||
        !arena_copy(&message->arena, mail->envid, &message->envid)) {
        intake_free(intake);
        return verdict_of(-ENOMEM);
    }
    message->ret = mail->ret;
    message->smtputf8 = mail->smtputf8;
    intake->is_utf8 = mail->reverse_path.is_utf8;
    count_memory(intake);
    *intake_out = intake;
    return VERDICT_OK;
}

/* An array in the arena that doubles; the old one is dead weight until the message goes. */
static void *grow(struct arena *arena, void *old, size_t count, size_t *capacity, size_t size,
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
        return verdict_of(-ENOMEM);
    struct recipient *recipients =
        grow(arena, message->recipients, message->recipient_count, &intake->recipient_capacity,
             sizeof(recipient), RECIPIENTS_MIN);
    if (recipients == NULL)
        return verdict_of(-ENOMEM);
    message->recipients = recipients;
    message->recipients[message->recipient_count++] = recipient;
    intake->is_utf8 |= path->is_utf8;
    count_memory(intake);
    return VERDICT_OK;
}

struct bytes intake_reverse_path(const struct intake *intake)
{
    return intake->message->reverse_path;
}

struct bytes intake_recipient(const struct intake *intake)
{
    const struct message *message = intake->message;

    return message->recipient_count == 1 ? message->recipients[0].address : BYTES_NONE;
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
    bool fits = intake->scan.in_body ? buf_append(&intake->content, run)
                                     : header_scan_feed(&intake->scan, &run, &intake->content);
    check(fits);
    bool is_over = has_failed(intake);
    count_memory(intake);
    if (is_over)
        return;
    if (buf_len(&intake->content) > CONTENT_CHUNK_MAX && !intake->is_writing)
        write_content(intake);
}

void intake_end(struct intake *intake, bool has_8bit, unsigned received_max)
{
    check(!intake->has_ended);
    intake->has_ended = true;
    intake->message->body = has_8bit ? SMTP_BODY_8BITMIME : SMTP_BODY_7BIT;
    if (intake->error == 0) {
        bool fits = header_scan_finish(&intake->scan, &intake->content);
        check(fits);
        (void)has_failed(intake);
    }
    if (intake->scan.received_count > received_max)
        intake->error = INTAKE_LOOP;
    if (!intake->is_writing)
        finish(intake);
}

void intake_let_go(struct intake **intake)
{
    struct intake *gone = *intake;

    *intake = NULL;
    gone->answer.context = NULL;
    if (!gone->is_writing && !gone->is_committing)
        intake_free(gone);
}

static void write_content(struct intake *intake)
{
    struct bytes content = buf_bytes(&intake->content);
    struct bytes chunk = bytes_slice(content, 0, CONTENT_CHUNK_MAX);

    check(!intake->is_writing);
    intake->is_writing = true;
    intake->write = (struct content_write){.message = intake->message, .done = write_done};
    list_node_init(&intake->write.node);
    shard_write_content(intake->home->shard, &intake->write, chunk);
    buf_consume(&intake->content, chunk.len); /* the shard has copied it */
}

static int keep_extent(struct intake *intake, const struct extent *extent)
{
    struct message *message = intake->message;
    struct content *content = &message->content;
    struct extent *extents = grow(&message->arena, content->extents, content->extent_count,
                                  &intake->extent_capacity, sizeof(*extent), EXTENTS_MIN);

    if (extents == NULL)
        return -ENOMEM;
    content->extents = extents;
    content->extents[content->extent_count++] = *extent;
    content->size += extent->len;
    return 0;
}

static void write_done(struct content_write *write, int result)
{
    struct intake *intake = container_of(write, struct intake, write);

    intake->is_writing = false;
    if (result == 0)
        result = keep_extent(intake, &write->extent);
    if (intake->error == 0 && result < 0)
        intake->error = result;
    if (intake->error != 0)
        buf_free(&intake->content);
    count_memory(intake);
    if (intake->answer.context == NULL) {
        intake_free(intake);
        return;
    }
    if (intake->has_ended) {
        finish(intake);
        return;
    }
    if (buf_len(&intake->content) > CONTENT_CHUNK_MAX)
        write_content(intake);
    intake->answer.resume(intake->answer.context);
}

/* All content is here and no write under way. */
static void finish(struct intake *intake)
{
    struct message *message = intake->message;
    size_t left = buf_len(&intake->content);

    if (intake->error != 0) {
        answer(intake, intake->error, NULL);
        return;
    }
    if (message->content.extent_count > 0 && left > 0) {
        write_content(intake);
        return;
    }
    if (message->content.extent_count == 0) {
        if (!arena_copy(&message->arena, buf_bytes(&intake->content), &message->content.memory)) {
            answer(intake, -ENOMEM, NULL);
            return;
        }
        message->content.size = left;
    }
    buf_free(&intake->content);
    count_memory(intake);
    commit(intake);
}

static void commit(struct intake *intake)
{
    struct message *message = intake->message;

    message->id = shard_next_id(intake->home->shard);
    message->has_ascii_header = !message->smtputf8 || !intake->scan.has_8bit;
    message->needs_smtputf8 = intake->is_utf8 || !message->has_ascii_header;
    if (!build_prefix(intake)) {
        answer(intake, -ENOMEM, NULL);
        return;
    }
    intake->is_committing = true;
    intake->commit = (struct commit){.message = message, .done = commit_done};
    list_node_init(&intake->commit.node);
    shard_commit(intake->home->shard, &intake->commit);
}

static void commit_done(struct commit *done, int result)
{
    struct intake *intake = container_of(done, struct intake, commit);
    const struct message *message = intake->message;
    char id[MESSAGE_ID_TEXT_MAX];

    intake->is_committing = false;
    message_id_format(message->id, id);
    if (result == 0) {
        const struct intake_home *home = intake->home;

        metric_inc(home->messages);
        metric_observe_us(HISTOGRAM_ACCEPT,
                          (engine_now_ms(home->engine) - intake->opened_ms) * 1000);
        metric_add(home->recipients, (int64_t)message->recipient_count);
        metric_add(home->bytes, (int64_t)message->content.size);
        log_info("id=%s session=%u.%" PRIu64 " from=%s to_count=%zu size=%llu client=%.*s ms=%lld",
                 id, engine_index(intake->home->engine), intake->client.session,
                 LOG_TEXT(message->reverse_path), message->recipient_count,
                 (unsigned long long)message->content.size, BYTES_ARG(message->client_ip),
                 (long long)(engine_now_ms(intake->home->engine) - intake->opened_ms));
    }
    if (intake->answer.context == NULL)
        intake_free(intake);
    else
        answer(intake, result, id);
}

static struct verdict verdict_of(int result)
{
    switch (result) {
    case 0:
        return VERDICT_OK;
    case INTAKE_LOOP: /* RFC 5321 section 6.3 */
        return verdict_refuse(554, "5.4.6", "Too many hops: this mail is going in circles",
                              "limits.received");
    case INTAKE_HEADER: /* RFC 5322 section 2.1 */
        return verdict_refuse(554, "5.6.0", "A line before the first empty line is no header field",
                              "header");
    case -ENOSPC:
        return verdict_refuse(452, "4.3.1", "The spool is full, try again later", "spool-full");
    case -ENOMEM:
        return verdict_refuse(452, "4.3.0", "Out of memory for mail, try again later",
                              "limits.memory");
    case -EMSGSIZE:
        return verdict_refuse(552, "5.3.4", "The message does not fit into the spool",
                              "segment_size");
    case -ESHUTDOWN:
        return verdict_refuse(421, "4.3.2", "Service is shutting down, closing", "shutdown");
    default:
        return verdict_refuse(451, "4.3.0", "The message could not be stored, try again later",
                              "spool-error");
    }
}

/* Who is answered lets go of it meanwhile. */
static void answer(struct intake *intake, int result, const char *id)
{
    check(intake->answer.context != NULL);
    intake->answer.done(intake->answer.context, verdict_of(result), id);
}

/* RFC 3848 and RFC 6531 section 4.3: what was spoken. */
static struct bytes with_of(const struct intake *intake)
{
    if (intake->message->smtputf8)
        return BYTES("UTF8SMTP");
    return intake->client.is_esmtp ? BYTES("ESMTP") : BYTES("SMTP");
}

/* Missing Message-ID and Date are added (RFC 6409 section 8.2, 8.3); a submission may lack them. */
static bool build_prefix(struct intake *intake)
{
    struct message *message = intake->message;
    const struct header_scan *scan = &intake->scan;
    int64_t wall_ms = engine_wall_ms(intake->home->engine);
    char id[MESSAGE_ID_TEXT_MAX];
    char date[CLOCK_TEXT_MAX];
    struct buf prefix;

    struct bytes recipient = intake_recipient(intake);

    message_id_format(message->id, id);
    buf_init(&prefix, PREFIX_MAX);
    struct received received = {
        .ehlo = message->client_ehlo,
        .peer = message->client_ip,
        .by = intake->client.hostname,
        .with = with_of(intake),
        .id = bytes_of(id),
        /* A UTF-8 address here would make an ASCII header need SMTPUTF8. */
        .for_path = bytes_has_8bit(recipient) ? BYTES_NONE : recipient,
        .wall_ms = wall_ms,
    };
    bool fits = received_format(&received, &prefix);
    if (scan->has_message_id) {
        fits =
            fits && arena_copy(&message->arena, bytes_range(scan->message_id, scan->message_id_len),
                               &message->header_message_id);
    } else {
        /* The id names node and shard: unique wherever it goes. */
        fits = fits && arena_printf(&message->arena, &message->header_message_id, "<%s@%.*s>", id,
                                    BYTES_ARG(intake->client.hostname));
        fits = fits &&
               buf_printf(&prefix, "Message-ID: %.*s\r\n", BYTES_ARG(message->header_message_id));
    }
    if (!scan->has_date) {
        clock_format_rfc5322(wall_ms, date);
        fits = fits && buf_printf(&prefix, "Date: %s\r\n", date);
    }
    fits = fits && arena_copy(&message->arena, buf_bytes(&prefix), &message->prefix);
    buf_free(&prefix);
    return fits;
}

static void intake_free(struct intake *intake)
{
    struct intake_home *home = intake->home;

    check(!intake->is_writing);
    check(!intake->is_committing);
    buf_free(&intake->content);
    message_release(&intake->message);
    budget_add(-(int64_t)intake->counted);
    slab_release(home->intakes, &intake);
    home->count--;
    if (home->gone != NULL)
        home->gone(home);
}
