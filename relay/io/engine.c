/* engine.c - the loop on io_uring; the only file that talks to liburing (with probe.c). */
#include "io/engine.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sanitizer.h"
#include "io/loop.h"

enum {
    RING_ENTRIES = 4096,
    RING_ENTRIES_MIN = 128, /* what a small limit of locked memory brings it down to */
    RING_GONE_US = 20000,   /* the kernel gives back a closed ring's memory a moment later */
    BUFFER_COUNT = 1024,
    BUFFER_SIZE = 16384,
    BUFFER_GROUP = 0,
    /* The completion queue is longer than the submission queue: an op takes one entry there, but a
     * multishot op completes many times. Past it the kernel allocates for each completion. */
    COMPLETIONS_PER_ENTRY = 4,
};

/* user_data of a completion: the op's address and, above its 48 bits, the low half of the op's
 * generation. 0 belongs to nobody: cancels and closes, of which only failures are told. */
static const unsigned address_bits = 48;

struct engine {
    struct loop loop; /* first: loop.c */
    struct io_uring ring;
    struct io_uring_cqe *batch; /* completions taken out of the ring, being run */
    size_t batch_len;
    size_t batch_run; /* of these, the first that has not begun to run */
    size_t batch_capacity;
    struct io_uring_buf_ring *buffer_ring;
    uint8_t *buffers;
    unsigned buffer_count;
    unsigned buffer_size;
    int buffers_returned; /* put into the ring, not yet shown to the kernel */
    size_t in_flight;
    struct op doorbell;
};

/* --- ring ----------------------------------------------------------------------------------- */

static void publish_buffers(struct engine *engine)
{
    if (engine->buffers_returned == 0)
        return;
    io_uring_buf_ring_advance(engine->buffer_ring, engine->buffers_returned);
    engine->buffers_returned = 0;
}

/* Moves completions out of the ring into the batch: the kernel has the room back before any of
 * them runs and starts more. */
static void reap(struct engine *engine)
{
    size_t count = io_uring_cq_ready(&engine->ring);
    unsigned head;
    struct io_uring_cqe *cqe;

    if (engine->batch_len + count > engine->batch_capacity) {
        engine->batch_capacity = engine->batch_len + count;
        engine->batch = realloc(engine->batch, engine->batch_capacity * sizeof(*engine->batch));
        check(engine->batch != NULL);
    }
    size_t taken = 0;

    io_uring_for_each_cqe(&engine->ring, head, cqe)
    {
        if (taken == count)
            break;
        engine->batch[engine->batch_len + taken] = *cqe;
        taken++;
    }
    engine->batch_len += taken;
    io_uring_cq_advance(&engine->ring, (unsigned)taken);
}

/* -EAGAIN and -EBUSY are the kernel out of memory or of completion room; what was not taken stays
 * in the submission queue. */
static bool is_passing(int error)
{
    return error == -EINTR || error == -EAGAIN || error == -EBUSY || error == -ETIME;
}

/* Only when more ops start in one turn than the submission queue has entries. */
static struct io_uring_sqe *flush_for_sqe(struct engine *engine)
{
    struct io_uring_sqe *sqe;

    do {
        publish_buffers(engine);
        int error = io_uring_submit_and_get_events(&engine->ring);

        check(error >= 0 || is_passing(error));
        reap(engine); /* they run later in this turn, or in the next one */
        sqe = io_uring_get_sqe(&engine->ring);
    } while (sqe == NULL);
    return sqe;
}

static struct io_uring_sqe *take_sqe(struct engine *engine)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&engine->ring);

    return sqe != NULL ? sqe : flush_for_sqe(engine);
}

static uint64_t user_data_of(const struct op *op)
{
    return (uint64_t)(uintptr_t)op | (uint64_t)(uint16_t)op->generation << address_bits;
}

static struct io_uring_sqe *start(struct engine *engine, struct op *op)
{
    check(!op->in_flight);
    check(op->done != NULL);
    op->in_flight = true;
    op->generation++;
    engine->in_flight++;
    struct io_uring_sqe *sqe = take_sqe(engine);

    op->place = engine->ring.sq.sqe_tail;
    return sqe;
}

