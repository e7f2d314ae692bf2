/* session_command.c - the verbs of the sink. */
#include <string.h>

#include "bench/sink/receiver.h"
#include "bench/sink/session.h"

enum { VERB_LEN = 4 };

static struct sink *sink_of(const struct session *session)
{
    return session->receiver->sink;
}

static void refuse_syntax(struct session *session, struct bytes reply)
{
    count_add(&session->receiver->counts.syntax, 1);
    session_reply(session, reply);
}

static uint64_t next_key(struct session *session)
{
    return rules_mix(session->number, ++session->steps);
}

/* Takes "<path>" off; quoted local parts may hold a '>'. */
static bool take_path(struct bytes *line, struct bytes *path_out)
{
    bool is_quoted = false;

    if (!bytes_take_nocase(line, BYTES("<")))
        return false;
    for (size_t i = 0; i < line->len; i++) {
        uint8_t c = line->ptr[i];

        if (is_quoted && c == '\\') {
            i++;
        } else if (c == '"') {
            is_quoted = !is_quoted;
        } else if (c == '>' && !is_quoted) {
            *path_out = bytes_slice(*line, 0, i);
            *line = bytes_slice(*line, i + 1, line->len);
            return true;
        }
    }
    return false;
}

/* Extensions that were not offered must not be used. */
static bool knows_parameter(const struct sink_settings *settings, struct bytes keyword)
{
    const struct {
        struct bytes keyword;
        bool is_lacking;
    } known[] = {
        {BYTES("SIZE"), settings->lacks_size},         {BYTES("BODY"), settings->lacks_8bitmime},
        {BYTES("SMTPUTF8"), settings->lacks_smtputf8}, {BYTES("RET"), settings->lacks_dsn},
        {BYTES("ENVID"), settings->lacks_dsn},         {BYTES("NOTIFY"), settings->lacks_dsn},
        {BYTES("ORCPT"), settings->lacks_dsn},
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (bytes_equal_nocase(keyword, known[i].keyword))
            return !known[i].is_lacking;
    }
    return false;
}

/* The code that refuses the parameters, or 0. */
static unsigned check_parameters(const struct sink_settings *settings, struct bytes parameters)
{
    while (parameters.len > 0) {
        struct bytes word = parameters;
        struct bytes keyword;
        uint64_t size;

        if (!bytes_take_nocase(&parameters, BYTES(" ")))
            return 501;
        if (bytes_take_until(&parameters, ' ', &word)) {
            /* Give the space back: the next word begins with it. */
            parameters = (struct bytes){parameters.ptr - 1, parameters.len + 1};
        } else {
            word = parameters;
            parameters = BYTES_NONE;
        }
        if (!bytes_take_until(&word, '=', &keyword)) {
            keyword = word;
            word = BYTES_NONE;
        }
        if (!knows_parameter(settings, keyword))
            return 555;
        if (bytes_equal_nocase(keyword, BYTES("SIZE")) && bytes_to_u64(word, &size) &&
            size > settings->size_max)
            return 552;
    }
    return 0;
}

static bool refuse_parameters(struct session *session, struct bytes parameters)
{
    switch (check_parameters(&sink_of(session)->settings, parameters)) {
    case 0:
        return false;
    case 552:
        session_reply(session, BYTES("552 5.3.4 message too big\r\n"));
        return true;
    case 555:
        refuse_syntax(session, BYTES("555 5.5.4 parameter not offered\r\n"));
        return true;
    default:
        refuse_syntax(session, BYTES("501 5.5.4 syntax\r\n"));
        return true;
    }
}

static bool on_mail(struct session *session, struct bytes line)
{
    const struct rules *rules = &sink_of(session)->settings.rules;
    uint64_t limit = sink_of(session)->settings.close_after;
    struct bytes path;

    if (session_delay(session, STAGE_MAIL))
        return false;
    if (limit != 0 && session->messages >= limit) {
        session_refuse(session, STAGE_MAIL, 421);
        return true;
    }
    if (!bytes_take_nocase(&line, BYTES("MAIL FROM:")) || !take_path(&line, &path)) {
        refuse_syntax(session, BYTES("501 5.5.4 MAIL FROM:<path>\r\n"));
        return true;
    }
    if (!session->has_helo || session->has_mail) {
        refuse_syntax(session, BYTES("503 5.5.1 not now\r\n"));
        return true;
    }
    if (refuse_parameters(session, line))
        return true;
    if (session_refuse(session, STAGE_MAIL, rules_draw(rules, STAGE_MAIL, next_key(session))))
        return true;
    session->has_mail = true;
    session_reply(session, BYTES("250 2.1.0 ok\r\n"));
    return true;
}

