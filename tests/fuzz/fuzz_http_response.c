/* modules: rspamd */
/*
 * fuzz_http_response.c - answers of a scanner. What is taken is taken whole, and says the same when
 * it has come in one piece or is followed by more.
 */
#include "inbound/rspamd/http_response.h"
#include "inbound/rspamd/rspamd.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes whole = {input, len}, rest = whole;
    struct http_response response = {0};
    struct rspamd_answer answer;
    struct buf body;

    buf_init(&body, HTTP_BODY_MAX);
    enum http_step step = http_response_take(&rest, false, &response, &body);
    check((step == HTTP_DONE) == (rest.len < whole.len));
    if (step == HTTP_DONE) {
        check(response.status >= 200 && response.status <= 999);
        (void)!rspamd_parse(buf_bytes(&body), &answer);
        struct bytes part = bytes_slice(whole, 0, whole.len - rest.len);
        check(http_response_take(&part, false, &response, &body) == HTTP_DONE && part.len == 0);
    } else {
        rest = whole;
        check(http_response_take(&rest, true, &response, &body) != HTTP_MORE);
    }
    buf_free(&body);
    return 0;
}
