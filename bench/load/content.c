/* content.c - header by appending, body by pointing. */
#include "bench/load/content.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/load/mix.h"

enum {
    LINE_LEN = 78, /* with CRLF */
    VARIANTS = 61, /* bodies start at one of so many lines */
    HASH_DIGITS = 16,
    FILE_SIZE_MAX = 1 << 20,
};

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

void content_init(struct content *content, size_t size_min, size_t size_max, uint64_t seed)
{
    static const char letters[64] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 ,";
    size_t lines = size_max / LINE_LEN + VARIANTS + 1;
    uint64_t state = seed * 2 + 1;
    char now[CLOCK_TEXT_MAX];

    *content = (struct content){.size_min = size_min,
                                .size_max = size_max,
                                .pool = malloc(lines * LINE_LEN)};
    check(content->pool != NULL);
    for (size_t i = 0; i < lines * LINE_LEN; i++) {
        size_t column = i % LINE_LEN;
        uint8_t letter = (uint8_t)letters[next_random(&state) % sizeof(letters)];

        if (column == LINE_LEN - 2)
            letter = '\r';
        else if (column == LINE_LEN - 1)
            letter = '\n';
        content->pool[i] = letter;
    }
    clock_format_rfc5322(clock_wall_ms(), now);
    snprintf(content->date, sizeof(content->date), "\r\nDate: %s", now);
}

static const char *find_fault(struct bytes text)
{
    size_t start = 0;

    if (text.len < 2 || text.ptr[text.len - 1] != '\n')
        return "does not end in CRLF";
    for (size_t i = 0; i < text.len; i++) {
        if (i == start && text.ptr[i] == '.')
            return "has a line with a dot in front";
        if (text.ptr[i] != '\n')
            continue;
        if (i == start || text.ptr[i - 1] != '\r')
            return "has a line that does not end in CRLF";
        start = i + 1;
    }
    return NULL;
}

const char *content_read(struct content *content, const char *path)
{
    uint8_t *text = malloc(FILE_SIZE_MAX + 1);
    FILE *file = fopen(path, "rb");
    const char *why = NULL;
    size_t len = 0;

    check(text != NULL);
    if (file == NULL) {
        why = strerror(errno);
    } else {
        len = fread(text, 1, FILE_SIZE_MAX + 1, file);
        if (ferror(file) != 0)
            why = strerror(errno);
        fclose(file);
    }
    if (why == NULL)
        why = len > FILE_SIZE_MAX ? "is larger than 1 MiB" : find_fault((struct bytes){text, len});
    if (why != NULL) {
        free(text);
        return why;
    }
    free(content->pool);
    content->pool = text;
    content->whole = (struct bytes){text, len - 2};
    return NULL;
}

void content_free(struct content *content)
{
    free(content->pool);
    content->pool = NULL;
}

static void write_hash(uint8_t *at, uint64_t hash)
{
    for (unsigned i = 0; i < HASH_DIGITS; i++)
        at[i] = (uint8_t) "0123456789abcdef"[hash >> (60 - 4 * i) & 15];
}

static bool append_all(struct buf *buf, const struct bytes *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!buf_append(buf, parts[i]))
            return false;
    }
    return true;
}

bool content_build(const struct content *content, const struct content_names *names,
                   struct buf *buf, struct bytes *body_out)
{
    size_t before = buf_len(buf);

    if (content->whole.ptr != NULL) {
        *body_out = content->whole;
        return true;
    }
    const struct bytes parts[] = {
        BYTES("From: Bench <"),
        names->sender,
        BYTES(">\r\nTo: <"),
        names->recipient,
        BYTES(">\r\nSubject: bench "),
        names->id,
        bytes_of(content->date),
        BYTES("\r\nMessage-ID: <"),
        names->id,
        BYTES("@load.bench.example>\r\nX-Bench-Id: "),
        names->id,
        BYTES("\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\nX-Bench-Hash: "
              "0000000000000000\r\n\r\n"),
    };

    if (!append_all(buf, parts, ARRAY_LEN(parts)))
        return false;
    size_t head_len = buf_len(buf) - before;
    size_t size = mix_draw_between(names->variant, content->size_min, content->size_max);
    size_t body_len = size > head_len + 3 ? size - head_len - 2 : 1;
    struct bytes body = {content->pool + names->variant % VARIANTS * LINE_LEN, body_len};

    /* The CRLF that follows must not follow half of one. */
    if (body.ptr[body.len - 1] == '\r')
        body.len--;
    uint8_t *hash_at = buf->ptr + buf->end - HASH_DIGITS - 4;

    write_hash(hash_at, bytes_hash(body));
    *body_out = body;
    return true;
}
