/*
 * test_store_powercut.c - what was acknowledged is there once and whole, wherever the power fails.
 *
 * A batch of each size is filed, and the program or the machine dies at each call. Then its mail is
 * asked for again, as the spool does, and dies again at some call; at last it is asked for until
 * all is filed. In between a reader may move what it sees from new/ to cur/, as they do.
 */
#include "unit/store/mail_disk.h"

#include <semaphore.h>
#include <unistd.h>

#include "base/sanitizer.h"
#include "inbound/store/filed_log.h"
#include "inbound/store/mail_store.h"

enum {
    BATCH_LARGEST = 6,
    ROUNDS = 2, /* of each call, by the program and by the machine */
    CONTENT_MAX = 4096,
    /* A life makes and drops threads, which costs the sanitizers up to 25 ms: they see the same in
     * fewer lives, and the other builds cut at every call. */
    CALLS_APART = HAVE_TSAN   ? 7
                  : HAVE_ASAN ? 3
                              : 1,
};

struct letter_box {
    char text[CONTENT_MAX];
    size_t len;
};

struct mail {
    struct filing filing;
    struct filing_target targets[2];
    struct letter_box content;
    bool is_acknowledged;
};

struct history {
    struct engine *engine;
    struct mail_store *store;
    size_t count;
    struct mail mails[BATCH_LARGEST];
    /* the one that holds the store's thread while a batch gathers */
    struct filing first;
    sem_t go;
    unsigned answers;
    uint64_t seed;
    char what[128];
};

static struct history world;

/* --- a batch ---------------------------------------------------------------------------------- */

static void on_answer(struct letter *letter, struct engine *engine)
{
    (void)letter;
    (void)engine;
    world.answers++;
}

static void hold(struct filing *filing)
{
    while (sem_wait(&world.go) < 0)
        ;
    filing->is_dropped = true;
}

static const struct bytes locals[] = {BYTES("a"), BYTES("b")};

/* Of two accounts, one with a quota; into the inbox, into a folder, or into two of them. */
static void make_mail(size_t number)
{
    struct mail *mail = &world.mails[number];

    *mail = (struct mail){0};
    mail->content.len = 100 + 700 * (number % 4);
    memset(mail->content.text, 'a' + (int)number, mail->content.len);
    snprintf(mail->targets[0].folder, sizeof(mail->targets[0].folder), "%s",
             number % 3 == 1 ? ".Junk" : "");
    snprintf(mail->targets[1].folder, sizeof(mail->targets[1].folder), ".Lists");
    mail->filing = (struct filing){
        .answer.open = on_answer,
        .engine = world.engine,
        .domain = BYTES("b.example"),
        .local = locals[number % ARRAY_LEN(locals)],
        .quota = number % 2 == 0 ? 1 << 20 : 0,
        .time_s = 1780000000,
        .message = 0x1000 + number,
        .head = BYTES("Return-Path: <>\r\n"),
        .content = bytes_range(mail->content.text, mail->content.len),
        .targets = mail->targets,
        .target_count = number % 3 == 0 ? 0 : number % 3,
    };
}

static void answer_all(unsigned count)
{
    for (unsigned turn = 0; world.answers < count && turn < 1000000; turn++) {
        engine_turn(world.engine, 0);
        if (world.answers < count)
            usleep(20);
    }
    assert_int_equal(world.answers, count);
}

/* Those that `asks` says, in one batch. */
static void file_batch(bool (*asks)(const struct mail *mail), bool may_be_filed)
{
    unsigned asked = 0;

    world.answers = 0;
    world.first = (struct filing){.answer.open = on_answer,
                                  .engine = world.engine,
                                  .domain = BYTES("b.example"),
                                  .local = BYTES("first"),
                                  .sort = hold};
    assert_true(mail_store_file(world.store, &world.first));
    for (size_t i = 0; i < world.count; i++) {
        if (!asks(&world.mails[i]))
            continue;
        world.mails[i].filing.may_be_filed = may_be_filed;
        assert_true(mail_store_file(world.store, &world.mails[i].filing));
        asked++;
    }
    sem_post(&world.go);
    answer_all(asked + 1);
    while (sem_trywait(&world.go) == 0) /* it died before it was held */
        ;
    for (size_t i = 0; i < world.count; i++)
        if (asks(&world.mails[i]) && world.mails[i].filing.result == FILING_DONE)
            world.mails[i].is_acknowledged = true;
}

static void open_store(void)
{
    static const struct mail_store_settings settings = {
        .directory = "/mail", .host = "mta1", .node = 0xa, .threads = 1, .open_again_ms = 1};

    world.store = mail_store_open(&settings);
    assert_non_null(world.store);
}

/* --- what is on the disk ---------------------------------------------------------------------- */

