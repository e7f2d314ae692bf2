/* test_check.c - broken claims end the process. */
#include "support/unit.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

TEST(check_that_holds_evaluates_once_and_goes_on)
{
    int calls = 0;

    check(++calls == 1);
    assert_int_equal(calls, 1);
}

TEST(check_that_fails_names_the_claim_and_aborts)
{
    int ends[2];
    char text[512];
    int status;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();

    if (child == 0) {
        signal(SIGABRT, SIG_DFL); /* cmocka's handler would long-jump */
        dup2(ends[1], STDERR_FILENO);
        check(1 + 1 == 3);
        _exit(0);
    }
    close(ends[1]);
    waitpid(child, &status, 0);
    ssize_t len = read(ends[0], text, sizeof(text) - 1);

    close(ends[0]);
    assert_true(len > 0);
    text[len] = '\0';
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "1 + 1 == 3"));
    assert_non_null(strstr(text, "test_check.c"));
}

TEST(container_of_finds_the_embedding_object)
{
    struct outer {
        int before;
        int member;
    } outer = {1, 2};

    assert_ptr_equal(container_of(&outer.member, struct outer, member), &outer);
}
