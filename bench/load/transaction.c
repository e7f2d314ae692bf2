/* transaction.c - what a client says and what it makes of the replies. */
#include <string.h>

#include "base/clock.h"
#include "bench/load/client.h"
#include "bench/load/load.h"

/* --- names ---------------------------------------------------------------------------------- */

struct name {
    uint8_t text[CLIENT_NAME_MAX];
    size_t len;
};

static struct bytes name_bytes(const struct name *name)
{
    return (struct bytes){name->text, name->len};
}

static void name_add(struct name *name, struct bytes b)
{
    check(b.len <= sizeof(name->text) - name->len);
    memcpy(name->text + name->len, b.ptr, b.len);
    name->len += b.len;
}

static void name_add_u64(struct name *name, uint64_t value)
{
    uint8_t space[TOOL_DIGITS_MAX];

    name_add(name, tool_digits(value, space));
}

static void make_id(const struct client *client, struct name *name)
{
    name->len = 0;
    name_add(name, bytes_of(client->load->settings.run_name));
    name_add(name, BYTES("-"));
    name_add_u64(name, client->number);
}

static void make_recipient(const struct client *client, uint64_t k, struct name *name)
{
    const struct load_settings *settings = &client->load->settings;

    uint64_t number = client->number * settings->recipients + k;

    if (settings->users > 0) {
        name->len = 0;
        name_add(name, BYTES("u"));
        name_add_u64(name, number % settings->users);
    } else {
        make_id(client, name);
        name_add(name, BYTES("-"));
        name_add_u64(name, k);
    }
    name_add(name, BYTES("@d"));
    if (settings->mix.count == 0) {
        name_add_u64(name, number % settings->domains);
        name_add(name, bytes_of(settings->domain_suffix));
        return;
    }
    uint64_t domain;
    const struct mix_group *group = mix_draw(&settings->mix, number, &domain);

    name_add_u64(name, domain);
    name_add(name, group->suffix);
}

static void make_sender(const struct client *client, struct name *name)
{
    name->len = 0;
    name_add(name, BYTES("s"));
    name_add_u64(name, client->number % client->load->settings.senders);
    name_add(name, BYTES("@senders.bench.example"));
}

static void tell_recipient(struct client *client, uint64_t k, struct bytes what)
{
    struct name id;
    struct name recipient;

    make_id(client, &id);
    make_recipient(client, k, &recipient);
    const struct bytes parts[] = {what, BYTES(" "), name_bytes(&id), BYTES(" "),
                                  name_bytes(&recipient)};

    ledger_line(&client->load->ledger, parts, ARRAY_LEN(parts));
}

void client_tell_unknown(struct client *client)
{
    for (uint64_t k = 0; k < client->load->settings.recipients; k++)
        tell_recipient(client, k, BYTES("unknown"));
}

/* --- commands ------------------------------------------------------------------------------- */

static void append(struct client *client, struct bytes b)
{
    check(buf_append(&client->out, b));
}

static void append_path(struct client *client, struct bytes verb, const struct name *address)
{
    append(client, verb);
    append(client, name_bytes(address));
    append(client, BYTES(">\r\n"));
}

static void append_mail(struct client *client)
{
    struct name sender;

    make_sender(client, &sender);
    append_path(client, BYTES("MAIL FROM:<"), &sender);
}

static void append_recipient(struct client *client, uint64_t k)
{
    struct name recipient;

    make_recipient(client, k, &recipient);
    append_path(client, BYTES("RCPT TO:<"), &recipient);
}

static bool uses_bdat(const struct client *client)
{
    return client->load->settings.bdat && client->has_chunking;
}

static bool uses_pipelining(const struct client *client)
{
    return client->load->settings.pipelining && client->has_pipelining;
}

