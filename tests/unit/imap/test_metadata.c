/* test_metadata.c - GETMETADATA and SETMETADATA are read (RFC 5464). */
#include "inbound/imap/metadata.h"

#include <stdio.h>

#include "support/unit.h"

/* "mailbox size depth name..."; "BAD". */
static const char *get(struct arena *arena, const char *input, char out[static 512])
{
    struct metadata_request request;
    int len;

    if (!metadata_take_get(arena, bytes_of(input), &request))
        return "BAD";
    len = snprintf(out, 512, "%.*s %d %d", BYTES_ARG(request.mailbox),
                   request.has_size_max ? (int)request.size_max : -1, (int)request.depth);
    for (size_t i = 0; i < request.count; i++)
        len += snprintf(out + len, 512 - (size_t)len, " %.*s", BYTES_ARG(request.of[i].name));
    return out;
}

static const char *put(struct arena *arena, const char *input, char out[static 512])
{
    struct metadata_request request;
    int len;

    if (!metadata_take_set(arena, bytes_of(input), &request))
        return "BAD";
    len = snprintf(out, 512, "%.*s", BYTES_ARG(request.mailbox));
    for (size_t i = 0; i < request.count; i++) {
        struct bytes value = request.of[i].value;

        len += snprintf(out + len, 512 - (size_t)len, " %.*s=%s%.*s", BYTES_ARG(request.of[i].name),
                        value.ptr == NULL ? "NIL" : "'", BYTES_ARG(value));
    }
    return out;
}

static const struct {
    const char *input, *expected;
} gets[] = {
    {" \"\" /shared/comment", " -1 0 /shared/comment"},
    {" INBOX (/Private/Comment \"/shared/x\")", "INBOX -1 0 /private/comment /shared/x"},
    {" INBOX /private/comment /shared/x", "INBOX -1 0 /private/comment /shared/x"},
    {" (MAXSIZE 1024 DEPTH infinity) INBOX /private", "INBOX 1024 2 /private"},
    {" INBOX (DEPTH 1) (/private/filters)", "INBOX -1 1 /private/filters"},
    {" INBOX (depth 0 maxsize 0) (\"/private/a\")", "INBOX 0 0 /private/a"},
    {" INBOX (DEPTH 2) /private/a", "BAD"},
    {" INBOX (DEPTH 1 DEPTH 1) /private/a", "BAD"},
    {" (DEPTH 1) INBOX (DEPTH 1) /private/a", "BAD"},
    {" INBOX (FOO 1) /private/a", "BAD"},
    {" INBOX (MAXSIZE x) /private/a", "BAD"},
    {" INBOX ()", "BAD"},
    {" INBOX", "BAD"},
    {" INBOX (/private/a", "BAD"},
    {" INBOX /private/a)", "BAD"},
    {" INBOX /private/", "BAD"},
    {" INBOX /private//a", "BAD"},
    {" INBOX \"/private/a*\"", "BAD"},
    {" INBOX /other/a", "BAD"},
};

static const struct {
    const char *input, *expected;
} puts_of[] = {
    {" INBOX (/private/comment NIL)", "INBOX /private/comment=NIL"},
    {" INBOX (/private/comment \"\")", "INBOX /private/comment='"},
    {" INBOX (/private/comment {3}\r\na\nb /shared/x ~{2}\r\nxy)",
     "INBOX /private/comment='a\nb /shared/x='xy"},
    {" \"\" (/private/vendor/a/b \"x\")", " /private/vendor/a/b='x"},
    {" INBOX /private/comment \"x\"", "BAD"},
    {" INBOX (/private/comment)", "BAD"},
    {" INBOX (/private/comment x)", "BAD"},
    {" INBOX (/private \"x\")", "BAD"}, /* RFC 5464 section 3.2: two components */
    {" INBOX (/private/vendor \"x\")", "BAD"},
    {" INBOX (/private/vendor/a \"x\")", "BAD"}, /* four where it is a vendor's */
    {" INBOX (/private/a \"x\") ", "BAD"},
    {" INBOX (/private/a \"x\"", "BAD"},
    {" INBOX ()", "BAD"},
};

TEST(requests_are_read_or_refused)
{
    struct arena arena;
    char out[512];

    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(gets); i++)
        assert_string_equal(get(&arena, gets[i].input, out), gets[i].expected);
    for (size_t i = 0; i < ARRAY_LEN(puts_of); i++)
        assert_string_equal(put(&arena, puts_of[i].input, out), puts_of[i].expected);
    arena_free(&arena);
}

/* RFC 5464 section 4.2.2 */
TEST(depth_tells_what_matches)
{
    static const struct {
        const char *name;
        bool itself, children, all;
    } rows[] = {
        {"/private/a", true, true, true},       {"/private/a/b", false, true, true},
        {"/private/a/b/c", false, false, true}, {"/private/ab", false, false, false},
        {"/private", false, false, false},      {"/shared/a/b", false, false, false},
    };
    struct metadata_request request = {0};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool expected[] = {rows[i].itself, rows[i].children, rows[i].all};

        for (unsigned depth = METADATA_ITSELF; depth <= METADATA_ALL; depth++) {
            request.depth = (enum metadata_depth)depth;
            assert_int_equal(metadata_matches(&request, BYTES("/private/a"),
                                              bytes_of(rows[i].name)),
                             expected[depth]);
        }
    }
}
