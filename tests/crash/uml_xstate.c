/*
 * uml_xstate.c - lets user-mode-linux 6.1 run on processors with more registers than it knows.
 *
 * It restores its processes' vector registers by PTRACE_SETREGSET with 2,696 bytes, which ends
 * behind AVX-512 and the protection keys. A kernel whose processor has AMX wants all 11,008 and
 * answers EFAULT, upon which the guest's first process dies. Preloaded into user-mode-linux, this
 * ptrace() fills up with zeros: state that the guest, which knows nothing of it, never has. The
 * host's kernel takes as much of it as it has registers.
 */
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Static, because the guest kernel's stacks are smaller; it has one thread that calls ptrace(). */
static char state[32 * 1024];

long ptrace(enum __ptrace_request request, ...)
{
    struct iovec padded = {state, sizeof(state)};
    long word;
    va_list arguments;

    va_start(arguments, request);
    pid_t pid = va_arg(arguments, pid_t);
    void *at = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);
    if (request == PTRACE_SETREGSET && at == (void *)NT_X86_XSTATE) {
        const struct iovec *given = data;
        if (given->iov_len < sizeof(state)) {
            memcpy(state, given->iov_base, given->iov_len);
            memset(state + given->iov_len, 0, sizeof(state) - given->iov_len);
            data = &padded;
        }
    }
    if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
        /* The system call stores the word; the C library returns it. */
        if (syscall(SYS_ptrace, request, pid, at, &word) < 0)
            return -1;
        errno = 0;
        return word;
    }
    return syscall(SYS_ptrace, request, pid, at, data);
}
