/* test_exposition.c - families and samples in both formats, to the byte. */
#include "base/exposition.h"

#include "support/unit.h"

static void write_all(struct exposition *e)
{
    exposition_family(e, BYTES("a_total"), EXPOSITION_COUNTER, "say \"a\\b\"\nand c");
    exposition_integer(e, BYTES("a_total{k=\"v\"}"), INT64_MAX);
    exposition_family(e, BYTES("cpu_seconds_total"), EXPOSITION_COUNTER, "h");
    exposition_real(e, BYTES("cpu_seconds_total"), 0.25);
    exposition_family(e, BYTES("b_bytes"), EXPOSITION_GAUGE, "h");
    exposition_labelled(e, "b_bytes", "x", BYTES("\\\"\n\xc3\xa4\xff\xc3"), -1);
    exposition_family(e, BYTES("unit_kilobytes"), EXPOSITION_HISTOGRAM, "h");
    exposition_integer(e, BYTES("unit_kilobytes_count"), 0);
}

static void expect_text(enum exposition_format format, const char *expected)
{
    struct buf out;
    struct exposition e = {.out = &out, .format = format};

    buf_init(&out, 4096);
    write_all(&e);
    assert_true(exposition_end(&e));
    if (!bytes_equal(buf_bytes(&out), bytes_of(expected)))
        fail_msg("%.*s", BYTES_ARG(buf_bytes(&out)));
    buf_free(&out);
}

TEST(exposition_of_prometheus)
{
    expect_text(EXPOSITION_PROMETHEUS, "# HELP a_total say \"a\\\\b\"\\nand c\n"
                                       "# TYPE a_total counter\n"
                                       "a_total{k=\"v\"} 9223372036854775807\n"
                                       "# HELP cpu_seconds_total h\n"
                                       "# TYPE cpu_seconds_total counter\n"
                                       "cpu_seconds_total 0.25\n"
                                       "# HELP b_bytes h\n"
                                       "# TYPE b_bytes gauge\n"
                                       "b_bytes{x=\"\\\\\\\"\\n\xc3\xa4??\"} -1\n"
                                       "# HELP unit_kilobytes h\n"
                                       "# TYPE unit_kilobytes histogram\n"
                                       "unit_kilobytes_count 0\n");
}

TEST(exposition_of_openmetrics)
{
    expect_text(EXPOSITION_OPENMETRICS, "# HELP a say \\\"a\\\\b\\\"\\nand c\n"
                                        "# TYPE a counter\n"
                                        "a_total{k=\"v\"} 9223372036854775807\n"
                                        "# HELP cpu_seconds h\n"
                                        "# TYPE cpu_seconds counter\n"
                                        "# UNIT cpu_seconds seconds\n"
                                        "cpu_seconds_total 0.25\n"
                                        "# HELP b_bytes h\n"
                                        "# TYPE b_bytes gauge\n"
                                        "# UNIT b_bytes bytes\n"
                                        "b_bytes{x=\"\\\\\\\"\\n\xc3\xa4??\"} -1\n"
                                        "# HELP unit_kilobytes h\n"
                                        "# TYPE unit_kilobytes histogram\n"
                                        "unit_kilobytes_count 0\n"
                                        "# EOF\n");
}

TEST(exposition_without_room_says_so_at_the_end)
{
    struct buf whole;
    struct exposition e = {.out = &whole, .format = EXPOSITION_OPENMETRICS};

    buf_init(&whole, 4096);
    write_all(&e);
    assert_true(exposition_end(&e));
    for (size_t room = 1; room <= buf_len(&whole); room++) {
        struct buf out;
        struct exposition small = {.out = &out, .format = EXPOSITION_OPENMETRICS};

        buf_init(&out, room);
        write_all(&small);
        expect_row(room, exposition_end(&small) == (room == buf_len(&whole)));
        buf_free(&out);
    }
    buf_free(&whole);
}
