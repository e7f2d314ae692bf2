/* test_canonical.c - RFC 6376 section 3.4: examples, edges, every cut, a second implementation. */
#include "auth/dkim/canonical.h"

#include <stdlib.h>
#include <string.h>

#include "auth/dkim/canonical_block.h"
#include "base/random.h"
#include "support/unit.h"

static void put(void *context, struct bytes run)
{
    assert_true(run.len > 0);
    assert_true(buf_append(context, run));
}

static void run_body(enum canonical_form form, const struct bytes *parts, size_t count,
                     struct buf *out)
{
    struct canonical_body body;

    canonical_body_init(&body, form, (struct canonical_sink){put, out});
    for (size_t i = 0; i < count; i++)
        canonical_body_feed(&body, parts[i]);
    canonical_body_finish(&body);
    assert_int_equal(body.size, buf_len(out));
}

static const struct {
    const char *body, *simple, *relaxed;
} bodies[] = {
    /* RFC 6376 section 3.4.5 */
    {" C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n"},
    {"", "\r\n", ""},
    {"\r\n", "\r\n", ""},
    {"\r\n\r\n\r\n", "\r\n", ""},
    {"a", "a\r\n", "a\r\n"},
    {"a ", "a \r\n", "a\r\n"},
    {" \t", " \t\r\n", ""},
    {" \r\n\t\r\n", " \r\n\t\r\n", ""},
    {"a\r\n \r\n", "a\r\n \r\n", "a\r\n"},
    {"\r\n\r\na\r\n\r\nb", "\r\n\r\na\r\n\r\nb\r\n", "\r\n\r\na\r\n\r\nb\r\n"},
    {"a\r", "a\r\r\n", "a\r\r\n"},
    {"a\n\n", "a\n\n\r\n", "a\n\n\r\n"},
    {"a \r b", "a \r b\r\n", "a \r b\r\n"},
    {"a\r\r\n", "a\r\r\n", "a\r\r\n"},
    {"\r\r\n", "\r\r\n", "\r\r\n"},
    {"\ta", "\ta\r\n", " a\r\n"},
};

TEST(body_comes_out_the_same_at_every_two_cuts)
{
    for (size_t row = 0; row < ARRAY_LEN(bodies); row++) {
        struct bytes text = bytes_of(bodies[row].body);

        for (size_t i = 0; i <= text.len; i++) {
            for (size_t j = i; j <= text.len; j++) {
                struct bytes parts[] = {bytes_slice(text, 0, i), bytes_slice(text, i, j - i),
                                        bytes_slice(text, j, text.len)};
                struct buf simple, relaxed;

                buf_init(&simple, 256);
                buf_init(&relaxed, 256);
                run_body(CANONICAL_SIMPLE, parts, 3, &simple);
                run_body(CANONICAL_RELAXED, parts, 3, &relaxed);
                expect_row(row, bytes_equal(buf_bytes(&simple), bytes_of(bodies[row].simple)));
                expect_row(row, bytes_equal(buf_bytes(&relaxed), bytes_of(bodies[row].relaxed)));
                buf_free(&simple);
                buf_free(&relaxed);
            }
        }
    }
}

/* The rules read from the text, line by line over the whole body. */
static void naive(enum canonical_form form, struct bytes text, struct buf *out)
{
    size_t keep = 0;
    bool any = false;

    for (size_t at = 0; at < text.len;) {
        size_t end = bytes_find_bytes(text, BYTES("\r\n"), at);
        bool space = false;

        for (size_t i = at; i < end; i++) {
            bool is_blank = text.ptr[i] == ' ' || text.ptr[i] == '\t';

            if (form == CANONICAL_RELAXED && is_blank) {
                space = true;
                continue;
            }
            assert_true(!space || buf_append(out, BYTES(" ")));
            space = false;
            assert_true(buf_append_byte(out, text.ptr[i]));
            any = true;
            keep = 0;
        }
        assert_true(buf_append(out, BYTES("\r\n")));
        keep += 2;
        at = end + 2;
    }
    if (!any)
        buf_truncate(out, form == CANONICAL_SIMPLE ? MIN((size_t)2, buf_len(out)) : 0);
    else if (keep > 2)
        buf_truncate(out, buf_len(out) - keep + 2);
    if (!any && form == CANONICAL_SIMPLE && buf_len(out) == 0)
        assert_true(buf_append(out, BYTES("\r\n")));
}

/* The last part as lines without content, which are held back until content follows. */
static void end_in_empty_lines(uint8_t *to, size_t len)
{
    size_t at = len - random_below((uint32_t)len + 1);

    while (len - at >= 2) {
        if (random_below(4) == 0) {
            to[at++] = random_below(2) == 0 ? ' ' : '\t';
            continue;
        }
        to[at++] = '\r';
        to[at++] = '\n';
    }
}

