/* send.c - ringpost send: a small submitter for trying things. Blocking sockets, no retries. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "relay/cli/cli.h"
#include "smtp/content.h"
#include "smtp/encoded_word.h"
#include "smtp/reply.h"

enum {
    SEND_RECIPIENTS_MAX = 1000,
    SEND_SIZE_MAX = 64 << 20,
    SEND_TIMEOUT_S = 60,
    HOST_MAX = 256,
    SUBJECT_PLAIN_MAX = 900,             /* longer ones would not fit on a line */
    REPLY_MAX = 4 * SMTP_REPLY_TEXT_MAX, /* with line ends made visible */
};

struct submitter {
    struct cli *cli;
    int fd;
    struct buf input;
    struct smtp_reply_reader reader;
    struct smtp_extensions extensions;
    bool needs_smtputf8, is_8bit;
    const char *from, *subject, *body, *server, *file, *count;
    size_t recipient_count;
    const char *recipients[SEND_RECIPIENTS_MAX];
};

/* Of the first listener; one that listens everywhere is asked on this machine. */
static int connect_listener(struct submitter *s)
{
    struct config *config = cli_config(s->cli);
    char text[ADDRESS_TEXT_MAX];

    if (config == NULL)
        return EXIT_CONFIG;
    struct address address = config->listeners[0].address;
    config_release(&config);
    if (address.any.sa_family == AF_INET && address.v4.sin_addr.s_addr == INADDR_ANY)
        address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd >= 0 && connect(s->fd, &address.any, address_len(&address)) == 0)
        return EXIT_GOOD;
    address_format_port(&address, text);
    return cli_fail(EXIT_NO_DAEMON, "%s: %s", text, strerror(errno));
}

/* "HOST", "HOST:PORT", "192.0.2.1:25", "[::1]:25", "::1". */
static bool split_server(const char *server, char host[static HOST_MAX], const char **port_out)
{
    const char *colon = strrchr(server, ':');
    size_t len = colon == NULL ? strlen(server) : (size_t)(colon - server);

    *port_out = "2525";
    if (server[0] == '[') {
        const char *end = strchr(server, ']');

        if (end == NULL || (end[1] != '\0' && end[1] != ':'))
            return false;
        colon = end[1] == ':' ? end + 1 : NULL;
        server++;
        len = (size_t)(end - server);
    } else if (colon != NULL && strchr(server, ':') != colon) {
        colon = NULL; /* IPv6 without a port */
        len = strlen(server);
    }
    if (len == 0 || len >= HOST_MAX)
        return false;
    memcpy(host, server, len);
    host[len] = '\0';
    if (colon != NULL)
        *port_out = colon + 1;
    return (*port_out)[0] != '\0';
}

static int connect_named(struct submitter *s)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char host[HOST_MAX];
    const char *port;

    if (!split_server(s->server, host, &port))
        return cli_misuse(s->cli, "--server %s: expected HOST:PORT", s->server);
    int error = getaddrinfo(host, port, &hints, &found);
    if (error == EAI_SERVICE || (error == EAI_NONAME && strspn(port, "0123456789") != strlen(port)))
        return cli_misuse(s->cli, "--server %s: expected HOST:PORT", s->server);
    if (error != 0)
        return cli_fail(EXIT_NO_DAEMON, "%s: %s", s->server, gai_strerror(error));
    error = EHOSTUNREACH;
    for (const struct addrinfo *one = found; one != NULL && error != 0; one = one->ai_next) {
        s->fd = socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (s->fd >= 0 && connect(s->fd, one->ai_addr, one->ai_addrlen) == 0) {
            error = 0;
            break;
        }
        error = errno;
        if (s->fd >= 0)
            close(s->fd);
        s->fd = -1;
    }
    freeaddrinfo(found);
    return error == 0 ? EXIT_GOOD : cli_fail(EXIT_NO_DAEMON, "%s: %s", s->server, strerror(error));
}

static int connect_server(struct submitter *s)
{
    static const struct timeval patience = {.tv_sec = SEND_TIMEOUT_S};
    int code = s->server != NULL ? connect_named(s) : connect_listener(s);

    if (code != EXIT_GOOD)
        return code;
    setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return EXIT_GOOD;
}