/* The preparing functions of liburing clear user_data in some releases: it comes last. */
static void finish_start(struct io_uring_sqe *sqe, const struct op *op)
{
    io_uring_sqe_set_data64(sqe, user_data_of(op));
}

static void return_buffer(struct engine *engine, unsigned id)
{
    check(id < engine->buffer_count);
    uint8_t *buffer = engine->buffers + (size_t)id * engine->buffer_size;

    asan_poison(buffer, engine->buffer_size);
    io_uring_buf_ring_add(engine->buffer_ring, buffer, engine->buffer_size, (unsigned short)id,
                          io_uring_buf_ring_mask(engine->buffer_count), engine->buffers_returned);
    engine->buffers_returned++;
}

static void complete(struct engine *engine, uint64_t user_data, int result, uint32_t ring_flags)
{
    struct op *op = (struct op *)(uintptr_t)(user_data & (((uint64_t)1 << address_bits) - 1));
    bool has_buffer = (ring_flags & IORING_CQE_F_BUFFER) != 0;
    uint16_t buffer_id = (uint16_t)(ring_flags >> IORING_CQE_BUFFER_SHIFT);
    bool is_current = op != NULL && op->in_flight &&
                      (uint16_t)op->generation == (uint16_t)(user_data >> address_bits);
    uint32_t flags = 0;

    if (has_buffer && (result <= 0 || !is_current)) {
        return_buffer(engine, buffer_id);
        has_buffer = false;
    }
    if (!is_current)
        return;
    if (has_buffer) {
        op->buffer_id = buffer_id;
        flags |= ENGINE_BUFFER;
        asan_unpoison(engine->buffers + (size_t)buffer_id * engine->buffer_size, (size_t)result);
    }
    if (ring_flags & IORING_CQE_F_MORE) {
        flags |= ENGINE_MORE;
    } else {
        op->in_flight = false;
        engine->in_flight--;
    }
    op->done(op, result, flags);
}

static void run_batch(struct engine *engine)
{
    /* A full submission queue may append while this runs. */
    for (size_t i = 0; i < engine->batch_len; i++) {
        struct io_uring_cqe cqe = engine->batch[i];

        engine->batch_run = i + 1;
        complete(engine, cqe.user_data, cqe.res, cqe.flags);
    }
    engine->batch_len = 0;
    engine->batch_run = 0;
}

/* --- the turn ------------------------------------------------------------------------------- */

/* Submits what the last turn started and waits for the first completion or the next timeout: one
 * system call a turn. */
static void submit_and_wait(struct engine *engine, int wait_ms)
{
    publish_buffers(engine);
    int64_t next_ms = engine->batch_len > 0 || wait_ms == 0 ? 0 : loop_fall_asleep(&engine->loop);

    if (next_ms <= engine->loop.now_ms) {
        int error = io_uring_submit_and_get_events(&engine->ring);

        check(error >= 0 || is_passing(error));
        return;
    }
    bool is_bounded = next_ms != INT64_MAX || wait_ms > 0;
    struct __kernel_timespec wait = {0};
    struct io_uring_cqe *unused;

    if (is_bounded) {
        int64_t wait_us = next_ms == INT64_MAX ? INT64_MAX : next_ms * 1000 - clock_monotonic_us();

        if (wait_ms > 0)
            wait_us = MIN(wait_us, (int64_t)wait_ms * 1000);
        wait_us = MAX(wait_us, (int64_t)0);
        wait.tv_sec = wait_us / 1000000;
        wait.tv_nsec = wait_us % 1000000 * 1000;
    }
    int error = io_uring_submit_and_wait_timeout(&engine->ring, &unused, 1,
                                                 is_bounded ? &wait : NULL, NULL);

    check(error >= 0 || is_passing(error));
    loop_wake_up(&engine->loop);
}

static void turn(struct engine *engine, int wait_ms)
{
    submit_and_wait(engine, wait_ms);
    int64_t began_us = clock_monotonic_us();
    engine->loop.now_ms = began_us / 1000;
    engine->loop.wall_ms = clock_wall_ms();
    reap(engine);
    run_batch(engine);
    loop_turn(&engine->loop);
    loop_count_turn(&engine->loop, began_us);
}

static void submit(struct engine *engine)
{
    publish_buffers(engine);
    if (io_uring_sq_ready(&engine->ring) == 0)
        return;
    int error = io_uring_submit(&engine->ring);

    check(error >= 0 || is_passing(error));
}

