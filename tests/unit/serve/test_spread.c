/* link: real engine */
/* test_spread.c - the listener and the counts of two engines' services: who gets new sessions. */
#include "support/unit.h"

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/listener.h"

/* One source a test. */
#include "support/toy_service.c"

enum { ENGINES = 2, BUSY = 20, NEW = 20, PATIENCE_TURNS = 10000 };

struct side {
    pthread_t thread;
    _Atomic(struct engine *) engine;
    struct toy_service toy;
    struct listener_load *load;
    _Atomic unsigned admitted, refused;
    _Atomic bool is_stopped;
    struct letter stop;
};

static struct side sides[ENGINES];
static struct listener_load loads[ENGINES];

static void make_service(struct side *side, struct engine *engine)
{
    struct service_limits limits = {.sessions_max = BUSY + NEW};

    toy_init(&side->toy, engine, &side->load->sessions, &limits);
    atomic_store(&side->engine, engine);
}

static void on_accepted(void *context, int fd, void *listener_context)
{
    struct side *side = context;
    struct address nobody = {0};

    (void)listener_context;
    if (toy_accept(&side->toy, fd, &nobody) != NULL)
        atomic_fetch_add(&side->admitted, 1);
    else
        atomic_fetch_add(&side->refused, 1);
}

static void *run_side(void *argument)
{
    struct side *side = argument;
    struct engine *engine = engine_create(&(struct engine_settings){.index = 1});

    check(engine != NULL);
    make_service(side, engine);
    engine_run(engine);
    service_end(&side->toy.service);
    engine_destroy(&engine);
    return NULL;
}

static void on_side_stopped(void *context)
{
    atomic_store(&((struct side *)context)->is_stopped, true);
}

static void open_stop(struct letter *letter, struct engine *engine)
{
    struct side *side = container_of(letter, struct side, stop);

    service_stop(&side->toy.service, engine_now_ms(engine), on_side_stopped, side);
}

static void set_flag(void *context)
{
    *(bool *)context = true;
}

static int bind_somewhere(struct address *address)
{
    socklen_t len = sizeof(*address);

    assert_true(address_parse(BYTES("127.0.0.1:0"), 0, address));
    int fd = listener_bind(address, 0);
    assert_true(fd >= 0);
    assert_int_equal(getsockname(fd, &address->any, &len), 0);
    return fd;
}

static unsigned seen(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < ENGINES; i++)
        count += atomic_load(&sides[i].admitted) + atomic_load(&sides[i].refused);
    return count;
}

/* Connects `count` clients to a listener that may choose among `load_count` engines from `first`
 * on; one after the other has arrived, or all in a burst. */
static void connect_clients(struct engine *engine, unsigned first, unsigned load_count,
                            int *clients, unsigned count, bool is_burst)
{
    struct address address;
    int fd = bind_somewhere(&address);
    struct listener_settings settings = {.loads = &loads[first],
                                         .load_count = load_count,
                                         .name = "127.0.0.1:25",
                                         .refusal = BYTES("F")};
    struct listener *listener = listener_start(engine, fd, &settings);
    unsigned before = seen();
    bool is_closed = false;

    for (unsigned i = 0; i < count; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(clients[i], &address.any, address_len(&address)), 0);
        unsigned wanted = before + i + 1;
        for (unsigned turn = 0; !is_burst && seen() < wanted && turn < PATIENCE_TURNS; turn++)
            engine_turn(engine, 1);
    }
    for (unsigned turn = 0; seen() < before + count && turn < PATIENCE_TURNS; turn++)
        engine_turn(engine, 1);
    assert_int_equal(seen(), before + count);
    listener_stop(listener, set_flag, &is_closed);
    for (unsigned turn = 0; !is_closed && turn < PATIENCE_TURNS; turn++)
        engine_turn(engine, 1);
    assert_true(is_closed);
}

static void close_clients(int *clients, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        close(clients[i]);
}

static bool loads_are(int first, int second)
{
    return atomic_load(&loads[0].sessions) == first && atomic_load(&loads[1].sessions) == second;
}

static void turn_until_loads(struct engine *engine, int first, int second)
{
    for (unsigned turn = 0; !loads_are(first, second) && turn < PATIENCE_TURNS; turn++)
        engine_turn(engine, 1);
    assert_int_equal(atomic_load(&loads[0].sessions), first);
    assert_int_equal(atomic_load(&loads[1].sessions), second);
}

static struct engine *start(void)
{
    struct engine *engine = engine_create(&(struct engine_settings){0});

    assert_non_null(engine);
    memset(sides, 0, sizeof(sides));
    memset(loads, 0, sizeof(loads));
    for (unsigned i = 0; i < ENGINES; i++) {
        sides[i].load = &loads[i];
        loads[i].accepted = on_accepted;
        loads[i].context = &sides[i];
    }
    make_service(&sides[0], engine);
    assert_int_equal(pthread_create(&sides[1].thread, NULL, run_side, &sides[1]), 0);
    while (atomic_load(&sides[1].engine) == NULL)
        usleep(100);
    for (unsigned i = 0; i < ENGINES; i++)
        loads[i].engine = atomic_load(&sides[i].engine);
    return engine;
}

static void end(struct engine *engine)
{
    turn_until_loads(engine, 0, 0);
    sides[1].stop.open = open_stop;
    engine_post(loads[1].engine, &sides[1].stop);
    while (!atomic_load(&sides[1].is_stopped))
        usleep(100);
    engine_stop(loads[1].engine);
    pthread_join(sides[1].thread, NULL);
    service_end(&sides[0].toy.service);
    engine_destroy(&engine);
}

/* With `busy` at twenty sessions, twenty new ones go to the other engine. */
static void expect_new_go_to_the_other(unsigned busy, bool is_burst)
{
    int old[BUSY];
    int new[NEW];
    struct engine *engine = start();

    connect_clients(engine, busy, 1, old, BUSY, is_burst);
    turn_until_loads(engine, busy == 0 ? BUSY : 0, busy == 0 ? 0 : BUSY);
    connect_clients(engine, 0, ENGINES, new, NEW, is_burst);
    turn_until_loads(engine, BUSY, NEW);
    assert_int_equal(atomic_load(&sides[busy].admitted), BUSY);
    assert_int_equal(atomic_load(&sides[1 - busy].admitted), NEW);
    close_clients(old, BUSY);
    turn_until_loads(engine, busy == 0 ? 0 : NEW, busy == 0 ? NEW : 0);
    close_clients(new, NEW);
    end(engine);
}

TEST(new_sessions_go_to_the_other_engine_one_by_one)
{
    expect_new_go_to_the_other(0, false);
    expect_new_go_to_the_other(1, false);
}

TEST(new_sessions_go_to_the_other_engine_in_a_burst)
{
    expect_new_go_to_the_other(0, true);
    expect_new_go_to_the_other(1, true);
}

/* Who was refused leaves nothing in the count, on this engine and on the other one. */
TEST(refused_sessions_leave_the_counts_as_they_were)
{
    int clients[BUSY + NEW];
    int refused[4];

    for (unsigned i = 0; i < ENGINES; i++) {
        struct engine *engine = start();

        connect_clients(engine, i, 1, clients, BUSY + NEW, false);
        connect_clients(engine, i, 1, refused, 4, false);
        assert_int_equal(atomic_load(&sides[i].refused), 4);
        turn_until_loads(engine, i == 0 ? BUSY + NEW : 0, i == 0 ? 0 : BUSY + NEW);
        close_clients(refused, 4);
        close_clients(clients, BUSY + NEW);
        end(engine);
    }
}