/* As the server said it, its lines joined by " / ". */
static void format_reply(const struct smtp_reply *reply, struct buf *text)
{
    bool fits = buf_printf(text, "%u ", reply->code);

    if (reply->enhanced.class != 0)
        fits = fits && buf_printf(text, "%u.%u.%u ", reply->enhanced.class, reply->enhanced.subject,
                                  reply->enhanced.detail);
    for (size_t i = 0; fits && i < reply->text.len; i++)
        fits = reply->text.ptr[i] == '\n' ? buf_append(text, BYTES(" / "))
                                          : buf_append_byte(text, reply->text.ptr[i]);
    check(fits);
}

static void print_reply(const struct submitter *s, const struct smtp_reply *reply)
{
    struct buf text;

    buf_init(&text, REPLY_MAX);
    if (s->cli->json) {
        char enhanced[32];

        snprintf(enhanced, sizeof(enhanced), "%u.%u.%u", reply->enhanced.class,
                 reply->enhanced.subject, reply->enhanced.detail);
        cli_print_json(json_pack("{s:i,s:o,s:o}", "code", (int)reply->code, "enhanced",
                                 reply->enhanced.class == 0 ? json_null() : json_string(enhanced),
                                 "reply", json_text(reply->text)));
    } else {
        format_reply(reply, &text);
        printf("%.*s\n", BYTES_ARG(buf_bytes(&text)));
    }
    buf_free(&text);
}

static bool refused(const char *at, const struct smtp_reply *reply)
{
    struct buf text;

    buf_init(&text, REPLY_MAX);
    format_reply(reply, &text);
    cli_fail(EXIT_FAILED, "%s: %.*s", at, BYTES_ARG(buf_bytes(&text)));
    buf_free(&text);
    return false;
}

/* Waits for one reply; false after a complaint when it is not of class `wanted`. */
static bool expect(struct submitter *s, unsigned wanted, const char *at, struct smtp_reply *reply)
{
    for (;;) {
        struct bytes input = buf_bytes(&s->input);
        enum smtp_reply_state state = smtp_reply_read(&s->reader, &input, reply);

        buf_consume(&s->input, buf_len(&s->input) - input.len);
        if (state == SMTP_REPLY_WHOLE)
            break;
        uint8_t *room = buf_reserve(&s->input, 4096);
        ssize_t got = state == SMTP_REPLY_BROKEN || room == NULL ? -1 : recv(s->fd, room, 4096, 0);
        if (got <= 0) {
            cli_fail(EXIT_FAILED, "%s: the server said nothing more", at);
            return false;
        }
        buf_extend(&s->input, (size_t)got);
    }
    return reply->code / 100 == wanted || refused(at, reply);
}

static bool say(struct submitter *s, struct bytes b)
{
    while (b.len > 0) {
        ssize_t sent = send(s->fd, b.ptr, b.len, MSG_NOSIGNAL);

        if (sent <= 0) {
            cli_fail(EXIT_FAILED, "sending: %s", strerror(errno));
            return false;
        }
        b = bytes_slice(b, (size_t)sent, b.len);
    }
    return true;
}

static bool ask(struct submitter *s, unsigned wanted, const char *command, const char *argument,
                struct smtp_reply *reply)
{
    char line[1024];
    int len = snprintf(line, sizeof(line), "%s%s\r\n", command, argument);

    if (len >= (int)sizeof(line)) {
        cli_fail(EXIT_USAGE, "%s is too long", argument);
        return false;
    }
    if (!say(s, bytes_range(line, (size_t)len)))
        return false;
    line[len - 2] = '\0'; /* the line end */
    return expect(s, wanted, line, reply);
}

static bool put_subject(const char *subject, struct buf *content)
{
    struct bytes text = bytes_of(subject);
    bool is_plain = !bytes_has_8bit(text) && text.len <= SUBJECT_PLAIN_MAX;

    return buf_append(content, BYTES("Subject: ")) &&
           (is_plain ? buf_append(content, text) : encoded_words_write(text, content)) &&
           buf_append(content, BYTES("\r\n"));
}