static struct bytes make_text(uint8_t *to, size_t len)
{
    static const char pieces[] = "\r\n\r\n \t  \r\nab cd.\n\r";
    /* Mostly words, so that blocks pass; or mostly what changes. */
    bool is_wild = random_below(2) == 0;

    for (size_t i = 0; i < len; i++) {
        uint8_t byte = (uint8_t)('a' + random_below(26));

        if (random_below(is_wild ? 2 : 40) == 0)
            byte = (uint8_t)pieces[random_below(sizeof(pieces) - 1)];
        to[i] = byte;
        if (!is_wild && i > 0 && random_below(30) == 0) {
            to[i - 1] = '\r';
            to[i] = '\n';
        } else if (!is_wild && random_below(7) == 0) {
            to[i] = ' ';
        }
    }
    if (random_below(2) == 0)
        end_in_empty_lines(to, len);
    return bytes_range(to, len);
}

TEST(body_agrees_with_a_naive_second_implementation)
{
    uint8_t text[1024];

    random_seed(6376);
    for (unsigned round = 0; round < 4000; round++) {
        struct bytes b = make_text(text, random_below(sizeof(text)));
        size_t cut = random_below((uint32_t)b.len + 1);
        struct bytes parts[] = {bytes_slice(b, 0, cut), bytes_slice(b, cut, b.len)};

        for (int form = CANONICAL_SIMPLE; form <= CANONICAL_RELAXED; form++) {
            struct buf ours, theirs;

            buf_init(&ours, 4096);
            buf_init(&theirs, 4096);
            run_body((enum canonical_form)form, parts, 2, &ours);
            naive((enum canonical_form)form, b, &theirs);
            assert_true(bytes_equal(buf_bytes(&ours), buf_bytes(&theirs)));
            buf_free(&ours);
            buf_free(&theirs);
        }
    }
}

TEST(blocks_look_the_same_portably)
{
    uint8_t block[CANONICAL_BLOCK_LEN];

    random_seed(64);
    for (unsigned round = 0; round < 1000; round++) {
        make_text(block, sizeof(block));
        struct canonical_masks a = canonical_look(block), b = canonical_look_portable(block);

        assert_true(a.cr == b.cr && a.lf == b.lf && a.space == b.space && a.tab == b.tab);
    }
}

/* A million empty lines are held back as a number. */
TEST(empty_lines_take_no_memory_and_count_before_content)
{
    static uint8_t lines[2000];
    struct canonical_body body;
    struct buf out;

    buf_init(&out, 3 << 20);
    for (size_t i = 0; i < sizeof(lines); i++)
        lines[i] = i % 2 == 0 ? '\r' : '\n';
    canonical_body_init(&body, CANONICAL_RELAXED, (struct canonical_sink){put, &out});
    for (unsigned i = 0; i < 1000; i++)
        canonical_body_feed(&body, bytes_range(lines, sizeof(lines)));
    assert_int_equal(buf_len(&out), 0);
    canonical_body_feed(&body, BYTES("x"));
    assert_int_equal(body.size, 2000001);
    canonical_body_finish(&body);
    assert_int_equal(buf_len(&out), 2000003);
    buf_free(&out);
}

static const struct {
    const char *field, *simple, *relaxed;
} fields[] = {
    /* RFC 6376 section 3.4.5 */
    {"A: X\r\n", "A: X\r\n", "a:X\r\n"},
    {"B : Y\t\r\n\tZ  \r\n", "B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n"},
    {"Subject:\r\n", "Subject:\r\n", "subject:\r\n"},
    {"Subject: \r\n \r\n", "Subject: \r\n \r\n", "subject:\r\n"},
    {"S:a", "S:a\r\n", "s:a\r\n"},
    {"S\t :  a\r\n  b\tc \r\n", "S\t :  a\r\n  b\tc \r\n", "s:a b c\r\n"},
    {"S: \xc3\xa4\xff B\r\n", "S: \xc3\xa4\xff B\r\n", "s:\xc3\xa4\xff B\r\n"},
    {"S: a\rb\nc\r\n", "S: a\rb\nc\r\n", "s:a\rb\nc\r\n"},
};