void engine_turn(struct engine *engine, int wait_ms)
{
    turn(engine, wait_ms);
    submit(engine); /* who counts turns expects what he closed to be closed */
}

void engine_run(struct engine *engine)
{
    do
        turn(engine, -1);
    while (!loop_was_stopped(&engine->loop));
    submit(engine);
}

static void arm_doorbell(struct engine *engine)
{
    struct io_uring_sqe *sqe = start(engine, &engine->doorbell);

    /* Every write to an eventfd wakes its pollers, so its counter need not be read. */
    io_uring_prep_poll_multishot(sqe, engine->loop.doorbell_fd, POLLIN);
    finish_start(sqe, &engine->doorbell);
}

static void doorbell_done(struct op *op, int result, uint32_t flags)
{
    struct engine *engine = container_of(op, struct engine, doorbell);

    /* Woken is all; letters are looked for in every turn. */
    (void)result;
    if (!(flags & ENGINE_MORE))
        arm_doorbell(engine);
}

/* --- creation ------------------------------------------------------------------------------- */

static int open_ring(struct engine *engine, unsigned entries)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
                 IORING_SETUP_SUBMIT_ALL,
        .cq_entries = entries * COMPLETIONS_PER_ENTRY,
    };
    int error = io_uring_queue_init_params(entries, &engine->ring, &params);

    if (error < 0)
        return error;
    engine->batch_capacity = params.cq_entries;
    engine->batch = malloc(engine->batch_capacity * sizeof(*engine->batch));
    check(engine->batch != NULL);
    /* Saves the look-up of the ring's descriptor on every call; without it all works the same. */
    (void)io_uring_register_ring_fd(&engine->ring);
    return 0;
}

static size_t buffer_ring_size(const struct engine *engine)
{
    return engine->buffer_count * sizeof(struct io_uring_buf);
}

static size_t buffers_size(const struct engine *engine)
{
    return (size_t)engine->buffer_count * engine->buffer_size;
}

static void *map_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static int open_buffers(struct engine *engine)
{
    engine->buffer_ring = map_memory(buffer_ring_size(engine));
    engine->buffers = map_memory(buffers_size(engine));
    if (engine->buffer_ring == NULL || engine->buffers == NULL)
        return -ENOMEM;
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)engine->buffer_ring,
        .ring_entries = engine->buffer_count,
        .bgid = BUFFER_GROUP,
    };
    int error = io_uring_register_buf_ring(&engine->ring, &registration, 0);

    if (error < 0)
        return error;
    io_uring_buf_ring_init(engine->buffer_ring);
    for (unsigned i = 0; i < engine->buffer_count; i++)
        return_buffer(engine, i);
    publish_buffers(engine);
    return 0;
}

static void unmap_buffers(struct engine *engine)
{
    if (engine->buffers != NULL) {
        asan_unpoison(engine->buffers, buffers_size(engine));
        munmap(engine->buffers, buffers_size(engine));
    }
    if (engine->buffer_ring != NULL)
        munmap(engine->buffer_ring, buffer_ring_size(engine));
    engine->buffers = NULL;
    engine->buffer_ring = NULL;
}

static int open_kernel(struct engine *engine, unsigned entries)
{
    int error = open_ring(engine, entries);

    if (error < 0)
        return error;
    error = open_buffers(engine);
    if (error < 0) {
        io_uring_queue_exit(&engine->ring);
        engine->ring.ring_fd = -1;
        free(engine->batch);
        engine->batch = NULL;
        unmap_buffers(engine);
    }
    return error;
}

/* The kernel counts rings against RLIMIT_MEMLOCK, for all of a user's processes together. A smaller
 * one costs system calls under load. */
static int open_less(struct engine *engine, unsigned index)
{
    unsigned entries = RING_ENTRIES;
    int error = -ENOMEM;

    while (error == -ENOMEM && entries > RING_ENTRIES_MIN) {
        usleep(RING_GONE_US);
        error = open_kernel(engine, entries /= 2);
    }
    if (error == 0)
        log_warn(
            "engine=%u ring_entries=%u wanted=%d what=\"little memory may be locked, the ring is "
            "a smaller one: raise ulimit -l (LimitMEMLOCK=)\"",
            index, entries, RING_ENTRIES);
    return error;
}