/* Only CRLF ends a line in SMTP. */
static bool put_lines(struct bytes text, struct buf *content)
{
    bool is_good = true;

    for (size_t i = 0; is_good && i < text.len; i++) {
        if (text.ptr[i] == '\n' && (i == 0 || text.ptr[i - 1] != '\r'))
            is_good = buf_append_byte(content, '\r');
        is_good = is_good && buf_append_byte(content, text.ptr[i]);
    }
    return is_good;
}

static bool write_content(const struct submitter *s, struct buf *content)
{
    struct bytes body = bytes_of(s->body);
    char date[CLOCK_TEXT_MAX];

    clock_format_rfc5322(clock_wall_ms(), date);
    return buf_printf(content, "From: <%s>\r\nTo: <%s>\r\n", s->from, s->recipients[0]) &&
           put_subject(s->subject, content) &&
           buf_printf(content,
                      "Date: %s\r\nMIME-Version: 1.0\r\n"
                      "Content-Type: text/plain; charset=utf-8\r\n%s\r\n",
                      date, bytes_has_8bit(body) ? "Content-Transfer-Encoding: 8bit\r\n" : "") &&
           put_lines(body, content) && buf_append(content, BYTES("\r\n"));
}

/* A file's or stdin's bytes with LF made CRLF, or a message made of subject and body. */
static bool read_content(struct submitter *s, struct buf *content)
{
    if (s->file == NULL)
        return write_content(s, content);
    FILE *file = strcmp(s->file, "-") == 0 ? stdin : fopen(s->file, "re");
    bool is_good = file != NULL;
    int previous = 0;
    for (int c; is_good && (c = getc(file)) != EOF; previous = c) {
        if (c == '\n' && previous != '\r')
            is_good = buf_append_byte(content, '\r');
        is_good = is_good && buf_append_byte(content, (uint8_t)c);
    }
    if (!is_good)
        cli_fail(EXIT_FAILED, "%s: %s", s->file, file == NULL ? strerror(errno) : "too large");
    if (file != NULL && file != stdin)
        fclose(file);
    return is_good;
}

/* RFC 6531 section 3.4, RFC 6152: what MAIL has to say of addresses and content. */
static bool look_at(struct submitter *s, struct bytes content)
{
    size_t header_len = bytes_find_bytes(content, BYTES("\r\n\r\n"), 0);

    s->is_8bit = bytes_has_8bit(content);
    s->needs_smtputf8 =
        bytes_has_8bit(bytes_of(s->from)) || bytes_has_8bit(bytes_slice(content, 0, header_len));
    for (size_t i = 0; i < s->recipient_count; i++)
        s->needs_smtputf8 |= bytes_has_8bit(bytes_of(s->recipients[i]));
    if (!s->needs_smtputf8 || s->extensions.smtputf8)
        return true;
    cli_fail(EXIT_FAILED, "an address or a header field is not ASCII, and the server does not "
                          "offer SMTPUTF8");
    return false;
}

static bool send_one(struct submitter *s, struct bytes content)
{
    struct smtp_reply reply;
    struct dot_writer writer;
    struct buf wire;
    char path[512];

    snprintf(path, sizeof(path), "%s>%s%s", s->from,
             s->is_8bit && s->extensions.eightbitmime ? " BODY=8BITMIME" : "",
             s->needs_smtputf8 ? " SMTPUTF8" : "");
    if (!ask(s, 2, "MAIL FROM:<", path, &reply))
        return false;
    for (size_t i = 0; i < s->recipient_count; i++) {
        snprintf(path, sizeof(path), "%s>", s->recipients[i]);
        if (!ask(s, 2, "RCPT TO:<", path, &reply))
            return false;
    }
    if (!ask(s, 3, "DATA", "", &reply))
        return false;
    buf_init(&wire, 2 * SEND_SIZE_MAX + 16);
    dot_writer_init(&writer);
    bool is_good = dot_write(&writer, content, &wire) && dot_write_end(&writer, &wire) &&
                   say(s, buf_bytes(&wire)) && expect(s, 2, "end of data", &reply);
    buf_free(&wire);
    if (is_good)
        print_reply(s, &reply);
    return is_good;
}

static bool is_address(const char *text)
{
    return utf8_is_printable(bytes_of(text)) && strpbrk(text, "<>") == NULL;
}

