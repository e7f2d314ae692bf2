/* read_file.c - a whole file, bounded by the buffer. */
#include "relay/cli/read_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "relay/cli/cli.h"

enum { PIECE = 64 * 1024 };

int cli_read_file(const char *path, struct buf *content)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    static uint8_t piece[PIECE];
    int code = EXIT_GOOD;
    size_t len;

    if (file == NULL)
        return cli_fail(EXIT_FAILED, "%s: %s", path, strerror(errno));
    while (code == EXIT_GOOD && (len = fread(piece, 1, sizeof(piece), file)) > 0)
        if (!buf_append(content, bytes_range(piece, len)))
            code = cli_fail(EXIT_FAILED, "%s: larger than %zu MiB", path, content->len_max >> 20);
    if (code == EXIT_GOOD && ferror(file))
        code = cli_fail(EXIT_FAILED, "%s: %s", path, strerror(errno));
    if (file != stdin)
        fclose(file);
    return code;
}
