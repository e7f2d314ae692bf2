/* modules: event base */
/* runs: 12000 */
/*
 * fuzz_event_tail.c - any bytes in the event files: as current.jsonl, closed, compressed by us, or
 * as what a .zst file holds. Every line that can be an event comes out, once and in order; a filter
 * only leaves out; and the text for people holds nothing that a terminal obeys.
 */
#include <jansson.h>
#include <zstd.h>

#include "event/event.h"
#include "event/event_show.h"
#include "event/event_tail.h"
#include "support/fuzz_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

enum {
    AS_CURRENT = 0,
    AS_CLOSED = 1,
    AS_COMPRESSED = 2,
    AS_ARCHIVE = 3,
    WITH_ID = 4,
    WITH_RECIPIENT = 8,
    WITH_TIME = 16,
    CALLS_MAX = 1 << 22,
};

static void write_as(const char *name, struct bytes content)
{
    char path[256];

    check(snprintf(path, sizeof(path), "%s/%s", fuzz_directory, name) < (int)sizeof(path));
    fuzz_write(path, content);
}

static void write_files(unsigned form, struct bytes content)
{
    if (form == AS_CURRENT) {
        write_as("current.jsonl", content);
    } else if (form == AS_CLOSED) {
        write_as("events-20261124T031000Z-7.jsonl", content);
    } else if (form == AS_ARCHIVE) {
        write_as("events-20261124T031000Z-7.jsonl.zst", content);
    } else {
        size_t room = ZSTD_compressBound(content.len);
        uint8_t *packed = malloc(room);

        check(packed != NULL);
        size_t len = ZSTD_compress(packed, room, content.ptr, content.len, 1);
        check(!ZSTD_isError(len));
        write_as("events-20261124T031000Z-7.jsonl.zst", (struct bytes){packed, len});
        free(packed);
    }
}

/* What a line of ours looks like from outside. */
static bool is_candidate(struct bytes line)
{
    return line.len >= 2 && line.len <= EVENT_JSON_MAX && line.ptr[0] == '{' &&
           line.ptr[line.len - 1] == '}';
}

static void check_text(struct bytes line)
{
    struct buf text;

    buf_init(&text, EVENT_JSON_MAX * 8);
    if (event_show(line, &text)) {
        struct bytes shown = buf_bytes(&text);

        check(shown.len > 0);
        for (size_t i = 0; i < shown.len; i++) {
            check(shown.ptr[i] >= ' ' && shown.ptr[i] != 0x7f);
            /* U+0080 to U+009F are controls as well. */
            check(shown.ptr[i] != 0xc2 || shown.ptr[i + 1] >= 0xa0);
        }
    } else {
        check(buf_len(&text) == 0);
    }
    buf_free(&text);
}

static void check_filtered(const struct event_filter *filter, struct bytes line)
{
    if (filter->id == NULL && filter->recipient == NULL)
        return;
    json_t *event = json_loadb((const char *)line.ptr, line.len, 0, NULL);
    const char *id = json_string_value(json_object_get(event, "id"));
    const char *recipient = json_string_value(json_object_get(event, "recipient"));

    check(event != NULL);
    check(filter->id == NULL || strcmp(id, filter->id) == 0);
    check(filter->recipient == NULL ||
          bytes_equal_nocase(bytes_of(recipient), bytes_of(filter->recipient)));
    json_decref(event);
}

/* Reads to the end. `expected`: every line that has to come; NULL ptr: not known. */
static uint64_t read_all(const struct event_filter *filter, struct bytes expected)
{
    bool is_known = expected.ptr != NULL;
    bool is_unfiltered = filter->id == NULL && filter->recipient == NULL && filter->since_ms == 0;
    struct event_tail *tail;
    struct bytes line;
    struct bytes wanted = BYTES_NONE;
    uint64_t lines = 0;
    int result;

    check(event_tail_open(fuzz_directory, filter, false, &tail) == 0);
    for (unsigned calls = 0;; calls++) {
        check(calls < CALLS_MAX);
        result = event_tail_next(tail, &line);
        if (result == -EBADMSG && !is_known)
            continue; /* it goes on behind the file */
        if (result <= 0)
            break;
        lines++;
        check(line.len >= 2 && line.ptr[0] == '{' && line.ptr[line.len - 1] == '}');
        check(bytes_find(line, '\n', 0) == line.len);
        check_filtered(filter, line);
        check_text(line);
        while (is_known && bytes_take_until(&expected, '\n', &wanted))
            if (is_candidate(wanted) && (is_unfiltered || bytes_equal(wanted, line)))
                break;
        check(!is_known || bytes_equal(wanted, line));
    }
    check(result == 0);
    while (is_known && is_unfiltered && bytes_take_until(&expected, '\n', &wanted))
        check(!is_candidate(wanted));
    event_tail_close(&tail);
    return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    static const struct event_filter none;
    struct bytes rest = {input, len};
    unsigned how = fuzz_byte(&rest);
    unsigned form = how % 4;
    struct event_filter filter = {
        .id = how & WITH_ID ? "000001-000000000beef" : NULL,
        .recipient = how & WITH_RECIPIENT ? "B@rcpt.example" : NULL,
        .since_ms = how & WITH_TIME ? 1795489800000 : 0,
    };

    fuzz_make_directory();
    fuzz_empty(fuzz_directory);
    write_files(form, rest);
    /* What is longer than any line of ours is dropped by pieces: the reader need not agree. */
    struct bytes expected = form == AS_ARCHIVE || len > EVENT_JSON_MAX ? BYTES_NONE : rest;
    uint64_t all = read_all(&none, expected);
    check(read_all(&filter, expected) <= all);
    return 0;
}
