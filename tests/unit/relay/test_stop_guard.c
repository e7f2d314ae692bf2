/* test_stop_guard.c - a stop that hangs ends, one that does not is left alone. */
#include "relay/stop_guard.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/unit.h"

/* The exit code of a process that hangs in its stop, or 0 where it is let go in time. */
static int code_of(bool hangs)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct stop_guard *guard =
            stop_guard_start(clock_monotonic_ms() + (hangs ? 50 : 60000), 71);

        alarm(60);
        while (hangs)
            pause();
        stop_guard_cancel(&guard);
        _exit(guard == NULL ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

TEST(stop_guard_ends_what_hangs)
{
    assert_int_equal(code_of(true), 71);
}

TEST(stop_guard_lets_go)
{
    assert_int_equal(code_of(false), 0);
}
