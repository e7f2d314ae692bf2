/* intake_commit.c - writes large content to the shard, then commits the message and answers. */
#include "intake/intake_private.h"

#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "event/event_privacy.h"
#include "intake/prefix.h"

enum { EXTENTS_MIN = 8 };

static void write_done(struct content_write *write, int result);
static void start_commit(struct intake *intake);
static void commit_done(struct commit *done, int result);
static void answer(struct intake *intake, int result, const char *id);

void intake_write(struct intake *intake)
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
    struct extent *extents = intake_grow(&message->arena, content->extents, content->extent_count,
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
    intake_count_memory(intake);
    if (intake->answer.context == NULL) {
        intake_free(intake);
        return;
    }
    if (intake->is_whole) {
        intake_finish(intake);
        return;
    }
    if (buf_len(&intake->content) > CONTENT_CHUNK_MAX)
        intake_write(intake);
    if (!intake->has_ended)
        intake->answer.resume(intake->answer.context);
}

void intake_finish(struct intake *intake)
{
    struct message *message = intake->message;
    size_t left = buf_len(&intake->content);

    if (intake->error != 0) {
        answer(intake, intake->error, NULL);
        return;
    }
    if (message->content.extent_count > 0 && left > 0) {
        intake_write(intake);
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
    intake_count_memory(intake);
    start_commit(intake);
}

/* RFC 3848 and RFC 6531 section 4.3: what was spoken. There is no word for SMTP under TLS. */
static struct bytes with_of(const struct intake *intake)
{
    static const struct bytes words[2][4] = {
        {BYTES("ESMTP"), BYTES("ESMTPS"), BYTES("ESMTPA"), BYTES("ESMTPSA")},
        {BYTES("UTF8SMTP"), BYTES("UTF8SMTPS"), BYTES("UTF8SMTPA"), BYTES("UTF8SMTPSA")},
    };
    const struct intake_client *client = &intake->client;
    size_t how = (client->tls_cipher.len > 0 ? 1 : 0) + (client->is_authenticated ? 2 : 0);

    if (!intake->message->smtputf8 && !client->is_esmtp)
        return BYTES("SMTP");
    return words[intake->message->smtputf8][how];
}

static bool build_prefix(struct intake *intake)
{
    struct message *message = intake->message;
    struct bytes recipient = intake_recipient(intake);
    struct header_value id = {0};
    bool has_id = intake_field_value(intake, INTAKE_MESSAGE_ID, 0, &id);
    struct prefix_facts facts = {
        .fields = buf_bytes(&intake->fields),
        .hostname = intake->client.hostname,
        .with = with_of(intake),
        .tls = intake->client.tls_cipher,
        /* A UTF-8 address here would make an ASCII header need SMTPUTF8. */
        .for_path = bytes_has_8bit(recipient) ? BYTES_NONE : recipient,
        .wall_ms = engine_wall_ms(intake->home->engine),
        .has_date = intake->client.is_finished || intake_field_count(intake, INTAKE_DATE) > 0,
        .has_message_id = intake->client.is_finished || has_id,
        .header_message_id = id.text,
    };

    return prefix_build(message, &facts);
}

static bool has_8bit_header(const struct intake *intake)
{
    return intake->scan.has_8bit || bytes_has_8bit(buf_bytes(&intake->fields));
}

/* RFC 8689 section 4.1: REQUIRETLS goes before the field. Section 3: it stands once, and says
 * "No"; what else is there in its name asks for nothing. */
static bool ask_tls(struct intake *intake)
{
    struct header_value value;

    if (intake->message->tls != MAIL_TLS_ANY ||
        intake_field_count(intake, INTAKE_TLS_REQUIRED) != 1 ||
        !intake_field_value(intake, INTAKE_TLS_REQUIRED, 0, &value) || value.is_cut ||
        !bytes_equal_nocase(value.text, BYTES("No")))
        return true;
    return message_ask_tls(intake->message, MAIL_TLS_OPTIONAL);
}

static void start_commit(struct intake *intake)
{
    struct message *message = intake->message;

    message->id = shard_next_id(intake->home->shard);
    if (!ask_tls(intake) || !build_prefix(intake)) {
        answer(intake, -ENOMEM, NULL);
        return;
    }
    message->has_ascii_header = !message->smtputf8 || !has_8bit_header(intake);
    message->needs_smtputf8 = intake->is_utf8 || !message->has_ascii_header;
    intake_sign(intake);
}

void intake_give(struct intake *intake)
{
    struct message *message = intake->message;

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
        size_t count = intake_recipient_count(intake);
        char shown[PRIVACY_ADDRESS_MAX];

        intake->admission.kind = ADMISSION_NONE; /* it is used */
        if (intake->has_claim)
            claims_keep(&intake->claim, message->id.value,
                        allowance_clock_s(engine_now_ms(home->engine)));
        intake->has_claim = false;
        metric_inc(home->messages);
        metric_observe_us(HISTOGRAM_ACCEPT,
                          (engine_now_ms(home->engine) - intake->opened_ms) * 1000);
        metric_add(home->recipients, (int64_t)count);
        metric_add(home->bytes, (int64_t)message->content.size);
        log_info("id=%s session=%u.%" PRIu64 " from=%s to_count=%zu size=%llu client=%.*s ms=%lld",
                 id, engine_index(intake->home->engine), intake->client.session,
                 LOG_TEXT(privacy_address(message->tenant, message->reverse_path, shown)), count,
                 (unsigned long long)message->content.size, BYTES_ARG(message->client_ip),
                 (long long)(engine_now_ms(intake->home->engine) - intake->opened_ms));
    }
    if (intake->answer.context == NULL)
        intake_free(intake);
    else
        answer(intake, result, id);
}

struct verdict intake_verdict(int result)
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
    case -EDQUOT:
        return verdict_refuse(452, "4.3.1",
                              "Receivers of events are too far behind, try again later",
                              "events.sink_budget");
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
    intake->answer.done(intake->answer.context, intake_verdict(result), id);
}

void intake_refuse(struct intake *intake, struct verdict verdict)
{
    check(intake->answer.context != NULL);
    intake->answer.done(intake->answer.context, verdict, NULL);
}
