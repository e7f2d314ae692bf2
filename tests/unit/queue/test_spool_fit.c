/* test_spool_fit.c - spools that a start would take, and that it would not. */
#include "queue/spool_fit.h"

#include <errno.h>

#include "tests/unit/queue/spool_build.h"

enum { NODE = 7 };

static void write_header(struct build *b, uint32_t format, uint16_t node)
{
    const struct segment_header header = {
        .format = format,
        .node = node,
        .sequence = b->sequence,
        .size = BUILD_SEGMENT_SIZE,
        .salt = b->salt,
    };

    segment_header_encode(&header, b->bytes);
    build_write(b, false);
}

TEST(spool_fits_its_node_in_formats_that_are_known)
{
    static const struct {
        uint32_t format;
        uint16_t node;
        int wanted;
        const char *why;
    } cases[] = {
        {SPOOL_FORMAT, NODE, 0, ""},
        {1, NODE, 0, ""},
        {SPOOL_FORMAT, NODE + 1, -EPROTO, "another node"},
        {SPOOL_FORMAT + 1, NODE, -EPROTO, "newer version"},
    };
    struct build b;

    build_spool(&b, 0);
    build_begin(&b, 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char why[SPOOL_FIT_WHY_MAX] = "";

        write_header(&b, cases[i].format, cases[i].node);
        assert_int_equal(spool_fit(b.spool, NODE, why), cases[i].wanted);
        assert_non_null(strstr(why, cases[i].why));
    }
    build_remove(&b);
}

/* A start makes a node then, which those segments do not belong to. */
TEST(spool_fits_no_node_that_is_to_be_made)
{
    char why[SPOOL_FIT_WHY_MAX] = "";
    struct build b;

    build_spool(&b, 0);
    build_begin(&b, 1);
    assert_int_equal(spool_fit(b.spool, SPOOL_FIT_NO_NODE, why), 0); /* a shard, and no segment */
    write_header(&b, SPOOL_FORMAT, NODE);
    assert_int_equal(spool_fit(b.spool, SPOOL_FIT_NO_NODE, why), -EPROTO);
    build_remove(&b);
}

/* A start goes on without it. */
TEST(spool_fits_where_it_is_damaged_or_not_there)
{
    char why[SPOOL_FIT_WHY_MAX] = "";
    struct build b;

    build_spool(&b, 0);
    build_begin(&b, 1);
    memset(b.bytes, 1, SPOOL_BLOCK);
    build_write(&b, false);
    assert_int_equal(spool_fit(b.spool, NODE, why), 0);
    assert_int_equal(spool_fit("/nonexistent/spool", NODE, why), 0);
    build_remove(&b);
}
