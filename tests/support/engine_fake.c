/* engine_fake.c - engine.h in user space, unkind on purpose. See engine_fake.h. */
#include "tests/support/engine_fake.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/loop.h"

enum {
    BUFFER_COUNT = 64, /* few: running out is to be seen */
    BUFFER_SIZE = 4096,
    FAULTS_MAX = 16,
    CHUNKS_MAX = 3, /* completions of a multishot op in one turn */
};

static const int64_t start_ms = 1000000;
static const int64_t start_wall_ms = 1767225600000; /* 2026-01-01T00:00:00Z */

/* An op in flight. */
struct flight {
    struct list_node node; /* in engine->flights until the last completion is performed */
    struct op *op;
    enum fake_call call;
    int fd;
    const uint8_t *from;
    uint8_t *into;
    const struct sockaddr *address;
    size_t len;
    uint64_t offset;
    unsigned mask;    /* readiness to wait for; 0: always ready */
    void *disk_write; /* the simulated disk's */
    bool is_cancelled;
    bool is_ready;
    bool is_once; /* a receive of at most len bytes */
    int start_error;
};

struct completion {
    struct list_node node;
    struct flight *flight;
    int result;
    uint32_t flags;
    uint16_t buffer_id;
};

struct fault {
    enum fake_call call;
    unsigned at; /* count of the call; 0: every */
    int error;   /* 0: shorten to len */
    size_t len;
};

struct engine {
    struct loop loop; /* first: loop.c */
    struct list flights;
    struct list completions;
    struct list batch; /* of these, what this turn runs */
    uint8_t **buffers; /* NULL: free */
    unsigned buffer_count;
    unsigned buffer_size;
    size_t in_flight;
    uint64_t random;
    bool is_calm;
    bool clock_runs;
    unsigned counts[FAKE_CALLS];
    struct fault faults[FAULTS_MAX];
    size_t fault_count;
};

static _Thread_local uint64_t thread_seed;
static _Thread_local const struct fake_disk *thread_disk;

void fake_seed(uint64_t seed)
{
    thread_seed = seed;
}

void fake_disk(const struct fake_disk *disk)
{
    thread_disk = disk;
}

static bool is_simulated(int fd)
{
    return thread_disk != NULL && thread_disk->owns(fd);
}

static uint64_t first_seed(void)
{
    const char *text = getenv("FAKE_SEED");

    if (thread_seed != 0)
        return thread_seed;
    return text != NULL ? strtoull(text, NULL, 10) : 1;
}

