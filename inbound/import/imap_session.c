/* imap_session.c - greeting, STARTTLS, login, commands. */
#include "inbound/import/imap_session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"

enum {
    ARENA_MAX = 1 << 20,
    COMMAND_MAX = 64 << 10,
    UNTAGGED_BYTES_MAX = 512 << 20, /* of one command, content aside: a server that never ends */
};

int imap_session_fail(struct imap_session *session, const char *what, const char *why)
{
    snprintf(session->stream.why, IMPORT_WHY_MAX, "%.100s: %.140s", what, why);
    return IMPORT_FAILED;
}

/* The next response is in session->reader.reply. */
static int next_reply(struct imap_session *session, struct imap_reply *reply)
{
    int result;

    while ((result = imap_reader_feed(&session->reader, &session->input)) == 0)
        if (!imap_stream_receive(&session->stream, &session->input))
            return IMPORT_FAILED;
    if (result == -EMSGSIZE)
        return imap_session_fail(session, "the server", "a response or a literal is too large");
    if (result == -EPROTO)
        return imap_session_fail(session, "the server", "a response makes no sense");
    if (result < 0)
        return IMPORT_STOPPED; /* who takes content ended it */
    arena_clear(&session->arena);
    if (!imap_reply_read(buf_bytes(&session->reader.reply), reply))
        return imap_session_fail(session, "the server", "a response makes no sense");
    return 0;
}

static bool is_word(const struct imap_reply *reply, const char *word)
{
    return bytes_equal_nocase(reply->word, bytes_of(word));
}

/* Until the tagged response. `continued`: sent where the server asks for more; empty: none. */
static int await(struct imap_session *session, struct bytes continued,
                 int (*untagged)(void *context, const struct imap_reply *reply))
{
    uint64_t total = 0;
    struct imap_reply reply;
    char tag[16];

    snprintf(tag, sizeof(tag), "i%u", session->tags);
    for (;;) {
        int result = next_reply(session, &reply);

        if (result != 0)
            return result;
        total += buf_len(&session->reader.reply);
        if (total > UNTAGGED_BYTES_MAX)
            return imap_session_fail(session, "the server", "its answer does not end");
        if (reply.kind == IMAP_REPLY_CONTINUE) {
            if (continued.len == 0)
                return imap_session_fail(session, "the server", "it asks for what is not there");
            if (!imap_stream_send(&session->stream, continued))
                return IMPORT_FAILED;
            continued = BYTES_NONE;
            continue;
        }
        if (reply.kind == IMAP_REPLY_UNTAGGED) {
            result = untagged == NULL ? 0 : untagged(session->context, &reply);
            if (result != 0)
                return result;
            continue;
        }
        if (!bytes_equal(reply.tag, bytes_of(tag)))
            return imap_session_fail(session, "the server", "it answers another command");
        if (is_word(&reply, "OK"))
            return 0;
        snprintf(session->refusal, sizeof(session->refusal), "the server says %.*s %.*s",
                 (int)MIN(reply.word.len, (size_t)16), (const char *)reply.word.ptr,
                 (int)MIN(reply.rest.len, (size_t)200), (const char *)reply.rest.ptr);
        return IMAP_REFUSED;
    }
}

static int send_command(struct imap_session *session, struct bytes command)
{
    struct buf line;

    buf_init(&line, COMMAND_MAX);
    session->tags++;
    bool fits = buf_printf(&line, "i%u ", session->tags) && buf_append(&line, command) &&
                buf_append(&line, BYTES("\r\n"));
    int result = !fits ? imap_session_fail(session, "a command", "it is too long")
                 : imap_stream_send(&session->stream, buf_bytes(&line)) ? 0
                                                                        : IMPORT_FAILED;

    if (buf_len(&line) > 0)
        explicit_bzero(line.ptr, line.end);
    buf_free(&line);
    return result;
}

int imap_session_ask(struct imap_session *session, struct bytes command,
                     int (*untagged)(void *context, const struct imap_reply *reply))
{
    int result = send_command(session, command);

    return result != 0 ? result : await(session, BYTES_NONE, untagged);
}

bool imap_session_quote(struct buf *out, struct bytes name)
{
    bool fits = buf_append_byte(out, '"');

    for (size_t i = 0; i < name.len && fits; i++) {
        uint8_t c = name.ptr[i];

        if (c == '\r' || c == '\n' || c == 0)
            return false;
        if (c == '"' || c == '\\')
            fits = buf_append_byte(out, '\\');
        fits = fits && buf_append_byte(out, c);
    }
    return fits && buf_append_byte(out, '"');
}

/* --- logging in ------------------------------------------------------------------------------- */

static void take_capabilities(struct imap_session *session, struct bytes rest)
{
    session->has_start_tls = imap_reply_has(rest, "STARTTLS");
    session->has_auth_plain = imap_reply_has(rest, "AUTH=PLAIN");
    session->has_initial_response = imap_reply_has(rest, "SASL-IR");
    session->is_login_disabled = imap_reply_has(rest, "LOGINDISABLED");
    session->has_namespace = imap_reply_has(rest, "NAMESPACE");
}

