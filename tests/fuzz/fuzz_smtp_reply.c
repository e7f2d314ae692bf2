/* modules: smtp base */
/* runs: 10000 */
/* fuzz_smtp_reply.c - replies read in pieces say the same as replies read at once. */
#include "smtp/reply.h"

#include <stdlib.h>
#include <string.h>

/* Replies and states, written down to be compared. */
struct transcript {
    struct buf text;
    struct smtp_extensions extensions;
    enum smtp_reply_state last;
};

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static void check_reply(const struct smtp_reply *reply)
{
    size_t newlines = 0;

    check(reply->code >= 200 && reply->code <= 599);
    check(reply->enhanced.class == 0 || reply->enhanced.class == reply->code / 100);
    check(reply->enhanced.subject <= 999 && reply->enhanced.detail <= 999);
    check(reply->text.len <= SMTP_REPLY_TEXT_MAX);
    for (size_t i = 0; i < reply->text.len; i++) {
        uint8_t c = reply->text.ptr[i];
        check(c >= 32 || c == '\t' || c == '\n');
        newlines += c == '\n';
    }
    check(newlines < SMTP_REPLY_LINES_MAX);
}

static void write_down(struct transcript *transcript, const struct smtp_reply *reply)
{
    check(buf_printf(&transcript->text, "%u %u.%u.%u %zu ", reply->code, reply->enhanced.class,
                     reply->enhanced.subject, reply->enhanced.detail, reply->text.len));
    check(buf_append(&transcript->text, reply->text));
}

/* Each piece arrives in fresh memory behind what was left of the one before. */
static void read_all(struct bytes all, size_t piece_len, struct transcript *transcript)
{
    struct smtp_reply_reader reader;
    struct smtp_reply reply;
    size_t taken = 0;

    buf_init(&transcript->text, 1 << 24);
    transcript->last = SMTP_REPLY_PARTIAL;
    memset(&transcript->extensions, 0, sizeof(transcript->extensions)); /* padding too */
    smtp_reply_reader_init(&reader);
    reader.extensions = &transcript->extensions;
    for (size_t arrived = 0; arrived < all.len && transcript->last != SMTP_REPLY_BROKEN;) {
        arrived += MIN(piece_len, all.len - arrived);
        uint8_t *copy = malloc(arrived - taken);
        check(copy != NULL);
        memcpy(copy, all.ptr + taken, arrived - taken);
        struct bytes input = {copy, arrived - taken};
        while ((transcript->last = smtp_reply_read(&reader, &input, &reply)) == SMTP_REPLY_WHOLE) {
            check_reply(&reply);
            write_down(transcript, &reply);
        }
        check(transcript->last == SMTP_REPLY_BROKEN || input.len < SMTP_REPLY_LINE_MAX);
        if (transcript->last == SMTP_REPLY_BROKEN)
            check(smtp_reply_broken_line(&reader).len <= SMTP_REPLY_TEXT_MAX);
        taken = arrived - input.len;
        free(copy);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct transcript whole;
    struct transcript pieces;
    struct smtp_enhanced enhanced;

    if (len == 0)
        return 0;
    struct bytes all = {input + 1, len - 1};
    read_all(all, len, &whole);
    read_all(all, 1 + input[0] % 64, &pieces);
    check(whole.last == pieces.last);
    check(bytes_equal(buf_bytes(&whole.text), buf_bytes(&pieces.text)));
    check(memcmp(&whole.extensions, &pieces.extensions, sizeof(whole.extensions)) == 0);
    buf_free(&whole.text);
    buf_free(&pieces.text);
    (void)!smtp_enhanced_take(&all, &enhanced);
    return 0;
}
