/* test_queue_show.c - a waiting message as a mail, and the names of such files. */
#include "relay/queue_show.h"

#include <string.h>

#include "support/unit.h"

static const char lines[] =
    "{\"recipient\":\"x@y.example\",\"state\":\"scheduled\",\"attempts\":2,"
    "\"constraint\":\"retry\","
    "\"rule\":null,\"detail\":\"it\\r\\nX-Forged: yes\",\"until\":\"2026-11-29T00:00:00.000Z\","
    "\"due\":\"2026-11-29T00:00:00.000Z\",\"site\":null,\"accepted\":\"2026-11-28T00:00:00.000Z\","
    "\"expires\":\"2026-12-03T00:00:00.000Z\"}\nno json\n"
    "{\"recipient\":\"z@y.example\",\"state\":\"in-attempt\",\"attempts\":0}\n";

static struct queue_shown shown_message(void)
{
    return (struct queue_shown){
        .id = "1-2",
        .lines = bytes_of(lines),
        .recipient_count = 2,
        .text = BYTES("Subject: x\r\n\r\nhello\r\n"),
        .size = 21,
    };
}

static bool holds(const struct buf *out, const char *text)
{
    return bytes_find_bytes(buf_bytes(out), bytes_of(text), 0) < buf_len(out);
}

TEST(message_has_what_it_waits_for_before_its_own_fields)
{
    struct queue_shown shown = shown_message();
    struct buf out;

    buf_init(&out, QUEUE_SHOW_MAX);
    assert_true(queue_show_message(&shown, &out));
    assert_true(holds(&out, "X-Queue-Id: 1-2\r\nX-Queue-Seen: 1970-01-01T00:00:00.000Z\r\n"
                            "X-Queue-Accepted: 2026-11-28T00:00:00.000Z\r\n"
                            "X-Queue-Expires: 2026-12-03T00:00:00.000Z\r\n"
                            "X-Queue-Recipient: x@y.example; state=scheduled; attempts=2;\r\n"
                            " next=2026-11-29T00:00:00.000Z;\r\n waits=retry; until="));
    assert_true(holds(&out, "X-Queue-Recipient: z@y.example; state=in-attempt; attempts=0\r\n"
                            "Subject: x\r\n\r\nhello\r\n"));
    /* No value ends its field. */
    assert_true(holds(&out, "detail=it??X-Forged: yes"));
    assert_false(holds(&out, "X-Queue-Cut") || holds(&out, "X-Queue-Recipients"));
    buf_free(&out);
}

TEST(message_says_what_is_left_out)
{
    struct queue_shown shown = shown_message();
    struct buf out;

    shown.recipient_count = QUEUE_SHOW_RECIPIENTS + 1;
    shown.size = 100000;
    buf_init(&out, QUEUE_SHOW_MAX);
    assert_true(queue_show_message(&shown, &out));
    assert_true(holds(&out, "X-Queue-Recipients: 21, of which 20 are shown\r\n"));
    assert_true(holds(&out, "X-Queue-Cut: the first 21 of 100000 bytes\r\n"));
    buf_free(&out);
    buf_init(&out, 16);
    assert_false(queue_show_message(&shown, &out));
    buf_free(&out);
    buf_init(&out, QUEUE_SHOW_MAX);
    assert_true(queue_show_more(5000, 31000, 0, &out));
    assert_true(holds(&out, "Subject: The newest 5000 of more than 31000 waiting messages\r\n"));
    buf_free(&out);
}

TEST(names_are_read_as_they_were_written)
{
    static const char *const others[] = {
        "",
        "1780000000.M1P2.host,S=1",
        "x.Q000000000000002a.00000007.0000000b,S=5,W=5",
        "1780000000.Q00000000000002a.00000007.0000000b,S=5,W=5",
        "1780000000.Q000000000000002a.0000007.0000000b,S=5,W=5",
        "1780000000.Q000000000000002A.00000007.0000000b,S=5,W=5",
        "1780000000.Q000000000000002a.00000007.0000000b",
        "1780000000.Q",
    };
    const struct queue_show_name name = {42, 7, 11};
    struct queue_show_name read = {0};
    char text[QUEUE_SHOW_NAME_MAX];

    queue_show_format(&name, 1780000000, 5, text);
    assert_string_equal(text, "1780000000.Q000000000000002a.00000007.0000000b,S=5,W=5");
    assert_true(queue_show_parse(bytes_of(text), &read));
    assert_true(read.id == 42 && read.state == 7 && read.run == 11);
    assert_true(
        queue_show_parse(BYTES("1.Q000000000000002a.00000007.0000000b,S=5,W=5:2,S"), &read));
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        expect_row(i, !queue_show_parse(bytes_of(others[i]), &read));
}