static int on_capability(void *context, const struct imap_reply *reply)
{
    /* The context is whoever opened the session; capabilities come before it is used. */
    struct imap_session *session = context;

    if (is_word(reply, "CAPABILITY"))
        take_capabilities(session, reply->rest);
    return 0;
}

static int ask_capabilities(struct imap_session *session)
{
    void *context = session->context;

    session->context = session;
    int result = imap_session_ask(session, BYTES("CAPABILITY"), on_capability);

    session->context = context;
    return result == IMAP_REFUSED ? imap_session_fail(session, "CAPABILITY", session->refusal)
                                  : result;
}

static int greet(struct imap_session *session)
{
    struct imap_reply reply;
    int result = next_reply(session, &reply);

    if (result != 0)
        return result;
    if (reply.kind != IMAP_REPLY_UNTAGGED || !is_word(&reply, "OK"))
        return imap_session_fail(session, "the server",
                                 is_word(&reply, "PREAUTH")
                                     ? "it knows us already: whose mail is it?"
                                     : "it does not greet as IMAP does");
    return ask_capabilities(session);
}

static int start_tls(struct imap_session *session, const struct import_server *settings)
{
    if (!session->has_start_tls)
        return imap_session_fail(session, "the server",
                                 "it offers no STARTTLS; imaps://, or --plaintext");
    int result = imap_session_ask(session, BYTES("STARTTLS"), NULL);

    if (result == IMAP_REFUSED)
        return imap_session_fail(session, "STARTTLS", session->refusal);
    if (result != 0)
        return result;
    if (session->input.len > 0) /* somebody put it there before the encryption */
        return imap_session_fail(session, "STARTTLS", "bytes stand behind its answer");
    return imap_stream_start_tls(&session->stream, settings) ? ask_capabilities(session)
                                                             : IMPORT_FAILED;
}

static int authenticate_plain(struct imap_session *session, const struct import_server *settings)
{
    struct buf plain, text, command;

    buf_init(&plain, COMMAND_MAX);
    buf_init(&text, COMMAND_MAX);
    buf_init(&command, COMMAND_MAX);
    bool fits = buf_append_byte(&plain, 0) && buf_append(&plain, bytes_of(settings->user)) &&
                buf_append_byte(&plain, 0) && buf_append(&plain, bytes_of(settings->password)) &&
                base64_write(buf_bytes(&plain), &text) &&
                buf_append(&command, BYTES("AUTHENTICATE PLAIN"));

    if (session->has_initial_response)
        fits = fits && buf_append_byte(&command, ' ') && buf_append(&command, buf_bytes(&text));
    fits = fits && buf_append(&text, BYTES("\r\n"));
    check(fits);
    int result = send_command(session, buf_bytes(&command));

    if (result == 0)
        result =
            await(session, session->has_initial_response ? BYTES_NONE : buf_bytes(&text), NULL);
    explicit_bzero(plain.ptr, plain.end);
    explicit_bzero(text.ptr, text.end);
    explicit_bzero(command.ptr, command.end);
    buf_free(&plain);
    buf_free(&text);
    buf_free(&command);
    return result;
}

static int log_in_plainly(struct imap_session *session, const struct import_server *settings)
{
    struct buf command;

    buf_init(&command, COMMAND_MAX);
    bool fits = buf_append(&command, BYTES("LOGIN ")) &&
                imap_session_quote(&command, bytes_of(settings->user)) &&
                buf_append_byte(&command, ' ') &&
                imap_session_quote(&command, bytes_of(settings->password));
    int result = fits ? imap_session_ask(session, buf_bytes(&command), NULL)
                      : imap_session_fail(session, "LOGIN", "such a password cannot be sent");

    if (buf_len(&command) > 0)
        explicit_bzero(command.ptr, command.end);
    buf_free(&command);
    return result;
}

static int log_in(struct imap_session *session, const struct import_server *settings)
{
    if (session->is_login_disabled && !session->has_auth_plain)
        return imap_session_fail(session, "the server", "it offers no login that we know");
    int result = session->has_auth_plain ? authenticate_plain(session, settings)
                                         : log_in_plainly(session, settings);

    if (result == IMAP_REFUSED)
        return imap_session_fail(session, "the login", session->refusal);
    return result != 0 ? result : ask_capabilities(session);
}

int imap_session_open(struct imap_session *session, const struct import_server *settings,
                      void *context, int (*content)(void *context, struct bytes b),
                      char why[static IMPORT_WHY_MAX])
{
    arena_init(&session->arena, ARENA_MAX);
    imap_reader_begin(&session->reader, IMPORT_MESSAGE_MAX, context, content);
    session->context = context;
    session->input = BYTES_NONE;
    session->tags = 0;
    if (!imap_stream_connect(&session->stream, settings, why))
        return IMPORT_FAILED;
    int result = greet(session);

    if (result == 0 && settings->tls == IMPORT_TLS_STARTTLS)
        result = start_tls(session, settings);
    return result == 0 ? log_in(session, settings) : result;
}

void imap_session_close(struct imap_session *session)
{
    imap_stream_close(&session->stream);
    imap_reader_free(&session->reader);
    arena_free(&session->arena);
}
