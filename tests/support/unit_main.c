/* unit_main.c - collects the tests of one program and runs them. */
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TESTS_MAX = 512 };

static struct CMUnitTest tests[TESTS_MAX];
static size_t test_count;

void unit_register(const char *name, void (*run)(void **state))
{
    if (test_count == TESTS_MAX)
        abort();
    tests[test_count++] = (struct CMUnitTest){.name = name, .test_func = run};
}

static int is_wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strstr(name, argv[i]) != NULL)
            return 1;
    return argc < 2;
}

int main(int argc, char **argv)
{
    size_t kept = 0;

    for (size_t i = 0; i < test_count; i++)
        if (is_wanted(tests[i].name, argc, argv))
            tests[kept++] = tests[i];
    if (kept == 0) {
        fprintf(stderr, "no tests\n");
        return 1;
    }
    return _cmocka_run_group_tests("tests", tests, kept, NULL, NULL);
}
