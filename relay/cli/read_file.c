/* read_file.c - a whole file, bounded by the buffer. */
#include "relay/cli/read_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "relay/cli/cli.h"

enum { PIECE = 64 * 1024 };

static bool append_lines(struct buf *content, struct bytes piece)
{
    uint8_t last = buf_len(content) == 0 ? 0 : buf_bytes(content).ptr[buf_len(content) - 1];
    size_t at = 0;

    while (at < piece.len) {
        size_t end = bytes_find(piece, '\n', at);
        struct bytes line = bytes_slice(piece, at, end - at);

        if (!buf_append(content, line))
            return false;
        last = line.len > 0 ? line.ptr[line.len - 1] : last;
        if (end < piece.len && !buf_append(content, last == '\r' ? BYTES("\n") : BYTES("\r\n")))
            return false;
        last = end < piece.len ? '\n' : last;
        at = end + 1;
    }
    return true;
}

static int read_pieces(const char *path, struct buf *content,
                       bool (*append)(struct buf *content, struct bytes piece))
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    static uint8_t piece[PIECE];
    int code = EXIT_GOOD;
    size_t len;

    if (file == NULL)
        return cli_fail(EXIT_FAILED, "%s: %s", path, strerror(errno));
    while (code == EXIT_GOOD && (len = fread(piece, 1, sizeof(piece), file)) > 0)
        if (!append(content, bytes_range(piece, len)))
            code = cli_fail(EXIT_FAILED, "%s: larger than %zu MiB", path, content->len_max >> 20);
    if (code == EXIT_GOOD && ferror(file))
        code = cli_fail(EXIT_FAILED, "%s: %s", path, strerror(errno));
    if (file != stdin)
        fclose(file);
    return code;
}

int cli_read_file(const char *path, struct buf *content)
{
    return read_pieces(path, content, buf_append);
}

int cli_read_message(const char *path, struct buf *content)
{
    return read_pieces(path, content, append_lines);
}