static void expect_field(size_t row, enum canonical_form form, const struct mail_field *field,
                         const char *wanted)
{
    struct buf out;

    buf_init(&out, 256);
    canonical_field_put(form, field, BYTES_NONE, true, (struct canonical_sink){put, &out});
    expect_row(row, bytes_equal(buf_bytes(&out), bytes_of(wanted)));
    buf_clear(&out);
    canonical_field_put(form, field, BYTES_NONE, false, (struct canonical_sink){put, &out});
    assert_true(buf_append(&out, BYTES("\r\n")));
    expect_row(row, bytes_equal(buf_bytes(&out), bytes_of(wanted)));
    buf_free(&out);
}

TEST(field_comes_out_as_the_form_says)
{
    for (size_t row = 0; row < ARRAY_LEN(fields); row++) {
        struct bytes content = bytes_of(fields[row].field);
        struct mail_header header;

        mail_header_init(&header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
        mail_header_feed(&header, &content);
        mail_header_finish(&header);
        expect_row(row, header.count == 1);
        expect_field(row, CANONICAL_SIMPLE, &header.fields[0], fields[row].simple);
        expect_field(row, CANONICAL_RELAXED, &header.fields[0], fields[row].relaxed);
        mail_header_free(&header);
    }
}

TEST(field_leaves_a_part_of_its_value_out)
{
    struct bytes content = BYTES("Sig: a=1; b= x\r\n y ; c=2\r\n\r\n");
    struct mail_header header;
    struct buf out;

    buf_init(&out, 256);
    mail_header_init(&header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
    assert_true(mail_header_feed(&header, &content));
    struct bytes value = header.fields[0].value;
    struct bytes without = bytes_slice(value, 8, 7);

    assert_true(bytes_equal(without, BYTES(" x\r\n y ")));
    canonical_field_put(CANONICAL_SIMPLE, &header.fields[0], without, false,
                        (struct canonical_sink){put, &out});
    assert_true(bytes_equal(buf_bytes(&out), BYTES("Sig: a=1; b=; c=2")));
    buf_clear(&out);
    canonical_field_put(CANONICAL_RELAXED, &header.fields[0], without, false,
                        (struct canonical_sink){put, &out});
    assert_true(bytes_equal(buf_bytes(&out), BYTES("sig:a=1; b=; c=2")));
    buf_free(&out);
    mail_header_free(&header);
}

/* Longer than what is collected before it is put. */
TEST(field_of_a_line_of_100_kilobytes_is_put_whole)
{
    enum { LEN = 100000 };
    uint8_t *line = malloc(LEN + 2);
    struct mail_header header;
    struct buf out;

    assert_non_null(line);
    memcpy(line, "S: ", 3);
    memset(line + 3, 'x', LEN - 3);
    memcpy(line + LEN, "\r\n", 2);
    struct bytes content = bytes_range(line, LEN + 2);
    buf_init(&out, 2 * LEN);
    mail_header_init(&header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
    mail_header_feed(&header, &content);
    mail_header_finish(&header);
    assert_int_equal(header.count, 1);
    canonical_field_put(CANONICAL_RELAXED, &header.fields[0], BYTES_NONE, true,
                        (struct canonical_sink){put, &out});
    assert_int_equal(buf_len(&out), LEN + 1);
    buf_free(&out);
    mail_header_free(&header);
    free(line);
}

/* Around what is collected before it is put, and what is put by itself. */
TEST(field_of_any_length_is_put_whole)
{
    char line[1200] = "S: ";

    for (size_t len = 480; len < 1100; len++) {
        struct mail_header header;
        struct buf out;

        memset(line + 3, 'x', len);
        memcpy(line + 3 + len / 2, " y  z", 5);
        memcpy(line + 3 + len, "\r\n", 3);
        struct bytes content = bytes_of(line);
        buf_init(&out, 2000);
        mail_header_init(&header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
        mail_header_feed(&header, &content);
        mail_header_finish(&header);
        canonical_field_put(CANONICAL_RELAXED, &header.fields[0], BYTES_NONE, true,
                            (struct canonical_sink){put, &out});
        /* Less by the space behind the colon and one of two. */
        assert_int_equal(buf_len(&out), len + 3);
        assert_int_equal(bytes_find_bytes(buf_bytes(&out), BYTES("x y zx"), 0), len / 2 + 1);
        buf_free(&out);
        mail_header_free(&header);
    }
}

TEST(form_names_are_read_with_case)
{
    enum canonical_form form;

    assert_true(canonical_form_parse(BYTES("simple"), &form) && form == CANONICAL_SIMPLE);
    assert_true(canonical_form_parse(BYTES("relaxed"), &form) && form == CANONICAL_RELAXED);
    assert_false(canonical_form_parse(BYTES("Relaxed"), &form));
    assert_false(canonical_form_parse(BYTES("nowsp"), &form));
    assert_string_equal(canonical_form_name(CANONICAL_RELAXED), "relaxed");
}