/* splitmix64; not base/random.h, whose sequence belongs to the code under test. */
static uint64_t draw(struct engine *engine)
{
    uint64_t z = (engine->random += 0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static bool one_in(struct engine *engine, unsigned n)
{
    return !engine->is_calm && draw(engine) % n == 0;
}

/* --- for tests ------------------------------------------------------------------------------ */

void fake_calm(struct engine *engine)
{
    engine->is_calm = true;
}

void fake_advance_ms(struct engine *engine, int64_t ms)
{
    check(ms >= 0);
    engine->loop.now_ms += ms;
    engine->loop.wall_ms += ms;
}

void fake_step_wall_ms(struct engine *engine, int64_t ms)
{
    engine->loop.wall_ms += ms;
}

void fake_clock_runs(struct engine *engine, bool runs)
{
    engine->clock_runs = runs;
}

static void add_fault(struct engine *engine, unsigned nth, struct fault fault)
{
    check(engine->fault_count < FAULTS_MAX);
    fault.at = nth == FAKE_EVERY ? 0 : engine->counts[fault.call] + nth;
    engine->faults[engine->fault_count++] = fault;
}

void fake_fail(struct engine *engine, enum fake_call call, unsigned nth, int error)
{
    check(error > 0);
    add_fault(engine, nth, (struct fault){.call = call, .error = error});
}

void fake_shorten(struct engine *engine, enum fake_call call, unsigned nth, size_t len)
{
    add_fault(engine, nth, (struct fault){.call = call, .len = len});
}

void fake_clear_faults(struct engine *engine)
{
    engine->fault_count = 0;
}

unsigned fake_count(const struct engine *engine, enum fake_call call)
{
    return engine->counts[call];
}

size_t fake_in_flight(const struct engine *engine)
{
    return engine->in_flight;
}

static const struct fault *next_fault(struct engine *engine, enum fake_call call)
{
    unsigned count = ++engine->counts[call];

    for (size_t i = 0; i < engine->fault_count; i++) {
        const struct fault *fault = &engine->faults[i];

        if (fault->call == call && (fault->at == 0 || fault->at == count))
            return fault;
    }
    return NULL;
}

/* --- performing ops ------------------------------------------------------------------------- */

static int or_error(ssize_t result)
{
    return result < 0 ? -errno : (int)result;
}

/* AddressSanitizer stops here when an op's memory was freed while it was in flight. */
static void touch(const struct flight *flight)
{
    const volatile uint8_t *memory = flight->from != NULL ? flight->from : flight->into;

    if (memory == NULL || flight->len == 0)
        return;
    (void)memory[0];
    (void)memory[flight->len - 1];
}

static void complete(struct engine *engine, struct flight *flight, struct completion what)
{
    struct completion *completion = malloc(sizeof(*completion));

    check(completion != NULL);
    *completion = what;
    completion->flight = flight;
    list_node_init(&completion->node);
    list_push_back(&engine->completions, &completion->node);
    if (!(what.flags & ENGINE_MORE))
        list_remove(&flight->node);
}

static size_t some_of(struct engine *engine, size_t len)
{
    if (len <= 1 || engine->is_calm || one_in(engine, 2))
        return len;
    return 1 + draw(engine) % len;
}

static int find_buffer(struct engine *engine)
{
    for (unsigned i = 0; i < engine->buffer_count; i++) {
        if (engine->buffers[i] == NULL)
            return (int)i;
    }
    return -1;
}

/* False: not ready after all. */
static bool perform_receive(struct engine *engine, struct flight *flight, size_t len_max)
{
    int id = one_in(engine, 16) ? -1 : find_buffer(engine);

    if (id < 0) {
        complete(engine, flight, (struct completion){.result = -ENOBUFS});
        return true;
    }
    size_t len = MIN(some_of(engine, engine->buffer_size), len_max);

    if (flight->is_once)
        len = MIN(len, flight->len);
    uint8_t *buffer = malloc(len);

    check(buffer != NULL);
    int result = or_error(recv(flight->fd, buffer, len, MSG_DONTWAIT));

    if (result <= 0) {
        free(buffer);
        if (result == -EAGAIN)
            return false;
        complete(engine, flight, (struct completion){.result = result});
        return true;
    }
    /* Exactly as long as what was received. */
    engine->buffers[id] = malloc((size_t)result);
    check(engine->buffers[id] != NULL);
    memcpy(engine->buffers[id], buffer, (size_t)result);
    free(buffer);
    /* The real ring ends a multishot op with data when its completion queue is full. */
    bool ends = flight->is_once || one_in(engine, 32);
    uint32_t flags = ENGINE_BUFFER | (ends ? 0 : ENGINE_MORE);

    complete(engine, flight,
             (struct completion){.result = result, .flags = flags, .buffer_id = (uint16_t)id});
    return true;
}

static bool perform_accept(struct engine *engine, struct flight *flight)
{
    int result = or_error(accept4(flight->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));

    if (result == -EAGAIN)
        return false;
    uint32_t flags = result >= 0 && !one_in(engine, 32) ? ENGINE_MORE : 0;

    complete(engine, flight, (struct completion){.result = result, .flags = flags});
    return true;
}

static int connect_result(const struct flight *flight)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (flight->start_error != 0)
        return flight->start_error;
    check(getsockopt(flight->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0);
    return -error;
}

static int perform_write(const struct flight *flight, size_t len)
{
    if (flight->disk_write != NULL)
        return thread_disk->end_write(flight->disk_write, (int)len);
    ssize_t written = pwrite(flight->fd, flight->from, len, (off_t)flight->offset);

    if (written < 0 && errno == ESPIPE)
        written = write(flight->fd, flight->from, len);
    return or_error(written);
}

static int perform_read(const struct flight *flight, size_t len)
{
    if (is_simulated(flight->fd))
        return thread_disk->read(flight->fd, flight->into, len, flight->offset);
    ssize_t count = pread(flight->fd, flight->into, len, (off_t)flight->offset);

    if (count < 0 && errno == ESPIPE)
        count = read(flight->fd, flight->into, len);
    return or_error(count);
}

static int perform_once(struct engine *engine, struct flight *flight, size_t len_max)
{
    size_t len = MIN(flight->len, len_max);

    switch (flight->call) {
    case FAKE_SEND:
        return or_error(
            send(flight->fd, flight->from, some_of(engine, len), MSG_DONTWAIT | MSG_NOSIGNAL));
    case FAKE_CONNECT:
        return connect_result(flight);
    case FAKE_READ:
        return perform_read(flight, len);
    case FAKE_WRITE:
    case FAKE_WRITE_DURABLE: /* nobody pulls the kernel's plug: writing is enough */
        return perform_write(flight, len);
    case FAKE_SYNC:
        return fcntl(flight->fd, F_GETFD) < 0 ? -errno : 0;
    case FAKE_POLL: {
        struct pollfd one = {.fd = flight->fd, .events = (short)flight->mask};

        return poll(&one, 1, 0) > 0 ? one.revents : -EAGAIN;
    }
    case FAKE_ACCEPT:
    case FAKE_RECEIVE:
    case FAKE_CALLS:
        break;
    }
    return -ENOSYS; /* multishot calls do not come here */
}

/* Ends an op that is not performed. */
static void give_up(struct engine *engine, struct flight *flight, int error)
{
    if (flight->disk_write != NULL)
        (void)thread_disk->end_write(flight->disk_write, error);
    complete(engine, flight, (struct completion){.result = error});
}

/* Does one ready op, or one step of a multishot one. False: it turned out not to be ready. */
static bool perform(struct engine *engine, struct flight *flight)
{
    touch(flight);
    if (flight->is_cancelled && (!flight->is_ready || one_in(engine, 2) || engine->is_calm)) {
        give_up(engine, flight, -ECANCELED);
        return true;
    }
    const struct fault *fault = next_fault(engine, flight->call);
    size_t len_max = fault != NULL && fault->error == 0 ? fault->len : SIZE_MAX;

    if (fault != NULL && fault->error != 0) {
        give_up(engine, flight, -fault->error);
        return true;
    }
    if (flight->call == FAKE_RECEIVE)
        return perform_receive(engine, flight, len_max);
    if (flight->call == FAKE_ACCEPT)
        return perform_accept(engine, flight);
    int result = perform_once(engine, flight, len_max);

    if (result == -EAGAIN && flight->mask != 0)
        return false;
    complete(engine, flight, (struct completion){.result = result});
    return true;
}

/* --- the turn ------------------------------------------------------------------------------- */

/* Marks what is ready; the number of those. Waits at most wait_ms when nothing is at once. */
static size_t find_ready(struct engine *engine, int wait_ms)
{
    size_t count = 1, ready = 0;

    list_for_each(node, &engine->flights)
        count++;
    struct pollfd *fds = calloc(count, sizeof(*fds));

    check(fds != NULL);
    fds[0] = (struct pollfd){.fd = engine->loop.doorbell_fd, .events = POLLIN};
    count = 1;
    list_for_each(node, &engine->flights) {
        struct flight *flight = container_of(node, struct flight, node);

        fds[count].fd = flight->mask != 0 ? flight->fd : -1;
        fds[count++].events = (short)flight->mask;
        if (flight->mask == 0 || flight->is_cancelled || flight->start_error != 0)
            wait_ms = 0;
    }
    int error = poll(fds, count, wait_ms);

    check(error >= 0 || errno == EINTR);
    if (fds[0].revents != 0) {
        uint64_t rings;
        ssize_t unused = read(engine->loop.doorbell_fd, &rings, sizeof(rings));

        (void)unused;
    }
    count = 1;
    list_for_each(node, &engine->flights) {
        struct flight *flight = container_of(node, struct flight, node);

        flight->is_ready = flight->mask == 0 || fds[count].revents != 0 || flight->start_error != 0;
        count++;
        if (flight->is_ready || flight->is_cancelled)
            ready++;
    }
    free(fds);
    return ready;
}

static struct flight *pick(struct engine *engine, size_t nth)
{
    list_for_each(node, &engine->flights) {
        struct flight *flight = container_of(node, struct flight, node);

        if ((flight->is_ready || flight->is_cancelled) && nth-- == 0)
            return flight;
    }
    return NULL;
}

static void perform_ready(struct engine *engine, size_t ready)
{
    /* About a fifth waits for another turn; at least one is done, so that turns get on. */
    for (size_t steps = ready * CHUNKS_MAX; steps > 0 && ready > 0; steps--) {
        struct flight *flight = pick(engine, engine->is_calm ? 0 : draw(engine) % ready);

        if (flight == NULL)
            return;
        bool is_last = !perform(engine, flight) || !list_is_linked(&flight->node);

        if (list_is_linked(&flight->node) && (is_last || engine->is_calm || one_in(engine, 2))) {
            flight->is_ready = false;
            is_last = !flight->is_cancelled;
        }
        if (is_last)
            ready--;
        if (one_in(engine, 5))
            return;
    }
}

static void deliver(struct engine *engine)
{
    struct list_node *node;

    list_splice(&engine->batch, &engine->completions);
    while ((node = list_pop_front(&engine->batch)) != NULL) {
        struct completion *completion = container_of(node, struct completion, node);
        struct flight *flight = completion->flight;
        struct op *op = flight->op;
        int result = completion->result;
        uint32_t flags = completion->flags;

        touch(flight);
        op->buffer_id = completion->buffer_id;
        free(completion);
        if (!(flags & ENGINE_MORE)) {
            op->in_flight = false;
            op->engine_private = NULL;
            engine->in_flight--;
            free(flight);
        }
        op->done(op, result, flags);
        /* The rest is reaped in the next turn: after whatever this turn still starts or closes. */
        if (one_in(engine, 8))
            break;
    }
    list_splice(&engine->batch, &engine->completions);
    list_splice(&engine->completions, &engine->batch);
}

static size_t wait_ready(struct engine *engine, int wait_ms)
{
    int64_t next_ms = list_is_empty(&engine->completions) ? loop_fall_asleep(&engine->loop) : 0;
    bool would_jump = engine->clock_runs && wait_ms != 0 && next_ms != INT64_MAX;

    if (next_ms <= engine->loop.now_ms)
        return find_ready(engine, 0);
    size_t ready = find_ready(engine, would_jump ? 0 : wait_ms);

    loop_wake_up(&engine->loop);
    if (ready == 0 && would_jump)
        fake_advance_ms(engine, next_ms - engine->loop.now_ms);
    return ready;
}

void engine_turn(struct engine *engine, int wait_ms)
{
    size_t ready = wait_ready(engine, wait_ms);

    perform_ready(engine, ready);
    deliver(engine);
    loop_turn(&engine->loop);
}

void engine_run(struct engine *engine)
{
    do
        engine_turn(engine, -1);
    while (!loop_was_stopped(&engine->loop));
}

/* --- creation ------------------------------------------------------------------------------- */

struct engine *engine_create(const struct engine_settings *settings)
{
    struct engine *engine = aligned_alloc(64, sizeof(*engine));

    check(engine != NULL);
    *engine = (struct engine){
        .buffer_count = settings->buffer_count != 0 ? settings->buffer_count : BUFFER_COUNT,
        .buffer_size = settings->buffer_size != 0 ? settings->buffer_size : BUFFER_SIZE,
        .random = first_seed(),
    };
    engine->buffers = calloc(engine->buffer_count, sizeof(*engine->buffers));
    check(engine->buffers != NULL);
    int error = loop_init(&engine->loop, settings->index, start_ms, start_wall_ms);

    check(error == 0);
    list_init(&engine->flights);
    list_init(&engine->completions);
    list_init(&engine->batch);
    return engine;
}

void engine_destroy(struct engine **engine)
{
    struct engine *e = *engine;

    if (e == NULL)
        return;
    check(e->in_flight == 0);
    for (unsigned i = 0; i < e->buffer_count; i++)
        check(e->buffers[i] == NULL);
    free(e->buffers);
    loop_destroy(&e->loop);
    free(e);
    *engine = NULL;
}

size_t engine_buffers_size(const struct engine *engine)
{
    return (size_t)engine->buffer_count * engine->buffer_size;
}

/* --- ops ------------------------------------------------------------------------------------ */

static struct flight *start(struct engine *engine, struct op *op, struct flight what)
{
    struct flight *flight = malloc(sizeof(*flight));

    check(flight != NULL);
    check(!op->in_flight);
    check(op->done != NULL);
    *flight = what;
    flight->op = op;
    list_node_init(&flight->node);
    list_push_back(&engine->flights, &flight->node);
    op->in_flight = true;
    op->generation++;
    op->engine_private = flight;
    engine->in_flight++;
    return flight;
}

static void set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags >= 0)
        (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

void engine_accept(struct engine *engine, struct op *op, int fd)
{
    set_nonblocking(fd);
    start(engine, op, (struct flight){.call = FAKE_ACCEPT, .fd = fd, .mask = POLLIN});
}

void engine_connect(struct engine *engine, struct op *op, int fd, const struct sockaddr *address,
                    socklen_t address_len)
{
    struct flight *flight =
        start(engine, op,
              (struct flight){.call = FAKE_CONNECT, .fd = fd, .address = address, .mask = POLLOUT});

    set_nonblocking(fd);
    if (connect(fd, address, address_len) < 0 && errno != EINPROGRESS)
        flight->start_error = -errno;
}

void engine_receive(struct engine *engine, struct op *op, int fd)
{
    start(engine, op, (struct flight){.call = FAKE_RECEIVE, .fd = fd, .mask = POLLIN});
}

void engine_receive_once(struct engine *engine, struct op *op, int fd, size_t len_max)
{
    check(len_max > 0);
    start(engine, op,
          (struct flight){
              .call = FAKE_RECEIVE, .fd = fd, .len = len_max, .is_once = true, .mask = POLLIN});
}

struct bytes engine_buffer(struct engine *engine, const struct op *op, int result)
{
    check(result > 0);
    check(op->buffer_id < engine->buffer_count);
    check(engine->buffers[op->buffer_id] != NULL);
    return (struct bytes){engine->buffers[op->buffer_id], (size_t)result};
}

enum engine_unread engine_unread(const struct engine *engine, const struct op *op)
{
    const struct list *const lists[] = {&engine->batch, &engine->completions};

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        list_for_each(node, lists[i]) {
            const struct completion *c = container_of(node, struct completion, node);

            if (c->flight->op == op && c->result > 0)
                return ENGINE_UNREAD_HERE;
        }
    }
    if (!op->in_flight)
        return ENGINE_UNREAD_ASK;
    const struct flight *flight = op->engine_private;
    struct pollfd one = {.fd = flight->fd, .events = POLLIN};

    return poll(&one, 1, 0) == 0 ? ENGINE_UNREAD_NONE : ENGINE_UNREAD_ASK;
}

void engine_buffer_return(struct engine *engine, const struct op *op)
{
    check(op->buffer_id < engine->buffer_count);
    check(engine->buffers[op->buffer_id] != NULL);
    free(engine->buffers[op->buffer_id]);
    engine->buffers[op->buffer_id] = NULL;
}

void engine_send(struct engine *engine, struct op *op, int fd, struct bytes b)
{
    start(
        engine, op,
        (struct flight){.call = FAKE_SEND, .fd = fd, .from = b.ptr, .len = b.len, .mask = POLLOUT});
}

/* Regular files are always ready; a pipe or an eventfd is not. */
static unsigned mask_of(int fd, unsigned mask)
{
    struct stat info;

    return fstat(fd, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode) ? mask : 0;
}

static void start_write(struct engine *engine, struct op *op, int fd, struct flight what)
{
    what.fd = fd;
    what.mask = mask_of(fd, POLLOUT);
    if (is_simulated(fd))
        what.disk_write = thread_disk->begin_write(fd, (struct bytes){what.from, what.len},
                                                   what.offset, what.call == FAKE_WRITE_DURABLE);
    start(engine, op, what);
}

void engine_write(struct engine *engine, struct op *op, int fd, struct bytes b, uint64_t offset)
{
    start_write(engine, op, fd,
                (struct flight){.call = FAKE_WRITE, .from = b.ptr, .len = b.len, .offset = offset});
}

void engine_write_durable(struct engine *engine, struct op *op, int fd, struct bytes b,
                          uint64_t offset)
{
    start_write(
        engine, op, fd,
        (struct flight){.call = FAKE_WRITE_DURABLE, .from = b.ptr, .len = b.len, .offset = offset});
}

void engine_read(struct engine *engine, struct op *op, int fd, void *into, size_t len,
                 uint64_t offset)
{
    start(engine, op,
          (struct flight){.call = FAKE_READ,
                          .fd = fd,
                          .into = into,
                          .len = len,
                          .offset = offset,
                          .mask = mask_of(fd, POLLIN)});
}

void engine_sync(struct engine *engine, struct op *op, int fd)
{
    start(engine, op, (struct flight){.call = FAKE_SYNC, .fd = fd});
}

void engine_poll(struct engine *engine, struct op *op, int fd, unsigned mask)
{
    start(engine, op, (struct flight){.call = FAKE_POLL, .fd = fd, .mask = mask});
}

void engine_cancel(struct engine *engine, struct op *op)
{
    (void)engine;
    if (!op->in_flight)
        return;
    struct flight *flight = op->engine_private;

    flight->is_cancelled = true;
}

void engine_close(struct engine *engine, int fd)
{
    list_for_each(node, &engine->flights)
        check(container_of(node, struct flight, node)->fd != fd);
    list_for_each(node, &engine->completions)
        check(container_of(node, struct completion, node)->flight->fd != fd);
    check(close(fd) == 0);
}
