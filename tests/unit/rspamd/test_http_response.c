#include "inbound/rspamd/http_response.h"

#include <string.h>

#include "inbound/rspamd/rspamd.h"
#include "support/unit.h"

static const struct {
    struct bytes input;
    unsigned status;
    bool keeps_alive;
    struct bytes body;
    size_t left;
} good[] = {
    {BYTES("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP"), 200, true, BYTES("{}"), 4},
    {BYTES("HTTP/1.1 200\r\ncontent-length:2\r\nConnection: Close\r\n\r\n{}"), 200, false,
     BYTES("{}"), 0},
    {BYTES("HTTP/1.0 404 no\r\nContent-Length: 0\r\n\r\n"), 404, false, BYTES(""), 0},
    {BYTES("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"), 200, true,
     BYTES("x"), 0},
    {BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\nA\r\n0123456789"
           "\r\n0\r\nX: y\r\n\r\nrest"),
     200, true, BYTES("abc0123456789"), 4},
};

TEST(http_response_is_taken_whole_and_not_before)
{
    struct http_response response;
    struct buf body;

    buf_init(&body, HTTP_BODY_MAX);
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct bytes input = good[i].input;

        for (size_t len = 0; len < input.len - good[i].left; len++) {
            struct bytes part = bytes_slice(input, 0, len);

            expect_row(i, http_response_take(&part, false, &response, &body) == HTTP_MORE);
            expect_row(i, http_response_take(&part, true, &response, &body) == HTTP_BAD);
            expect_row(i, part.len == len);
        }
        expect_row(i, http_response_take(&input, false, &response, &body) == HTTP_DONE);
        expect_row(i, response.status == good[i].status);
        expect_row(i, response.keeps_alive == good[i].keeps_alive);
        expect_row(i, bytes_equal(buf_bytes(&body), good[i].body));
        expect_row(i, input.len == good[i].left);
    }
    buf_free(&body);
}

TEST(http_response_without_a_length_ends_with_the_connection)
{
    struct bytes input = BYTES("HTTP/1.1 200 OK\r\n\r\n{\"a\":1}");
    struct http_response response;
    struct buf body;

    buf_init(&body, HTTP_BODY_MAX);
    assert_int_equal(http_response_take(&input, false, &response, &body), HTTP_MORE);
    assert_int_equal(http_response_take(&input, true, &response, &body), HTTP_DONE);
    assert_true(bytes_equal(buf_bytes(&body), BYTES("{\"a\":1}")));
    assert_false(response.keeps_alive);
    buf_free(&body);
}

static const struct bytes bad[] = {
    BYTES("SMTP/1.1 200 OK\r\n\r\n"),
    BYTES("HTTP/2.0 200 OK\r\n\r\n"),
    BYTES("HTTP/1.1 2 OK\r\n\r\n"),
    BYTES("HTTP/1.1 2000 OK\r\n\r\n"),
    BYTES("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
    BYTES("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
    BYTES("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"),
    BYTES("HTTP/1.1 200 OK\r\nContent-Length: 262145\r\n\r\n"),
    BYTES("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"),
    BYTES("HTTP/1.1 200 OK\r\n folded: x\r\n\r\n"),
    BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"),
    BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"),
    BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n"),
};

TEST(http_response_that_is_none_is_refused)
{
    struct http_response response;
    struct buf body;

    buf_init(&body, HTTP_BODY_MAX);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct bytes input = bad[i];

        expect_row(i, http_response_take(&input, false, &response, &body) == HTTP_BAD);
        expect_row(i, input.len == bad[i].len);
    }
    buf_free(&body);
}

TEST(http_response_head_is_bounded)
{
    static uint8_t text[HTTP_HEAD_MAX + 1];
    struct bytes input = bytes_range(text, sizeof(text));
    struct http_response response;
    struct buf body;

    buf_init(&body, HTTP_BODY_MAX);
    memset(text, 'x', sizeof(text));
    assert_int_equal(http_response_take(&input, false, &response, &body), HTTP_BAD);
    buf_free(&body);
}

TEST(rspamd_answer_is_read)
{
    struct rspamd_answer answer;
    struct address address;

    assert_true(rspamd_parse(BYTES("{\"action\":\"soft reject\",\"score\":7,"
                                   "\"required_score\":15.5}"),
                             &answer));
    assert_int_equal(answer.action, RSPAMD_SOFT_REJECT);
    assert_true(answer.score == 7 && answer.required == 15.5);
    assert_false(rspamd_parse(BYTES("{\"action\":\"burn\",\"score\":7}"), &answer));
    assert_false(rspamd_parse(BYTES("{\"score\":7}"), &answer));
    assert_false(rspamd_parse(BYTES("[]"), &answer));
    assert_false(rspamd_parse(BYTES(""), &answer));
    assert_true(rspamd_parse_url(BYTES("http://127.0.0.1:11333"), &address));
    assert_int_equal(address_port(&address), 11333);
    assert_true(rspamd_parse_url(BYTES("http://[::1]:11333/"), &address));
    assert_false(rspamd_parse_url(BYTES("https://127.0.0.1:11333"), &address));
    assert_false(rspamd_parse_url(BYTES("http://scan.example:11333"), &address));
    assert_false(rspamd_parse_url(BYTES("http://127.0.0.1:11333/checkv2"), &address));
}
