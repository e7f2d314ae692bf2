/* unit_main.c - collects the tests of one program and runs them. */
#include "support/unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TESTS_MAX = 512,
/* One that takes as long hangs, and ends the program instead of waiting for ctest to do so. The
     * longest takes 2 s of CPU time, and a minute under ThreadSanitizer, with others beside it. */
#ifdef __SANITIZE_THREAD__
    HANGS_AFTER_S = 540,
#else
    HANGS_AFTER_S = 180,
#endif
};

static struct CMUnitTest tests[TESTS_MAX];
static size_t test_count;

void unit_register(const char *name, void (*run)(void **state))
{
    if (test_count == TESTS_MAX)
        abort();
    tests[test_count++] = (struct CMUnitTest){.name = name, .test_func = run};
}

static void on_alarm(int signal)
{
    static const char text[] = "the test begun last hangs\n";
    ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);

    (void)signal;
    (void)written;
    abort();
}

static int watch(void **state)
{
    (void)state;
    alarm(HANGS_AFTER_S);
    return 0;
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
    for (size_t i = 0; i < kept; i++)
        tests[i].setup_func = watch;
    signal(SIGALRM, on_alarm);
    if (kept == 0) {
        fprintf(stderr, "no tests\n");
        return 1;
    }
    return _cmocka_run_group_tests("tests", tests, kept, NULL, NULL);
}