static bool is_power_of_two(unsigned n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

struct engine *engine_create(const struct engine_settings *settings)
{
    unsigned entries = settings->ring_entries != 0 ? settings->ring_entries : RING_ENTRIES;
    struct engine *engine = aligned_alloc(64, sizeof(*engine));

    check(engine != NULL);
    *engine = (struct engine){
        .buffer_count = settings->buffer_count != 0 ? settings->buffer_count : BUFFER_COUNT,
        .buffer_size = settings->buffer_size != 0 ? settings->buffer_size : BUFFER_SIZE,
        .ring = {.ring_fd = -1},
    };
    check(is_power_of_two(entries));
    check(is_power_of_two(engine->buffer_count));
    check(engine->buffer_count <= 32768);
    op_init(&engine->doorbell, doorbell_done);
    int error = loop_init(&engine->loop, settings->index, clock_monotonic_ms(), clock_wall_ms());

    /* now_ms is cut to whole milliseconds: without one more, timeouts fired up to one early. */
    engine->loop.clock_error_ms = 1;
    if (error == 0)
        error = open_kernel(engine, entries);
    if (error == -ENOMEM && settings->ring_entries == 0)
        error = open_less(engine, settings->index);
    if (error < 0) {
        engine_destroy(&engine);
        errno = -error;
        return NULL;
    }
    arm_doorbell(engine);
    return engine;
}

/* Owners should have waited for their ops. What is still in flight is ended here, since the memory
 * that it refers to may go next. */
static void close_ring(struct engine *engine)
{
    struct io_uring_sync_cancel_reg all = {
        .flags = IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY,
        .timeout = {.tv_sec = 1},
    };

    (void)io_uring_submit_and_get_events(&engine->ring);
    (void)io_uring_register_sync_cancel(&engine->ring, &all);
    io_uring_queue_exit(&engine->ring);
}

void engine_destroy(struct engine **engine)
{
    struct engine *e = *engine;

    if (e == NULL)
        return;
    if (e->ring.ring_fd >= 0)
        close_ring(e);
    loop_destroy(&e->loop);
    unmap_buffers(e);
    free(e->batch);
    free(e);
    *engine = NULL;
}

size_t engine_buffers_size(const struct engine *engine)
{
    return buffers_size(engine);
}

/* --- ops ------------------------------------------------------------------------------------ */

void engine_accept(struct engine *engine, struct op *op, int fd)
{
    struct io_uring_sqe *sqe = start(engine, op);

    io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    finish_start(sqe, op);
}

void engine_connect(struct engine *engine, struct op *op, int fd, const struct sockaddr *address,
                    socklen_t address_len)
{
    struct io_uring_sqe *sqe = start(engine, op);

    io_uring_prep_connect(sqe, fd, address, address_len);
    finish_start(sqe, op);
}

void engine_receive(struct engine *engine, struct op *op, int fd)
{
    struct io_uring_sqe *sqe = start(engine, op);

    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    /* The socket is nearly always empty now: look before trying in vain. */
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
    finish_start(sqe, op);
}

void engine_receive_once(struct engine *engine, struct op *op, int fd, size_t len_max)
{
    check(len_max > 0);
    struct io_uring_sqe *sqe = start(engine, op);

    io_uring_prep_recv(sqe, fd, NULL, MIN(len_max, (size_t)engine->buffer_size), 0);
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
    finish_start(sqe, op);
}

struct bytes engine_buffer(struct engine *engine, const struct op *op, int result)
{
    check(result > 0);
    check((unsigned)result <= engine->buffer_size);
    return (struct bytes){engine->buffers + (size_t)op->buffer_id * engine->buffer_size,
                          (size_t)result};
}

void engine_buffer_return(struct engine *engine, const struct op *op)
{
    return_buffer(engine, op->buffer_id);
}

/* Counted as the queue's head is. What has been in flight for 2^31 others looks as if it were still
 * in the queue, never the other way. */
static bool was_submitted(const struct engine *engine, const struct op *op)
{
    return (int32_t)(*engine->ring.sq.khead - op->place) >= 0;
}

/* What wakes a receive is work for the next call into the ring (DEFER_TASKRUN), and from the
 * wake-up on a flag says that there is some, of whatever op. */
static bool has_work(const struct engine *engine)
{
    return (IO_URING_READ_ONCE(*engine->ring.sq.kflags) & IORING_SQ_TASKRUN) != 0;
}

/* Of the op, and with bytes. *is_over_out is set by its last. */
static bool brings_bytes(const struct io_uring_cqe *cqe, const struct op *op, bool *is_over_out)
{
    if (cqe->user_data != user_data_of(op))
        return false;
    if (!(cqe->flags & IORING_CQE_F_MORE))
        *is_over_out = true;
    return cqe->res > 0;
}

enum engine_unread engine_unread(const struct engine *engine, const struct op *op)
{
    const struct io_uring_cqe *cqe;
    bool is_over = false;
    unsigned head;

    if (!op->in_flight)
        return ENGINE_UNREAD_ASK;
    for (size_t i = engine->batch_run; i < engine->batch_len; i++)
        if (brings_bytes(&engine->batch[i], op, &is_over))
            return ENGINE_UNREAD_HERE;
    /* Put there by a submission in the middle of the turn. */
    io_uring_for_each_cqe(&engine->ring, head, cqe)
    {
        if (brings_bytes(cqe, op, &is_over))
            return ENGINE_UNREAD_HERE;
    }
    if (is_over || !was_submitted(engine, op) || has_work(engine))
        return ENGINE_UNREAD_ASK;
    return ENGINE_UNREAD_NONE;
}

void engine_send(struct engine *engine, struct op *op, int fd, struct bytes b)
{
    struct io_uring_sqe *sqe = start(engine, op);

    io_uring_prep_send(sqe, fd, b.ptr, b.len, MSG_NOSIGNAL);
    finish_start(sqe, op);
}

/* Lengths are 32 bits in the ring; nobody has a gigabyte to write at once. */
static unsigned ring_len(size_t len)
{
    check(len <= INT32_MAX);
    return (unsigned)len;
}

void engine_write(struct engine *engine, struct op *op, int fd, struct bytes b, uint64_t offset)
{
    struct io_uring_sqe *sqe = start(engine, op);

    io_uring_prep_write(sqe, fd, b.ptr, ring_len(b.len), offset);
    finish_start(sqe, op);
}

void engine_write_durable(struct engine *engine, struct op *op, int fd, struct bytes b,
                          uint64_t offset)
{
    struct io_uring_sqe *sqe = start(engine, op);

    io_uring_prep_write(sqe, fd, b.ptr, ring_len(b.len), offset);
    sqe->rw_flags = RWF_DSYNC;
    finish_start(sqe, op);
}

void engine_read(struct engine *engine, struct op *op, int fd, void *into, size_t len,
                 uint64_t offset)
{
    struct io_uring_sqe *sqe = start(engine, op);

    io_uring_prep_read(sqe, fd, into, ring_len(len), offset);
    finish_start(sqe, op);
}

void engine_sync(struct engine *engine, struct op *op, int fd)
{
    struct io_uring_sqe *sqe = start(engine, op);

    io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    finish_start(sqe, op);
}

void engine_poll(struct engine *engine, struct op *op, int fd, unsigned mask)
{
    struct io_uring_sqe *sqe = start(engine, op);

    io_uring_prep_poll_add(sqe, fd, mask);
    finish_start(sqe, op);
}

void engine_cancel(struct engine *engine, struct op *op)
{
    if (!op->in_flight)
        return;
    struct io_uring_sqe *sqe = take_sqe(engine);

    io_uring_prep_cancel64(sqe, user_data_of(op), 0);
    /* Not found or too late: the op's own completion tells. */
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, 0);
}

/* By the ring rather than close(2): it costs no system call of its own and keeps its place behind
 * what was submitted before, such as the cancel of a send on this descriptor. */
void engine_close(struct engine *engine, int fd)
{
    check(fd >= 0);
#if HAVE_TSAN
    /* The sanitizer follows descriptors through the calls it knows. If it does not see this end,
     * the next thread that gets the number seems to race with the one that had it. */
    (void)engine;
    close(fd);
#else
    struct io_uring_sqe *sqe = take_sqe(engine);

    io_uring_prep_close(sqe, fd);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, 0);
#endif
}