/* BDAT's line says how long the content is, which is known only once the header is built. */
static void append_content(struct client *client)
{
    struct load *load = client->load;
    struct name id;
    struct name sender;
    struct name recipient;
    struct bytes body;
    struct bytes end = uses_bdat(client) ? BYTES("\r\n") : BYTES("\r\n.\r\n");

    make_id(client, &id);
    make_sender(client, &sender);
    make_recipient(client, 0, &recipient);
    const struct content_names names = {name_bytes(&id), name_bytes(&sender),
                                        name_bytes(&recipient), client->number};

    if (uses_bdat(client)) {
        struct buf head;

        buf_init(&head, 2048);
        check(content_build(&load->content, &names, &head, &body));
        check(buf_printf(&client->out, "BDAT %zu LAST\r\n", buf_len(&head) + body.len + end.len));
        append(client, buf_bytes(&head));
        buf_free(&head);
    } else {
        check(content_build(&load->content, &names, &client->out, &body));
    }
    client->is_content_sent = true;
    if (body.len <= CLIENT_COPY_MAX) {
        append(client, body);
        append(client, end);
    } else {
        client->big[0] = body;
        client->big[1] = end;
    }
}

/* DATA, or with BDAT all there is. */
static void append_data(struct client *client)
{
    client->data_us = clock_monotonic_us();
    if (uses_bdat(client))
        append_content(client);
    else
        append(client, BYTES("DATA\r\n"));
}

static void send_message(struct client *client)
{
    const struct load_settings *settings = &client->load->settings;

    client->state = CLIENT_MAIL;
    client->alive_ms = engine_now_ms(client->load->engine);
    client->is_content_sent = false;
    client->recipient_next = 0;
    client->recipients_taken = 0;
    append_mail(client);
    if (uses_pipelining(client)) {
        for (uint64_t k = 0; k < settings->recipients; k++)
            append_recipient(client, k);
        append_data(client);
    }
    client_send(client);
}

void client_begin(struct client *client, uint64_t number, int64_t due_us)
{
    check(!client->has_message);
    client->has_message = true;
    client->number = number;
    client->due_us = due_us;
    send_message(client);
}

void client_quit(struct client *client)
{
    client->state = CLIENT_QUIT;
    client->has_ended = true;
    append(client, BYTES("QUIT\r\n"));
    client_send(client);
}

/* --- replies -------------------------------------------------------------------------------- */

static void next_message(struct client *client)
{
    struct load *load = client->load;
    uint64_t limit = load->settings.per_connection;

    client->state = CLIENT_IDLE;
    if (client->has_message)
        send_message(client);
    else if (limit != 0 && client->on_connection >= limit)
        client_quit(client);
    else
        load_ready(load, client);
}

static void tell(struct client *client, uint16_t code)
{
    for (uint64_t k = 0; k < client->load->settings.recipients; k++) {
        bool has_own = client->mail_code / 100 == 2 && k < client->recipient_next &&
                       client->recipient_codes[k] / 100 != 2;
        uint8_t space[TOOL_DIGITS_MAX];

        tell_recipient(client, k, tool_digits(has_own ? client->recipient_codes[k] : code, space));
    }
}

/* A refused DATA or BDAT leaves the transaction as it was (RFC 3030 section 3 asks for RSET). */
static bool is_transaction_open(const struct client *client, enum stage stage, uint16_t code)
{
    return stage == STAGE_DATA || (stage == STAGE_DOT && code / 100 != 2 && uses_bdat(client));
}

/* The server's last word on a message: the reply `code` at `stage`. */
static void finish(struct client *client, enum stage stage, uint16_t code)
{
    struct load *load = client->load;
    struct load_counts *counts = &load->counts;
    int64_t now_us = clock_monotonic_us();

    load->end_us = now_us;
    load->end_wall_us = clock_wall_us();
    client->has_message = false;
    client->on_connection++;
    client->backoff_ms = CLIENT_BACKOFF_MS_MIN;
    load_progress(load);
    if (stage == STAGE_DOT && code / 100 == 2 && client->recipients_taken > 0) {
        counts->accepted++;
        counts->accepted_recipients += client->recipients_taken;
        histogram_record(&load->latency, now_us - client->data_us);
        if (load->settings.rate != 0)
            histogram_record(&load->from_due, now_us - client->due_us);
    } else {
        counts->rejected++;
        /* With all recipients refused, what is said to the rest of the transaction adds nothing. */
        if (client->mail_code / 100 != 2)
            counts->codes.counts[STAGE_MAIL][client->mail_code]++;
        else if (client->recipients_taken > 0)
            counts->codes.counts[stage][code]++;
    }
    if (load->ledger.fd >= 0)
        tell(client, client->mail_code / 100 == 2 ? code : client->mail_code);
    if (is_transaction_open(client, stage, code)) {
        client->state = CLIENT_RSET;
        append(client, BYTES("RSET\r\n"));
        client_send(client);
        return;
    }
    next_message(client);
}