static bool refuse_recipient(struct session *session, struct bytes path)
{
    struct sink *sink = sink_of(session);
    const struct rules *rules = &sink->settings.rules;

    if (!rules_need_attempts(rules))
        return false;
    uint64_t hash = bytes_hash(path);
    uint32_t attempt = attempts_count(&sink->attempts, hash);
    uint64_t key = rules_mix(hash, attempt);
    unsigned code = rules_draw(rules, STAGE_RCPT, key);

    if (rules->refuses_first_attempt && attempt == 1)
        code = 451;
    if (session_refuse(session, STAGE_RCPT, code))
        return true;
    session->key ^= key;
    return false;
}

static bool on_rcpt(struct session *session, struct bytes line)
{
    struct bytes path;

    if (session_delay(session, STAGE_RCPT))
        return false;
    if (!bytes_take_nocase(&line, BYTES("RCPT TO:")) || !take_path(&line, &path)) {
        refuse_syntax(session, BYTES("501 5.5.4 RCPT TO:<path>\r\n"));
        return true;
    }
    if (!session->has_mail) {
        session_reply(session, BYTES("503 5.5.1 no transaction\r\n"));
        return true;
    }
    if (refuse_parameters(session, line) || refuse_recipient(session, path))
        return true;
    if (buf_room(&session->recipients) <= path.len) {
        session_reply(session, BYTES("452 4.5.3 too many recipients\r\n"));
        return true;
    }
    check(buf_append(&session->recipients, path));
    check(buf_append_byte(&session->recipients, '\n'));
    session->recipient_count++;
    session_reply(session, BYTES("250 2.1.5 ok\r\n"));
    return true;
}

static bool on_data(struct session *session, struct bytes line)
{
    const struct rules *rules = &sink_of(session)->settings.rules;

    (void)line;
    if (session_delay(session, STAGE_DATA))
        return false;
    if (!session->has_mail || session->recipient_count == 0) {
        session_reply(session, BYTES("503 5.5.1 no recipients\r\n"));
        return true;
    }
    /* As with most servers the transaction stays open: who goes on without RSET gets 503. */
    if (session_refuse(session, STAGE_DATA, rules_draw(rules, STAGE_DATA, session->key)))
        return true;
    session->state = SESSION_CONTENT;
    session->matched = 2; /* the CRLF of the command: a dot may follow at once */
    session_reply(session, BYTES("354 go on\r\n"));
    return true;
}

/* The chunk is read whether anybody wants it or not (RFC 3030 section 2). */
static bool on_bdat(struct session *session, struct bytes line)
{
    uint64_t size;

    if (sink_of(session)->settings.lacks_chunking) {
        refuse_syntax(session, BYTES("502 5.5.1 not offered\r\n"));
        session_end(session);
        return true;
    }
    if (!bytes_take_nocase(&line, BYTES("BDAT ")) || !bytes_take_u64(&line, &size) ||
        (line.len > 0 && !bytes_equal_nocase(line, BYTES(" LAST")))) {
        refuse_syntax(session, BYTES("501 5.5.4 BDAT size [LAST]\r\n"));
        session_end(session);
        return true;
    }
    session->uses_chunks = true;
    session->is_chunk_last = line.len > 0;
    session->chunk_left = size;
    session->state = SESSION_CHUNK;
    return true;
}

static bool on_helo(struct session *session, struct bytes line)
{
    struct sink *sink = sink_of(session);

    if (session_delay(session, STAGE_HELO))
        return false;
    session_reset(session);
    if (session_refuse(session, STAGE_HELO,
                       rules_draw(&sink->settings.rules, STAGE_HELO, next_key(session))))
        return true;
    session->has_helo = true;
    if (byte_lower(line.ptr[0]) == 'e')
        session_reply(session, bytes_of(sink->ehlo_reply));
    else
        session_reply(session, BYTES("250 sink.bench.example\r\n"));
    return true;
}

static bool on_rset(struct session *session, struct bytes line)
{
    (void)line;
    session_reset(session);
    session_reply(session, BYTES("250 2.0.0 ok\r\n"));
    return true;
}

static bool on_noop(struct session *session, struct bytes line)
{
    (void)line;
    session_reply(session, BYTES("250 2.0.0 ok\r\n"));
    return true;
}

static bool on_quit(struct session *session, struct bytes line)
{
    (void)line;
    session_reset(session);
    session_reply(session, BYTES("221 2.0.0 bye\r\n"));
    session_end(session);
    return true;
}

static const struct {
    char name[VERB_LEN + 1];
    bool (*run)(struct session *session, struct bytes line);
} verbs[] = {
    {"RCPT", on_rcpt}, {"MAIL", on_mail}, {"DATA", on_data}, {"BDAT", on_bdat}, {"EHLO", on_helo},
    {"HELO", on_helo}, {"RSET", on_rset}, {"NOOP", on_noop}, {"QUIT", on_quit},
};

bool session_command(struct session *session, struct bytes line)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (bytes_starts_nocase(line, (struct bytes){(const uint8_t *)verbs[i].name, VERB_LEN}))
            return verbs[i].run(session, line);
    }
    refuse_syntax(session, BYTES("500 5.5.2 what?\r\n"));
    return true;
}
