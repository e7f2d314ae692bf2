/* content.c - see content.h. */
#include "relay/cli/content.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"

enum { JSON_PIECE = 48 * 1024 };

struct showing {
    const struct cli *cli;
    bool is_terminal;
    uint8_t last; /* byte, on a terminal */
};

static void print_json_pieces(struct bytes bytes)
{
    struct buf line;

    buf_init(&line, 2 * JSON_PIECE);
    for (size_t at = 0; at < bytes.len; at += JSON_PIECE) {
        buf_clear(&line);
        check(buf_append(&line, BYTES("{\"base64\":\"")));
        check(base64_write(bytes_slice(bytes, at, JSON_PIECE), &line));
        check(buf_append(&line, BYTES("\"}\n")));
        fwrite(buf_bytes(&line).ptr, 1, buf_len(&line), stdout);
    }
    buf_free(&line);
}

/* A control character, or the second byte of one that is encoded in UTF-8 (U+0080 to U+009F). */
static bool is_obeyed(uint8_t byte, uint8_t before)
{
    if (byte == '\n' || byte == '\r' || byte == '\t')
        return false;
    return byte < ' ' || byte == 0x7f || (before == 0xc2 && byte >= 0x80 && byte < 0xa0);
}

static void print_on_terminal(struct showing *showing, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        putchar(is_obeyed(bytes.ptr[i], showing->last) ? '?' : bytes.ptr[i]);
        showing->last = bytes.ptr[i];
    }
}

static bool print_bytes(void *context, struct bytes bytes)
{
    struct showing *showing = context;

    if (showing->cli->json)
        print_json_pieces(bytes);
    else if (showing->is_terminal)
        print_on_terminal(showing, bytes);
    else
        fwrite(bytes.ptr, 1, bytes.len, stdout);
    if (fflush(stdout) == 0)
        return true;
    cli_fail(EXIT_FAILED, "cannot write the content: %s", strerror(errno));
    return false;
}

int cli_content(const struct cli *cli, json_t *request)
{
    struct showing showing = {.cli = cli, .is_terminal = isatty(STDOUT_FILENO) == 1};
    json_t *done = NULL;
    int code = cli_control_raw(cli, request, print_bytes, &showing, &done);

    if (code == EXIT_GOOD && cli->json)
        cli_print_json(json_incref(done));
    json_decref(done);
    return code;
}
