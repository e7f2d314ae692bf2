/* send.c - ringpost send: a small submitter for trying things. Blocking sockets, no retries. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "relay/cli/cli.h"
#include "smtp/content.h"
#include "smtp/reply.h"

enum { SEND_RECIPIENTS_MAX = 1000, SEND_SIZE_MAX = 64 << 20, SEND_TIMEOUT_S = 60 };

struct submitter {
    struct cli *cli;
    int fd;
    struct buf input;
    struct smtp_reply_reader reader;
    const char *from, *subject, *body, *server, *file, *count;
    size_t recipient_count;
    const char *recipients[SEND_RECIPIENTS_MAX];
};

static int connect_server(struct submitter *s)
{
    static const struct timeval patience = {.tv_sec = SEND_TIMEOUT_S};
    struct address address;
    struct config *config = NULL;

    if (s->server != NULL) {
        if (!address_parse(bytes_of(s->server), 2525, &address))
            return cli_misuse(s->cli, "--server %s: expected ADDRESS:PORT", s->server);
    } else {
        config = cli_config(s->cli);
        if (config == NULL)
            return EXIT_CONFIG;
        address = config->listeners[0].address;
        config_release(&config);
        if (address.any.sa_family == AF_INET && address.v4.sin_addr.s_addr == INADDR_ANY)
            address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    s->fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || connect(s->fd, &address.any, address_len(&address)) < 0) {
        char text[ADDRESS_TEXT_MAX];

        address_format_port(&address, text);
        return cli_fail(EXIT_NO_DAEMON, "%s: %s", text, strerror(errno));
    }
    setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return EXIT_GOOD;
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
    if (reply->code / 100 == wanted)
        return true;
    cli_fail(EXIT_FAILED, "%s: %u %.*s", at, reply->code, BYTES_ARG(reply->text));
    return false;
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
    return say(s, bytes_range(line, (size_t)len)) && expect(s, wanted, command, reply);
}

/* A file's or stdin's bytes with LF made CRLF, or a message made of subject and body. */
static bool read_content(struct submitter *s, struct buf *content)
{
    char date[CLOCK_TEXT_MAX];

    if (s->file == NULL) {
        clock_format_rfc5322(clock_wall_ms(), date);
        return buf_printf(content,
                          "From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: %s\r\n"
                          "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
                          "%s\r\n",
                          s->from, s->recipients[0], s->subject, date, s->body);
    }
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

static bool send_one(struct submitter *s, struct bytes content)
{
    struct smtp_reply reply;
    struct dot_writer writer;
    struct buf wire;
    char path[512];

    snprintf(path, sizeof(path), "%s>", s->from);
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
    if (is_good && s->cli->json)
        printf("{\"code\":%u,\"reply\":\"%.*s\"}\n", reply.code, BYTES_ARG(reply.text));
    else if (is_good)
        printf("%u %.*s\n", reply.code, BYTES_ARG(reply.text));
    return is_good;
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
    bool is_good = read_content(s, &content) && expect(s, 2, "greeting", &reply) &&
                   ask(s, 2, "EHLO ", host, &reply);
    for (uint64_t i = 0; is_good && i < count; i++)
        is_good = send_one(s, buf_bytes(&content));
    if (is_good)
        (void)ask(s, 2, "QUIT", "", &reply); /* the mail is taken already */
    buf_free(&content);
    buf_free(&s->input);
    return is_good ? EXIT_GOOD : EXIT_FAILED;
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
    "                [--subject TEXT] [--body TEXT] [--server ADDR:PORT] [--count N] [FILE|-]\n\n"
    "Submits over SMTP to --server, else to the configuration's first listener. FILE (- is stdin)\n"
    "is a whole message with its header; without it one is made of --subject and --body. Without\n"
    "--from the reverse-path is null. Prints the server's last reply.\n",
    run_send,
};
