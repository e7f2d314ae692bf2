/* modules: import */
/*
 * fuzz_mbox_reader.c - any bytes as an mbox: fed at once and in pieces they are the same messages,
 * and no more bytes come out than went in.
 */
#include "inbound/import/mbox_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

struct told {
    uint64_t hash, bytes, messages;
    bool is_open;
};

static void mix(struct told *told, uint64_t value)
{
    told->hash = (told->hash ^ value) * UINT64_C(0x100000001b3);
}

static int begin(void *context)
{
    struct told *told = context;

    check(!told->is_open);
    told->is_open = true;
    return 0;
}

static int data(void *context, struct bytes b)
{
    struct told *told = context;

    check(told->is_open && b.len > 0);
    told->bytes += b.len;
    for (size_t i = 0; i < b.len; i++)
        mix(told, b.ptr[i]);
    return 0;
}

static int end(void *context, const struct mbox_message *message)
{
    struct told *told = context;

    check(told->is_open && message->keyword_count <= IMPORT_KEYWORDS_MAX);
    told->is_open = false;
    check(message->number == ++told->messages);
    mix(told, message->flags);
    mix(told, message->has_date ? (uint64_t)message->date_s : 1);
    for (size_t i = 0; i < message->keyword_count; i++)
        mix(told, bytes_hash(message->keywords[i]));
    return 0;
}

static int read_in_pieces(struct bytes text, size_t piece, struct told *told)
{
    struct mbox_events events = {told, begin, data, end};
    struct mbox_reader reader;
    int result = 0;

    mbox_begin(&reader, &events);
    while (text.len > 0 && result == 0) {
        result = mbox_feed(&reader, bytes_slice(text, 0, piece));
        text = bytes_slice(text, piece, text.len);
    }
    if (result == 0)
        result = mbox_finish(&reader);
    mbox_free(&reader);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct told whole = {.hash = 0}, pieces = {.hash = 0};
    struct bytes text = {input, len};
    int result = read_in_pieces(text, SIZE_MAX, &whole);

    check(read_in_pieces(text, 1 + len % 7, &pieces) == result);
    check(whole.bytes <= len);
    check(whole.hash == pieces.hash && whole.messages == pieces.messages);
    check(result != 0 || !whole.is_open);
    return 0;
}
