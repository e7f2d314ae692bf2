/* test_json_text.c - any bytes as JSON. */
#include <jansson.h>
#include <stdlib.h>

#include "event/json_text.h"
#include "support/unit.h"

TEST(json_text_is_never_refused)
{
    static const struct {
        struct bytes text;
        const char *expected;
    } rows[] = {
        {BYTES(""), ""},
        {BYTES("a\xc3\xbc"), "a\xc3\xbc"},
        {BYTES("\xc3"), "\xef\xbf\xbd"},
        {BYTES("\xff\xfe"), "\xef\xbf\xbd\xef\xbf\xbd"},
        {BYTES("a\0b"), "a\xef\xbf\xbd"
                        "b"},
        {BYTES("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_t *json = json_text(rows[i].text);

        assert_non_null(json);
        assert_string_equal(json_string_value(json), rows[i].expected);
        char *dumped = json_dumps(json, JSON_ENCODE_ANY); /* refuses what is no UTF-8 */
        assert_non_null(dumped);
        free(dumped);
        json_decref(json);
    }
}
