/* archive_sandbox.c - limits, and a filter of system calls (seccomp(2)). */
#include "inbound/archives/archive_sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sanitizer.h"
#include "inbound/archives/archive_child.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef ARCH

#define LOAD(field) \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (action))
#define REFUSE RETURN(SECCOMP_RET_ERRNO | EPERM)
#define ALLOW(call) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##call, 0, 1), RETURN(SECCOMP_RET_ALLOW)
/* Only where the third argument has no PROT_EXEC: what is written is not run. */
#define ALLOW_UNLESS_EXEC(call) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##call, 0, 4), LOAD(args[2]), \
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1), REFUSE, RETURN(SECCOMP_RET_ALLOW)

static int filter_calls(void)
{
    /* A call that is not here fails and no more: the C library asks for some that it can do
     * without, as for the tables of character sets. */
    struct sock_filter rows[] = {
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        LOAD(nr),
        ALLOW(read),
        ALLOW(write),
        ALLOW(brk),
        ALLOW(munmap),
        ALLOW(mremap),
        ALLOW(madvise),
        ALLOW(futex),
        ALLOW(sched_yield),
        ALLOW(setitimer),
        ALLOW(getrandom),
        ALLOW(clock_gettime),
        ALLOW(rt_sigreturn),
        ALLOW(restart_syscall),
        ALLOW(exit),
        ALLOW(exit_group),
        ALLOW_UNLESS_EXEC(mmap),
        ALLOW_UNLESS_EXEC(mprotect),
        REFUSE,
    };
    const struct sock_fprog program = {.len = ARRAY_LEN(rows), .filter = rows};

    /* Of all threads: an allocator may have one. Where the call itself is forbidden, of this. */
    if (syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0)
        return 0;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : -errno;
}

#else

static int filter_calls(void)
{
    return -ENOSYS;
}

#endif

static int limit(int resource, rlim_t value)
{
    const struct rlimit limits = {value, value};

    return setrlimit(resource, &limits) == 0 ? 0 : -errno;
}

int archive_sandbox_enter(void)
{
    int error = 0;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return -errno;
    if ((error = limit(RLIMIT_CORE, 0)) < 0 || (error = limit(RLIMIT_FSIZE, 0)) < 0)
        return error;
    /* Shadow memory is as large as the address space. */
    if (!HAVE_ASAN && !HAVE_TSAN && (error = limit(RLIMIT_DATA, ARCHIVE_MEMORY)) < 0)
        return error;
    return filter_calls();
}
