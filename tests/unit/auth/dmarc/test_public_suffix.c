/* test_public_suffix.c - the published tests of the list. */
/* modules: dmarc */
#include "auth/dmarc/public_suffix.h"

#include <stdio.h>
#include <string.h>

#include "support/unit.h"

TEST(suite_of_the_list)
{
    static const char path[] = "../shared/suites/psl/tests.txt";
    FILE *file = fopen(path, "r");
    char line[512], name[256], answer[256];
    size_t count = 0;

    if (file == NULL)
        fail_msg("%s is missing", path);
    while (fgets(line, sizeof(line), file) != NULL) {
        struct bytes found;

        if (strncmp(line, "//", 2) == 0 || sscanf(line, "%255s %255s", name, answer) != 2)
            continue;
        bool has_answer = public_suffix_registrable(bytes_of(name), &found);

        if (has_answer ? !bytes_equal_nocase(found, bytes_of(answer)) : strcmp(answer, "null") != 0)
            fail_msg("%s: %.*s is not %s", name, has_answer ? (int)found.len : 4,
                     has_answer ? (const char *)found.ptr : "null", answer);
        count++;
    }
    fclose(file);
    assert_int_equal(count, 78);
}

TEST(registrable_refuses_what_is_no_name)
{
    char text[2000];
    struct bytes found;

    memset(text, 'a', sizeof(text));
    assert_false(public_suffix_registrable(bytes_range(text, sizeof(text)), &found));
    assert_false(public_suffix_registrable(bytes_range("a\0b.example", 11), &found));
    assert_false(public_suffix_registrable(BYTES("a\xff.example"), &found));
    assert_false(public_suffix_registrable(BYTES_NONE, &found));
}