static void on_greeting(struct client *client, uint16_t code)
{
    if (code != 220) {
        client->load->counts.codes.counts[STAGE_CONNECT][code]++;
        client_lost(client);
        return;
    }
    client->state = CLIENT_EHLO;
    client->has_pipelining = false;
    client->has_chunking = false;
    append(client, BYTES("EHLO load.bench.example\r\n"));
    client_send(client);
}

static void on_ehlo_reply(struct client *client, uint16_t code)
{
    if (code != 250) {
        client->load->counts.codes.counts[STAGE_HELO][code]++;
        client_lost(client);
        return;
    }
    next_message(client);
}

static void on_mail_reply(struct client *client, uint16_t code)
{
    client->mail_code = code;
    if (!uses_pipelining(client)) {
        if (code / 100 != 2) {
            finish(client, STAGE_MAIL, code);
            return;
        }
        append_recipient(client, 0);
        client_send(client);
    }
    client->state = CLIENT_RCPT;
}

static void on_rcpt_reply(struct client *client, uint16_t code)
{
    struct load *load = client->load;
    bool is_taken = code / 100 == 2;

    client->recipient_codes[client->recipient_next++] = code;
    client->recipients_taken += is_taken;
    if (!is_taken && client->mail_code / 100 == 2) {
        load->counts.rejected_recipients++;
        load->counts.codes.counts[STAGE_RCPT][code]++;
    }
    bool is_last = client->recipient_next == load->settings.recipients;

    if (is_last)
        client->state = uses_bdat(client) ? CLIENT_DOT : CLIENT_DATA;
    if (uses_pipelining(client))
        return;
    if (is_last)
        append_data(client);
    else
        append_recipient(client, client->recipient_next);
    client_send(client);
}

static void on_data_reply(struct client *client, uint16_t code)
{
    if (code != 354) {
        finish(client, STAGE_DATA, code);
        return;
    }
    client->state = CLIENT_DOT;
    /* Waiting for content although there is nobody to get it: RFC 2920 section 3.1. */
    if (client->recipients_taken == 0)
        append(client, BYTES(".\r\n"));
    else
        append_content(client);
    client_send(client);
}

static void on_dot_reply(struct client *client, uint16_t code)
{
    finish(client, STAGE_DOT, code);
}

static void on_rset_reply(struct client *client, uint16_t code)
{
    (void)code;
    next_message(client);
}

static void on_quit_reply(struct client *client, uint16_t code)
{
    (void)code;
    client_close(client);
}

static void (*const on_reply[])(struct client *client, uint16_t code) = {
    [CLIENT_GREETING] = on_greeting, [CLIENT_EHLO] = on_ehlo_reply, [CLIENT_MAIL] = on_mail_reply,
    [CLIENT_RCPT] = on_rcpt_reply,   [CLIENT_DATA] = on_data_reply, [CLIENT_DOT] = on_dot_reply,
    [CLIENT_RSET] = on_rset_reply,   [CLIENT_QUIT] = on_quit_reply,
};

/* A line without its LF. False: it is no reply where one was due. */
bool client_take_line(struct client *client, struct bytes line)
{
    uint64_t code;

    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (line.len < 3 || !bytes_to_u64(bytes_slice(line, 0, 3), &code) || code < 200 || code > 599)
        return false;
    bool is_last = line.len == 3 || line.ptr[3] != '-';

    if (client->state == CLIENT_EHLO) {
        struct bytes keyword = bytes_slice(line, 4, line.len);

        client->has_pipelining |= bytes_equal_nocase(keyword, BYTES("PIPELINING"));
        client->has_chunking |= bytes_equal_nocase(keyword, BYTES("CHUNKING"));
    }
    if (!is_last)
        return true;
    client->alive_ms = engine_now_ms(client->load->engine);
    if (code == 421) {
        client->load->counts.codes.counts[STAGE_CONNECT][code]++;
        client_lost(client);
        return true;
    }
    if (on_reply[client->state] == NULL) /* IDLE: nothing was asked */
        return false;
    on_reply[client->state](client, (uint16_t)code);
    return true;
}
