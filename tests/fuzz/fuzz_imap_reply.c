/* modules: import */
/*
 * fuzz_imap_reply.c - any bytes as what an IMAP server says: in pieces the same responses, each
 * within its bounds and readable or refused.
 */
#include "inbound/import/imap_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

struct told {
    uint64_t hash, content;
};

static void mix(struct told *told, struct bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        told->hash = (told->hash ^ b.ptr[i]) * UINT64_C(0x100000001b3);
    told->hash ^= 1;
}

static int on_content(void *context, struct bytes b)
{
    struct told *told = context;

    check(b.len > 0);
    told->content += b.len;
    return 0;
}

static void look(const struct imap_reader *reader, struct told *told)
{
    struct imap_reply reply;
    struct imap_fetched fetched;
    struct imap_listed listed;
    struct bytes prefix;
    uint32_t number;
    struct arena arena;

    check(buf_len(&reader->reply) <= IMAP_REPLY_MAX);
    mix(told, buf_bytes(&reader->reply));
    if (!imap_reply_read(buf_bytes(&reader->reply), &reply))
        return;
    arena_init(&arena, 1 << 20);
    (void)!imap_reply_code(reply.rest, "UIDVALIDITY", &number);
    (void)imap_reply_has(reply.rest, "STARTTLS");
    if (imap_reply_fetch(&arena, reply.rest, &fetched)) {
        check(fetched.flag_count <= IMAP_LISTED_FLAGS_MAX);
        for (size_t i = 0; i < fetched.flag_count; i++)
            check(fetched.flags[i].len > 0);
        mix(told, fetched.body);
    }
    if (imap_reply_list(&arena, reply.rest, &listed))
        check(listed.name.len > 0);
    if (imap_reply_namespace(&arena, reply.rest, &prefix))
        mix(told, prefix);
    arena_free(&arena);
}

static int read_in_pieces(struct bytes text, size_t piece, struct told *told)
{
    struct imap_reader reader;
    int result = 0;

    imap_reader_begin(&reader, 4096, told, on_content);
    while (text.len > 0 && result >= 0) {
        struct bytes part = bytes_slice(text, 0, piece);

        text = bytes_slice(text, piece, text.len);
        while (part.len > 0 && (result = imap_reader_feed(&reader, &part)) == 1)
            look(&reader, told);
    }
    imap_reader_free(&reader);
    return result < 0 ? result : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct told whole = {.hash = 0}, pieces = {.hash = 0};
    struct bytes text = {input, len};
    int result = read_in_pieces(text, SIZE_MAX, &whole);

    check(read_in_pieces(text, 1 + len % 7, &pieces) == result);
    check(whole.hash == pieces.hash);
    check(whole.content == pieces.content);
    return 0;
}
