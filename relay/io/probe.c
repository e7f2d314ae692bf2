/* probe.c - whether this kernel can run engines, and if not, what to tell the operator. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <unistd.h>

#include "io/engine.h"

static const char too_old[] =
    "this kernel's io_uring is too old: ringpost needs Linux 6.1 or newer";

static const uint8_t opcodes[] = {
    IORING_OP_ACCEPT, IORING_OP_CONNECT, IORING_OP_RECV,         IORING_OP_SEND,
    IORING_OP_READ,   IORING_OP_WRITE,   IORING_OP_FSYNC,        IORING_OP_POLL_ADD,
    IORING_OP_CLOSE,  IORING_OP_TIMEOUT, IORING_OP_ASYNC_CANCEL,
};

/* '0': allowed, '1': for a group only, '2': for nobody; '0' as well where it does not exist. */
static char disabled_sysctl(void)
{
    char value = '0';
    int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return '0';
    if (read(fd, &value, 1) != 1)
        value = '0';
    close(fd);
    return value;
}

const char *engine_setup_why(int error)
{
    switch (error) {
    case -ENOSYS:
        return "io_uring is not there: this kernel was built without it or a sandbox hides it; "
               "ringpost needs Linux 6.1 or newer with CONFIG_IO_URING";
    case -EPERM:
    case -EACCES:
        if (disabled_sysctl() != '0')
            return "io_uring is switched off by the sysctl kernel.io_uring_disabled: set it to 0, "
                   "or to 1 with this user in the group of kernel.io_uring_group";
        return "io_uring is forbidden by a seccomp profile (the default of container runtimes): "
               "allow io_uring_setup, io_uring_enter and io_uring_register";
    case -EINVAL: /* SINGLE_ISSUER and DEFER_TASKRUN came with 6.0 and 6.1 */
        return too_old;
    case -ENOMEM:
        return "no memory for an io_uring: raise the limit of locked memory (ulimit -l, "
               "LimitMEMLOCK=), which counts for all programs of a user together";
    case -EMFILE:
    case -ENFILE:
        return "no file descriptor left for an io_uring: raise the limit (ulimit -n, "
               "LimitNOFILE=)";
    default:
        return "io_uring_setup fails: see the errno";
    }
}

static int check_opcodes(struct io_uring *ring, const char **why_out)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    int error = 0;

    if (probe == NULL) {
        *why_out = too_old;
        return -EOPNOTSUPP;
    }
    for (size_t i = 0; i < ARRAY_LEN(opcodes); i++) {
        if (!io_uring_opcode_supported(probe, opcodes[i])) {
            *why_out = too_old;
            error = -EOPNOTSUPP;
        }
    }
    io_uring_free_probe(probe);
    return error;
}

int engine_probe(const char **why_out)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
                 IORING_SETUP_SUBMIT_ALL,
        .cq_entries = 64,
    };
    struct io_uring ring;
    int error = io_uring_queue_init_params(8, &ring, &params);

    if (error < 0) {
        *why_out = engine_setup_why(error);
        return error;
    }
    if (!(params.features & IORING_FEAT_EXT_ARG) || !(params.features & IORING_FEAT_NODROP) ||
        !(params.features & IORING_FEAT_CQE_SKIP)) {
        *why_out = too_old;
        error = -EOPNOTSUPP;
    } else {
        error = check_opcodes(&ring, why_out);
    }
    io_uring_queue_exit(&ring);
    return error;
}