static int submit(struct submitter *s, uint64_t count)
{
    struct smtp_reply reply;
    struct buf content;
    char host[256] = "localhost";
    int code = connect_server(s);

    if (code != EXIT_GOOD)
        return code;
    buf_init(&s->input, SMTP_REPLY_LINE_MAX * SMTP_REPLY_LINES_MAX);
    buf_init(&content, SEND_SIZE_MAX);
    smtp_reply_reader_init(&s->reader);
    gethostname(host, sizeof(host) - 1);
    bool is_good = read_content(s, &content) && expect(s, 2, "greeting", &reply);
    s->reader.extensions = &s->extensions;
    is_good = is_good && ask(s, 2, "EHLO ", host, &reply) && look_at(s, buf_bytes(&content));
    s->reader.extensions = NULL;
    for (uint64_t i = 0; is_good && i < count; i++)
        is_good = send_one(s, buf_bytes(&content));
    if (is_good)
        (void)ask(s, 2, "QUIT", "", &reply); /* the mail is taken already */
    buf_free(&content);
    buf_free(&s->input);
    return is_good ? EXIT_GOOD : EXIT_FAILED;
}

/* What stands in a command or a field is one line: else it would be read as more of them. */
static int check_texts(const struct submitter *s)
{
    if (!is_address(s->from))
        return cli_misuse(s->cli, "--from: expected an address, in one line and without < and >");
    for (size_t i = 0; i < s->recipient_count; i++)
        if (!is_address(s->recipients[i]))
            return cli_misuse(s->cli, "--to: expected an address, in one line and without < and >");
    if (!utf8_is_printable(bytes_of(s->subject)))
        return cli_misuse(s->cli, "--subject: expected one line of UTF-8 text");
    return EXIT_GOOD;
}

static int run_send(struct cli *cli)
{
    struct submitter *s = calloc(1, sizeof(*s));
    struct cli_walk walk = {0};
    const char *to = NULL;
    uint64_t count = 1;
    int code = EXIT_GOOD;

    check(s != NULL);
    *s = (struct submitter){.cli = cli,
                            .fd = -1,
                            .from = "",
                            .subject = "a mail by ringpost send",
                            .body = "It works."};
    while (code == EXIT_GOOD && cli_option(cli, &walk)) {
        if (cli_value(cli, &walk, "--to", &to)) {
            if (s->recipient_count < SEND_RECIPIENTS_MAX && !walk.is_bad)
                s->recipients[s->recipient_count++] = to;
        } else if (walk.word != NULL && s->file == NULL) {
            s->file = walk.word;
        } else if (!cli_value(cli, &walk, "--from", &s->from) &&
                   !cli_value(cli, &walk, "--subject", &s->subject) &&
                   !cli_value(cli, &walk, "--body", &s->body) &&
                   !cli_value(cli, &walk, "--server", &s->server) &&
                   !cli_value(cli, &walk, "--count", &s->count)) {
            code =
                cli_misuse(cli, "unknown argument %s", walk.name != NULL ? walk.name : walk.word);
        }
    }
    if (code == EXIT_GOOD && walk.is_bad)
        code = EXIT_USAGE;
    if (code == EXIT_GOOD && s->recipient_count == 0)
        code = cli_misuse(cli, "no recipient; --to ADDRESS is needed");
    if (code == EXIT_GOOD && s->count != NULL &&
        (!bytes_to_u64(bytes_of(s->count), &count) || count == 0))
        code = cli_misuse(cli, "--count %s: expected a number", s->count);
    if (code == EXIT_GOOD)
        code = check_texts(s);
    if (code == EXIT_GOOD)
        code = submit(s, count);
    if (s->fd >= 0)
        close(s->fd);
    free(s);
    return code;
}

const struct cli_command cli_send = {
    "send",
    "submit a message, for trying things",
    "usage: ringpost [-c FILE] send --to ADDRESS [--to ADDRESS ...] [--from ADDRESS]\n"
    "                [--subject TEXT] [--body TEXT] [--server HOST:PORT] [--count N] [FILE|-]\n"
    "                [--json]\n\n"
    "Submits over SMTP to --server, else to the configuration's first listener. FILE (- is stdin)\n"
    "is a whole message with its header; without it one is made of --subject and --body. Without\n"
    "--from the reverse-path is null. Prints the server's last reply.\n",
    run_send,
};
