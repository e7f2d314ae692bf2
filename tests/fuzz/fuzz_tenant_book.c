/* modules: program */
/*
 * fuzz_tenant_book.c - any bytes as the book of tenants. The first byte chooses whether they are a
 * file, or the entries of a frame whose checksum holds. What is visited can be written again.
 */
#include "relay/tenant_book_frame.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static struct buf again;

static void on_position(void *context, unsigned shard, uint64_t position, uint32_t part)
{
    (void)context;
    check(shard < 256);
    (void)!frame_put_position(&again, shard, position, part);
}

static void on_counts(void *context, struct bytes name,
                      const uint64_t counts[static ALLOWANCE_COUNTS])
{
    (void)context;
    check(name.len < 256);
    (void)!frame_put_counts(&again, name, counts);
}

static void on_claim(void *context, const struct claim *claim, uint64_t id, int64_t since_s)
{
    (void)context;
    check(id != 0 && since_s >= 0);
    (void)!frame_put_claim(&again, claim, id, since_s);
}

static void on_rate(void *context, const struct account_rate_noted *noted, int64_t began_s)
{
    (void)context;
    check(noted->account != 0 && began_s >= 0);
    (void)!frame_put_rate(&again, noted, began_s);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    static const uint8_t header[FRAME_HEADER_LEN];
    const struct book_visitor visitor = {NULL, on_position, on_counts, on_claim, on_rate};
    struct bytes rest = {input, len};
    struct buf file;
    size_t good;

    buf_init(&file, len + 64);
    buf_init(&again, len + 64);
    bool is_frame = rest.len > 0 && rest.ptr[0] % 2 == 1;
    if (rest.len > 0)
        rest = bytes_slice(rest, 1, rest.len);
    if (is_frame) {
        check(buf_append(&file, book_magic()));
        check(buf_append(&file, bytes_range(header, sizeof(header))));
    }
    check(buf_append(&file, rest));
    if (is_frame)
        frame_seal(file.ptr + file.start + book_magic().len, rest.len);
    enum book_state state = book_visit(buf_bytes(&file), &visitor, &good);
    check(good <= buf_len(&file));
    check(state != BOOK_WHOLE || good == buf_len(&file));
    check(!is_frame || state != BOOK_WHOLE || bytes_equal(buf_bytes(&again), rest));
    buf_free(&file);
    buf_free(&again);
    return 0;
}
