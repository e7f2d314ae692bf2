/* test_json_check.c - which JSON of submitters may stand in an event's line. */
#include <jansson.h>
#include <string.h>

#include "event/json_check.h"
#include "support/unit.h"

TEST(objects_are_told_from_all_else)
{
    static const struct {
        struct bytes json;
        bool is_object;
    } rows[] = {
        {BYTES("{}"), true},
        {BYTES(" { } "), true},
        {BYTES("{\"a\":1,\"b\":[true,false,null],\"c\":{\"d\":\"e\\u00fc\"}}"), true},
        {BYTES("{\"n\":-0.5e+10}"), true},
        {BYTES("{\"a\":[]}"), true},
        {BYTES(""), false},
        {BYTES("[]"), false},
        {BYTES("null"), false},
        {BYTES("\"a\""), false},
        {BYTES("{"), false},
        {BYTES("{\"a\"}"), false},
        {BYTES("{\"a\":}"), false},
        {BYTES("{\"a\":1,}"), false},
        {BYTES("{a:1}"), false},
        {BYTES("{'a':1}"), false},
        {BYTES("{\"a\":01}"), false},
        {BYTES("{\"a\":-}"), false},
        {BYTES("{\"a\":1.}"), false},
        {BYTES("{\"a\":1e}"), false},
        {BYTES("{\"a\":+1}"), false},
        {BYTES("{\"a\":nul}"), false},
        {BYTES("{\"a\":nan}"), false},
        {BYTES("{\"a\":1]"), false},
        {BYTES("{\"a\":1}{}"), false},
        {BYTES("{\"a\":1} x"), false},
        {BYTES("{\"a\":\n1}"), false},         /* an event is one line */
        {BYTES("{\"a\":\"\\ud800\"}"), false}, /* half a pair */
        {BYTES("{\"a\":\"\\u0000\"}"), false}, /* many readers refuse NUL */
        {BYTES("{\"a\":\"\x01\"}"), false},
        {BYTES("{\"a\":\"\xff\"}"), false},
        {BYTES("{\"a\":\"\\x\"}"), false},
        {BYTES("{\"a\":\"b"), false},
        {BYTES("{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}"), true},
        {BYTES("{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}"), false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (json_holds_object(rows[i].json) != rows[i].is_object)
            fail_msg("%.*s", BYTES_ARG(rows[i].json));
        json_error_t error;
        json_t *json = json_loadb((const char *)rows[i].json.ptr, rows[i].json.len, 0, &error);

        /* What we let pass another parser takes too. */
        if (rows[i].is_object)
            assert_true(json != NULL && json_is_object(json));
        json_decref(json);
    }
}

TEST(arrays_of_strings_are_told_from_all_else)
{
    assert_true(json_holds_strings(BYTES("[]")));
    assert_true(json_holds_strings(BYTES(" [ \"a\" , \"b\" ] ")));
    assert_false(json_holds_strings(BYTES("")));
    assert_false(json_holds_strings(BYTES("[1]")));
    assert_false(json_holds_strings(BYTES("[\"a\",]")));
    assert_false(json_holds_strings(BYTES("[\"a\"")));
    assert_false(json_holds_strings(BYTES("{\"a\":1}")));
}