static int node_at(int directory, const char *name)
{
    if (directory < 0)
        return -1;
    const struct disk_names *names = disk.nodes[directory].now;
    int at = names_find(names, name);

    return at < 0 ? -1 : names->of[at].node;
}

static int folder_at(const struct mail *mail, size_t target)
{
    char local[8];
    const char *folder = mail->filing.target_count == 0 ? "" : mail->targets[target].folder;

    snprintf(local, sizeof(local), "%.*s", BYTES_ARG(mail->filing.local));
    int account = node_at(node_at(DISK_ROOT, "b.example"), local);

    return folder[0] == '\0' ? account : node_at(account, folder);
}

static void expect_whole(const struct mail *mail, int node)
{
    static uint8_t text[2 * CONTENT_MAX];
    size_t len = read_bytes(&disk.nodes[node], text, sizeof(text), 0);
    size_t head = mail->filing.head.len;

    if (len != head + mail->content.len || memcmp(text, mail->filing.head.ptr, head) != 0 ||
        memcmp(text + head, mail->content.text, mail->content.len) != 0)
        fail_msg("what has its name has not its content: %zu bytes: %s", len, world.what);
}

static size_t count_in(const struct mail *mail, int folder, const char *part)
{
    int directory = node_at(folder, part);
    char start[64];
    size_t count = 0;

    if (directory < 0)
        return 0;
    snprintf(start, sizeof(start), "1780000000.R000a%016llxN0.mta1,",
             (unsigned long long)mail->filing.message);
    const struct disk_names *names = disk.nodes[directory].now;

    for (size_t i = 0; i < names->count; i++) {
        if (strncmp(names->of[i].name, start, strlen(start)) != 0)
            continue;
        expect_whole(mail, names->of[i].node);
        count++;
    }
    return count;
}

/* Nothing twice, nothing in part; all that was acknowledged, or (`wants_all`) all of it. */
static void expect_disk(bool wants_all)
{
    for (size_t i = 0; i < world.count; i++) {
        const struct mail *mail = &world.mails[i];

        for (size_t t = 0; t < MAX(mail->filing.target_count, (size_t)1); t++) {
            int folder = folder_at(mail, t);
            size_t count = count_in(mail, folder, "new") + count_in(mail, folder, "cur");

            if (count > 1)
                fail_msg("message %zu is there %zu times: %s", i, count, world.what);
            if (count == 0 && (wants_all || mail->is_acknowledged))
                fail_msg("message %zu is not there%s: %s", i,
                         mail->is_acknowledged ? ", and was acknowledged" : "", world.what);
        }
    }
}

/* A reader takes what it finds in new/ to cur/, and that is durable. */
static void read_mail(void)
{
    for (size_t i = 0; i < world.count; i++) {
        for (size_t t = 0; t < MAX(world.mails[i].filing.target_count, (size_t)1); t++) {
            int folder = folder_at(&world.mails[i], t);
            int from = node_at(folder, "new"), to = node_at(folder, "cur");
            char name[300];

            if (from < 0 || to < 0)
                continue;
            while (disk.nodes[from].now->count > 0) {
                const char *old = disk.nodes[from].now->of[0].name;

                snprintf(name, sizeof(name), "%.240s:2,S", old);
                do_op(disk.nodes[from].now->of[0].node, from, old, to, name);
            }
            sync_directory(from);
            sync_directory(to);
        }
    }
}

/* --- histories -------------------------------------------------------------------------------- */

static bool asks_all(const struct mail *mail)
{
    (void)mail;
    return true;
}

/* Whose outcome the spool has not: what was acknowledged just now may be among it. */
static bool asks_open(const struct mail *mail)
{
    return !mail->is_acknowledged || mail->filing.message % 2 == 0;
}

/* Of an account that the store knows it syncs each file of a small batch by itself. */
static void warm_up(void)
{
    static uint64_t message = 0x100000;
    struct filing filings[ARRAY_LEN(locals)];

    world.answers = 0;
    for (size_t i = 0; i < ARRAY_LEN(locals); i++) {
        filings[i] = (struct filing){.answer.open = on_answer,
                                     .engine = world.engine,
                                     .domain = BYTES("b.example"),
                                     .local = locals[i],
                                     .message = message++,
                                     .content = BYTES("warm")};
        assert_true(mail_store_file(world.store, &filings[i]));
    }
    answer_all(ARRAY_LEN(locals));
    for (size_t i = 0; i < ARRAY_LEN(locals); i++)
        assert_int_equal(filings[i].result, FILING_DONE);
}

struct life {
    unsigned dies_at; /* which call; 0: after all of them */
    bool is_warm;     /* calls are counted from a store that has filed for its accounts */
    bool is_machine;  /* else the program alone dies */
};

