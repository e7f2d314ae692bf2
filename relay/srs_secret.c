/* srs_secret.c - made once, then read. */
#include "relay/srs_secret.h"

#include <errno.h>
#include <sys/random.h>

#include "io/key_file.h"

enum { FILE_MAX = 4096, MADE_BYTES = 32 };

static const char file_name[] = "srs.key";
static struct buf text; /* what the keys are slices of */

static int make(const char *state_dir)
{
    uint8_t made[MADE_BYTES];
    char line[2 * MADE_BYTES + 1];

    if (getrandom(made, sizeof(made), 0) != (ssize_t)sizeof(made))
        return -EIO;
    for (size_t i = 0; i < 2 * (size_t)MADE_BYTES; i++)
        line[i] = "0123456789abcdef"[made[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
    line[sizeof(line) - 1] = '\n';
    int error = key_file_make(state_dir, file_name, bytes_range(line, sizeof(line)));
    return error == -EEXIST ? 0 : error;
}

static int read_lines(struct bytes lines, struct srs_keys *out)
{
    struct bytes line;

    *out = (struct srs_keys){0};
    while (lines.len > 0) {
        if (!bytes_take_until(&lines, '\n', &line)) {
            line = lines;
            lines = BYTES_NONE;
        }
        line = bytes_trim(line);
        if (line.len == 0)
            continue;
        if (line.len < SRS_KEY_LEN_MIN || out->count == SRS_KEYS_MAX)
            return -EBADMSG;
        out->secret[out->count++] = line;
    }
    return out->count > 0 ? 0 : -EBADMSG;
}

int srs_secret_open(const char *state_dir, struct srs_keys *out)
{
    buf_free(&text);
    buf_init(&text, FILE_MAX);
    int error = key_file_read(state_dir, file_name, &text);

    if (error == -ENOENT) {
        error = make(state_dir);
        if (error == 0)
            error = key_file_read(state_dir, file_name, &text);
    }
    if (error == 0)
        error = read_lines(buf_bytes(&text), out);
    if (error < 0)
        out->count = 0;
    return error;
}