/* The number of calls. */
static unsigned live(struct life life, bool (*asks)(const struct mail *mail), bool may_be_filed)
{
    if (!life.is_warm)
        disk.dies_at = life.dies_at;
    open_store();
    if (life.is_warm) {
        warm_up();
        disk.calls = 0;
        disk.dies_at = life.dies_at;
    }
    file_batch(asks, may_be_filed);
    unsigned calls = disk.calls;

    mail_store_close(&world.store);
    disk.dies_at = 0;
    if (random_below(3) == 0)
        read_mail();
    if (life.is_machine)
        disk_cut();
    else
        disk_crash();
    expect_disk(false);
    return calls;
}

/* What died is asked for again: the program dies at `life`, and again at `second`. */
static unsigned run_twice(size_t count, struct life life, struct life second)
{
    snprintf(world.what, sizeof(world.what), "batch of %zu, %s at call %u%s, seed %llu", count,
             life.is_machine ? "power cut" : "killed", life.dies_at, life.is_warm ? " (warm)" : "",
             (unsigned long long)world.seed);
    random_seed(world.seed++);
    world.count = count;
    for (size_t i = 0; i < count; i++)
        make_mail(i);
    disk_make();
    unsigned calls = live(life, asks_all, false);
    struct life last = {0, random_below(2), true};

    (void)live(second, asks_open, true);
    (void)live(last, asks_open, true);
    expect_disk(true);
    return calls;
}

static unsigned run(size_t count, struct life life)
{
    struct life second = {1 + (unsigned)random_below(80), random_below(2), random_below(4) > 0};

    return run_twice(count, life, second);
}

static void begin(size_t count)
{
    struct engine_settings settings = {0};

    world.engine = engine_create(&settings);
    world.seed = 1000 * count;
    random_seed(world.seed);
    sem_init(&world.go, 0, 0);
}

static void end(void)
{
    disk_free();
    sem_destroy(&world.go);
    engine_destroy(&world.engine);
}

/* A store that was killed has its mail in tmp/ and its names in the log, but nothing of it on disk:
 * the last calls of the first life, each call of the second. */
static void run_resumed(size_t count)
{
    enum { LAST_CALLS = 14, CALLS = 75 };
    struct life first = {0}, second = {.is_machine = true};

    begin(100 + count);
    unsigned calls = run_twice(count, first, second);

    for (first.dies_at = calls - LAST_CALLS; first.dies_at <= calls; first.dies_at++)
        for (second.dies_at = 20; second.dies_at <= CALLS; second.dies_at += CALLS_APART)
            for (unsigned round = 0; round < 2 * ROUNDS; round++)
                (void)run_twice(count, first, second);
    end();
}

TEST(resumed_is_there_once_and_whole_after_a_cut_at_every_call)
{
    run_resumed(1);
}

static void doubt(void *context, struct bytes account)
{
    (void)context;
    (void)account;
}

static struct filed_log *open_log(void)
{
    struct filed_log *log = NULL;

    assert_int_equal(filed_log_open(mail_file_open_root("/mail"), doubt, NULL, &log), 0);
    return log;
}

/* A killed program had not synced it; names follow from it in the next one, and are durable. */
TEST(record_that_was_found_at_a_start_outlives_a_power_cut)
{
    static const struct filed_record record = {7, 1, 1780000000, BYTES("b.example/a")};

    random_seed(1);
    for (unsigned round = 0; round < 20; round++) {
        disk_make();
        struct filed_log *log = open_log();
        assert_int_equal(filed_log_add(log, 1, &record), 0);
        filed_log_close(&log);
        disk_crash();
        log = open_log();
        assert_int_equal(filed_log_find(log, 7, 1, record.account), FILED_SINCE);
        filed_log_close(&log);
        disk_cut();
        log = open_log();
        assert_int_equal(filed_log_find(log, 7, 1, record.account), FILED_BEFORE);
        filed_log_close(&log);
        disk_crash();
    }
    disk_free();
}

static void run_all(size_t count)
{
    begin(count);
    for (unsigned kind = 0; kind < 4; kind++) {
        struct life life = {.is_warm = (kind & 1) != 0, .is_machine = (kind & 2) != 0};
        unsigned calls = run(count, life);

        for (life.dies_at = 1; life.dies_at <= calls; life.dies_at += CALLS_APART)
            for (unsigned round = 0; round < ROUNDS; round++)
                (void)run(count, life);
        printf("batch of %zu: %s at each of %u calls\n", count,
               life.is_machine ? "the power fails" : "killed", calls);
    }
    end();
}

/* Up to three are synced one by one, four and more all together. */
#define BATCH(count) \
    TEST(acknowledged_of_##count##_is_there_once_and_whole_after_a_cut_at_every_call) \
    { \
        run_all(count); \
    }
BATCH(1)
BATCH(2)
BATCH(3)
BATCH(4)
BATCH(5)
BATCH(6)
