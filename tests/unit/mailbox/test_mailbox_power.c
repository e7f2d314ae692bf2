/* test_mailbox_power.c - power cuts and kills at every call; random histories against a model. */
#include "support/mail_sim.h"

#include <stdio.h>

#include "inbound/mailbox/mailbox_change.h"
#include "support/unit.h"

enum { BOXES = 2, MESSAGES_MAX = 4096, UIDS_MAX = 8192 };

static const char *const names[BOXES] = {"INBOX", "Archive"};

/* What of a message is promised. Its content is its number. */
struct known {
    bool is_there[BOXES];  /* acknowledged */
    bool is_open[BOXES];   /* may be there or not: what was asked was never answered */
    uint32_t uid[BOXES];   /* 0: not told */
    uint64_t flags[BOXES]; /* acknowledged */
    uint64_t doubt[BOXES]; /* bits that may be otherwise */
};

struct world {
    struct mail_accounts *accounts;
    struct mail_account *account;
    struct mailbox *boxes[BOXES];
    struct known *messages;
    unsigned count;
    uint32_t *owner[BOXES]; /* of each UID: the message that ever had it plus one; 0: nobody */
    uint32_t validity[BOXES];
    uint64_t modseq[BOXES]; /* the highest that was seen */
    /* A replacement that was not answered. */
    bool is_replacing;
    unsigned replaced, replaced_in, replacement, replacement_in;
};

/* Where filed. */
static int open_world(struct world *world)
{
    struct mail_accounts_settings settings = {.directory = "mail", .host = "mta1"};
    char why[ACCOUNTS_WHY_MAX];

    world->accounts = mail_accounts_open(&settings, why);
    if (world->accounts == NULL)
        return -EIO;
    int error =
        mail_account_open(world->accounts, BYTES("b.example"), BYTES("a"), 0, &world->account);
    if (error == 0) {
        error = mail_account_create(world->account, BYTES("Archive"), SPECIAL_NONE);
        if (error == -EEXIST)
            error = 0;
    }
    for (unsigned i = 0; error == 0 && i < BOXES; i++)
        error = mailbox_open(world->account, bytes_of(names[i]), &world->boxes[i]);
    return error;
}

static void close_world(struct world *world)
{
    for (unsigned i = 0; i < BOXES; i++)
        mailbox_close(&world->boxes[i]);
    mail_account_close(&world->account);
    mail_accounts_close(&world->accounts);
}

static void make_world(struct world *world)
{
    *world = (struct world){0};
    sim_begin();
    world->messages = calloc(MESSAGES_MAX, sizeof(*world->messages));
    for (unsigned i = 0; i < BOXES; i++)
        world->owner[i] = calloc(UIDS_MAX, sizeof(uint32_t));
}

static void free_world(struct world *world)
{
    free(world->messages);
    for (unsigned i = 0; i < BOXES; i++)
        free(world->owner[i]);
    sim_end();
}

/* --- what is seen ----------------------------------------------------------------------------- */

static unsigned number_of(struct mailbox *mailbox, uint32_t uid)
{
    char text[32] = "";
    int fd = mailbox_open_message(mailbox, uid);

    if (fd < 0)
        fail_msg("open of uid %u: %d", uid, fd);
    int64_t len = mail_file_read_at(fd, text, sizeof(text), 0);
    struct bytes rest = bytes_range(text, (size_t)MAX(len, (int64_t)0));
    uint64_t number;

    mail_file_close(fd);
    assert_true(bytes_take_u64(&rest, &number) && bytes_equal(rest, BYTES("\r\n")));
    return (unsigned)number;
}

/* As long as the number says, up to some KiB. */
static struct buf blob_of(unsigned number)
{
    struct buf blob;

    buf_init(&blob, 1 << 20);
    for (unsigned i = 0; i <= number * 7919 % 400; i++)
        check(buf_printf(&blob, "of %u. ", number));
    return blob;
}

/* What is kept of a message may be lost, and is never another's. */
static void check_kept(struct mailbox *mailbox, uint32_t uid, unsigned number)
{
    struct buf expected = blob_of(number), kept;

    buf_init(&kept, 1 << 20);
    if (mailbox_cache_get(mailbox, uid, &kept))
        assert_true(bytes_equal(buf_bytes(&kept), buf_bytes(&expected)));
    buf_free(&kept);
    buf_free(&expected);
}

static void see(struct world *world, unsigned box, bool *seen, uint32_t *last)
{
    struct mailbox_message told[16];
    uint32_t next = 1;

    while (next != 0) {
        size_t count = mailbox_read(world->boxes[box], next, 0, told, ARRAY_LEN(told), &next);

        for (size_t i = 0; i < count; i++) {
            unsigned number = number_of(world->boxes[box], told[i].uid);
            struct known *known = &world->messages[number];

            assert_true(number < world->count);
            check_kept(world->boxes[box], told[i].uid, number);
            assert_true(told[i].uid > *last && told[i].uid < UIDS_MAX);
            *last = told[i].uid;
            /* A UID is one message's for good. */
            uint32_t *owner = &world->owner[box][told[i].uid];
            if (*owner != 0 && *owner != number + 1)
                fail_msg("UID %u of box %u was of message %u, and is of %u", told[i].uid, box,
                         *owner - 1, number);
            *owner = number + 1;
            if (!known->is_there[box] && !known->is_open[box])
                fail_msg("message %u is back in box %u with UID %u", number, box, told[i].uid);
            if (seen[number])
                fail_msg("message %u is twice in box %u", number, box);
            seen[number] = true;
            if (known->is_there[box] && known->uid[box] != 0 && known->uid[box] != told[i].uid)
                fail_msg("message %u of box %u had UID %u and has %u", number, box, known->uid[box],
                         told[i].uid);
            if (known->is_there[box] &&
                ((known->flags[box] ^ told[i].flags) & ~known->doubt[box]) != 0)
                fail_msg("message %u of box %u has flags %llx for %llx", number, box,
                         (unsigned long long)told[i].flags, (unsigned long long)known->flags[box]);
            known->uid[box] = told[i].uid;
            known->flags[box] = told[i].flags;
            known->doubt[box] = 0;
        }
    }
}

/* All that was promised is so; what was open is as it is found. */
static void check_world(struct world *world)
{
    bool *seen[BOXES];

    for (unsigned box = 0; box < BOXES; box++) {
        struct mailbox_status status;
        uint32_t last = 0;

        seen[box] = calloc(MESSAGES_MAX, sizeof(bool));
        assert_int_equal(mailbox_look(world->boxes[box]), 0);
        mailbox_status(world->boxes[box], &status);
        assert_true(world->validity[box] == 0 || world->validity[box] == status.uidvalidity);
        world->validity[box] = status.uidvalidity;
        if (status.modseq < world->modseq[box])
            fail_msg("modseq went back");
        world->modseq[box] = status.modseq;
        see(world, box, seen[box], &last);
        assert_true(status.uidnext > last);
        unsigned exists = 0;
        for (unsigned i = 0; i < world->count; i++)
            exists += seen[box][i];
        assert_int_equal(status.exists, exists);
    }
    for (unsigned i = 0; i < world->count; i++) {
        struct known *known = &world->messages[i];

        for (unsigned box = 0; box < BOXES; box++) {
            if (known->is_there[box] && !known->is_open[box] && !seen[box][i])
                fail_msg("message %u of box %u is lost (UID %u)", i, box, known->uid[box]);
            if (!seen[box][i] && known->is_open[box] && known->is_there[box] &&
                !known->is_there[1 - box] && !seen[1 - box][i] && known->is_open[1 - box])
                fail_msg("message %u was moved to nowhere", i);
        }
        for (unsigned box = 0; box < BOXES; box++) {
            known->is_there[box] = seen[box][i];
            known->is_open[box] = false;
            if (!seen[box][i])
                known->uid[box] = 0;
        }
    }
    /* One or the other is there, whatever became of it; a replacement that was answered is told by
     * the model of both. */
    if (world->is_replacing) {
        assert_true(seen[world->replaced_in][world->replaced] ||
                    seen[world->replacement_in][world->replacement]);
        world->is_replacing = false;
    }
    for (unsigned box = 0; box < BOXES; box++)
        free(seen[box]);
}

/* --- what is done ----------------------------------------------------------------------------- */

static int do_append(struct world *world, unsigned box, uint64_t flags)
{
    struct mailbox_upload upload;
    unsigned number = world->count;
    char text[32];

    check(number < MESSAGES_MAX);
    world->count++;
    snprintf(text, sizeof(text), "%u\r\n", number);
    world->messages[number].is_open[box] = true;
    int error = mailbox_upload_begin(world->account, &upload);

    if (error < 0)
        return error;
    error = mailbox_upload_write(&upload, bytes_of(text));
    upload.flags = flags;
    if (error == 0)
        error = mailbox_append(world->boxes[box], &upload, 1);
    if (error == 0) {
        struct known *known = &world->messages[number];

        *known = (struct known){0};
        known->is_there[box] = true;
        known->uid[box] = upload.uid;
        known->flags[box] = flags;
        assert_true(world->owner[box][upload.uid] == 0 ||
                    world->owner[box][upload.uid] == number + 1);
        world->owner[box][upload.uid] = number + 1;
    }
    mailbox_upload_end(world->account, &upload);
    return error;
}

/* All or none, where it is answered. */
static int do_append_many(struct world *world, unsigned box)
{
    enum { MANY = 5 };
    struct mailbox_upload uploads[MANY];
    unsigned first = world->count;
    char text[32];
    int error = 0;
    size_t made = 0;

    check(first + MANY <= MESSAGES_MAX);
    world->count += MANY;
    for (; made < MANY && error == 0; made += error == 0) {
        world->messages[first + made].is_open[box] = true;
        error = mailbox_upload_begin(world->account, &uploads[made]);
        if (error < 0)
            break;
        snprintf(text, sizeof(text), "%zu\r\n", first + made);
        error = mailbox_upload_write(&uploads[made], bytes_of(text));
    }
    if (error == 0)
        error = mailbox_append(world->boxes[box], uploads, MANY);
    for (size_t i = 0; i < made; i++) {
        struct known *known = &world->messages[first + i];

        if (error == 0) {
            *known = (struct known){0};
            known->is_there[box] = true;
            known->uid[box] = uploads[i].uid;
            world->owner[box][uploads[i].uid] = first + (unsigned)i + 1;
        }
        mailbox_upload_end(world->account, &uploads[i]);
    }
    return error;
}

/* One that is there; false: none is. */
static bool pick(struct world *world, unsigned box, unsigned *number_out)
{
    unsigned tries = 3 * world->count;

    for (unsigned i = 0; i < tries; i++) {
        unsigned number = (unsigned)random_below(world->count);

        if (world->messages[number].is_there[box] && world->messages[number].uid[box] != 0) {
            *number_out = number;
            return true;
        }
    }
    return false;
}

static int do_store(struct world *world, unsigned box, unsigned number, enum store_how how,
                    uint64_t flags)
{
    struct known *known = &world->messages[number];
    struct mailbox_flags_change change = {.how = how, .flags = flags};
    uint64_t after = how == STORE_SET   ? flags
                     : how == STORE_ADD ? known->flags[box] | flags
                                        : known->flags[box] & ~flags;

    known->doubt[box] |= known->flags[box] ^ after;
    int error = mailbox_store_flags(world->boxes[box], &known->uid[box], 1, &change);

    if (error == 0) {
        known->flags[box] = after;
        known->doubt[box] = 0;
        if (change.modseq != 0) {
            assert_true(change.modseq >= world->modseq[box]);
            world->modseq[box] = change.modseq;
        }
    }
    return error;
}

/* No promise: nothing is awaited. */
static int do_keep(struct world *world, unsigned box, unsigned number)
{
    struct buf blob = blob_of(number);

    mailbox_cache_put(world->boxes[box], world->messages[number].uid[box], buf_bytes(&blob));
    if (random_below(8) == 0)
        mailbox_cache_write(world->boxes[box]);
    buf_free(&blob);
    return 0;
}

static int do_expunge(struct world *world, unsigned box, unsigned number)
{
    struct known *known = &world->messages[number];
    size_t count;

    if (do_store(world, box, number, STORE_ADD, MAIL_DELETED) < 0)
        return -EIO;
    known->is_open[box] = true;
    int error = mailbox_expunge(world->boxes[box], &known->uid[box], 1, &count);

    if (error == 0) {
        assert_int_equal(count, 1);
        known->is_there[box] = known->is_open[box] = false;
        known->uid[box] = 0;
    }
    return error;
}

static int do_copy(struct world *world, unsigned box, unsigned number, bool moves)
{
    struct known *known = &world->messages[number];
    struct uid_pair pair;
    size_t count;

    if (known->is_there[1 - box]) /* the model knows one of each */
        return 0;
    known->is_open[1 - box] = true;
    known->is_open[box] |= moves;
    int error = mailbox_copy(world->boxes[box], world->boxes[1 - box], &known->uid[box], 1, moves,
                             &pair, &count);

    if (error < 0)
        return error;
    assert_int_equal(count, 1);
    known->is_there[1 - box] = true;
    known->is_open[1 - box] = known->is_open[box] = false;
    known->uid[1 - box] = pair.to;
    known->flags[1 - box] = known->flags[box];
    if (moves) {
        known->is_there[box] = false;
        known->uid[box] = 0;
    }
    return 0;
}

static int do_replace(struct world *world, unsigned box, unsigned old)
{
    struct known *known = &world->messages[old], *made = &world->messages[world->count];
    struct mailbox_upload upload;
    unsigned to = (unsigned)random_below(BOXES), number = world->count++;
    char text[32];

    check(number < MESSAGES_MAX);
    snprintf(text, sizeof(text), "%u\r\n", number);
    made->is_open[to] = true;
    int error = mailbox_upload_begin(world->account, &upload);

    if (error < 0)
        return error;
    error = mailbox_upload_write(&upload, bytes_of(text));
    if (error == 0) {
        known->is_open[box] = true;
        world->is_replacing = true;
        world->replaced = old;
        world->replaced_in = box;
        world->replacement = number;
        world->replacement_in = to;
        error = mailbox_replace(world->boxes[box], known->uid[box], world->boxes[to], &upload);
    }
    if (error == 0) {
        world->is_replacing = false;
        known->is_there[box] = known->is_open[box] = false;
        known->uid[box] = 0;
        *made = (struct known){0};
        made->is_there[to] = true;
        made->uid[to] = upload.uid;
        world->owner[to][upload.uid] = number + 1;
    }
    mailbox_upload_end(world->account, &upload);
    return error;
}

/* Others drop a file: it has no UID until somebody looks. */
static int do_drop(struct world *world, unsigned box)
{
    unsigned number = world->count++;
    char name[64], text[32];
    int root = mail_file_open_directory(AT_FDCWD, "mail");
    int domain = root < 0 ? root : mail_file_open_directory(root, "b.example");
    int account = domain < 0 ? domain : mail_file_open_directory(domain, "a");
    int folder =
        account < 0 ? account : mail_file_open_directory(account, box == 0 ? "." : ".Archive");
    int tmp = folder < 0 ? folder : mail_file_open_directory(folder, "tmp");
    int new = tmp < 0 ? tmp : mail_file_open_directory(folder, "new");
    int fds[] = {root, domain, account, folder, tmp, new, -1};
    int error = MIN(new, 0);

    snprintf(name, sizeof(name), "%u.dropped.host", 1000 + number);
    snprintf(text, sizeof(text), "%u\r\n", number);
    world->messages[number].is_open[box] = true;
    if (error == 0)
        error = fds[6] = mail_file_open(tmp, name, O_WRONLY | O_CREAT | O_EXCL);
    if (error >= 0)
        error = mail_file_write_at(fds[6], bytes_of(text), 0);
    if (error == 0)
        error = mail_file_sync(fds[6]);
    if (error == 0)
        error = mail_file_rename(tmp, name, new, name);
    if (error == 0)
        error = mail_file_sync(new);
    if (error == 0) {
        world->messages[number].is_there[box] = true;
        world->messages[number].is_open[box] = false;
    }
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            mail_file_close(fds[i]);
    return error;
}

/* A step of a history; what it draws does not hang on how the calls end. */
static int step(struct world *world)
{
    unsigned box = (unsigned)random_below(BOXES), what = (unsigned)random_below(100);
    uint64_t flags = random_below(32) & ~MAIL_DELETED;
    enum store_how how = (enum store_how)random_below(3);
    unsigned number;

    if (what < 22 || world->count == 0)
        return do_append(world, box, flags);
    if (what < 25)
        return do_append_many(world, box);
    if (what < 30)
        return do_drop(world, box);
    if (what < 36)
        return mailbox_look(world->boxes[box]);
    if (what < 42) {
        mail_accounts_tidy(world->accounts, true);
        return 0;
    }
    if (what < 46) { /* out of memory and back */
        mailbox_close(&world->boxes[box]);
        mail_accounts_tidy(world->accounts, true);
        return mailbox_open(world->account, bytes_of(names[box]), &world->boxes[box]);
    }
    if (!pick(world, box, &number))
        return 0;
    if (what < 56)
        return do_keep(world, box, number);
    if (what < 70)
        return do_store(world, box, number, how, flags);
    if (what < 77)
        return do_expunge(world, box, number);
    if (what < 82)
        return do_replace(world, box, number);
    return do_copy(world, box, number, what < 90);
}

/* --- what others see meanwhile ---------------------------------------------------------------- */

static struct world *watched;

/* Before an index is durable another session looks: what it sees is so for good. */
static void see_before_sync(const char *name)
{
    struct mailbox_message told[64];
    uint32_t next = 1;

    if (strncmp(name, "ringpost.index", 14) != 0)
        return;
    for (unsigned box = 0; box < BOXES; box++) {
        struct mailbox_status status;

        if (watched->boxes[box] == NULL)
            continue;
        mailbox_status(watched->boxes[box], &status);
        watched->modseq[box] = MAX(watched->modseq[box], status.modseq);
        for (next = 1; next != 0;) {
            size_t count = mailbox_read(watched->boxes[box], next, 0, told, 64, &next);

            for (size_t i = 0; i < count; i++)
                if (watched->owner[box][told[i].uid] == 0)
                    watched->owner[box][told[i].uid] =
                        number_of(watched->boxes[box], told[i].uid) + 1;
        }
    }
}

/* --- tests ------------------------------------------------------------------------------------ */

/* The same history each time, cut at call `end`; how many calls it has, where it is not cut. */
static uint64_t live_and_die(uint64_t seed, unsigned steps, uint64_t end, bool power)
{
    struct world world;

    random_seed(seed);
    make_world(&world);
    assert_int_equal(open_world(&world), 0);
    check_world(&world);
    sim.calls = 0;
    sim.end_call = end;
    sim.on_sync = see_before_sync;
    watched = &world;
    for (unsigned i = 0; i < steps && !sim.is_over; i++)
        if (step(&world) < 0)
            assert_true(sim.is_over);
    uint64_t calls = sim.calls;

    if (!sim.is_over && end == 0)
        check_world(&world);
    sim.on_sync = NULL;
    close_world(&world);
    random_seed(seed + end * 7919); /* what survives is another each time */
    sim_restart(power);
    assert_int_equal(open_world(&world), 0);
    check_world(&world);
    /* It goes on, and once more from what was closed in order. */
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(step(&world), 0);
    check_world(&world);
    sim.calls = 0;
    sim.end_call = 1 + random_below(60);
    for (unsigned i = 0; i < 10 && !sim.is_over; i++)
        if (step(&world) < 0)
            assert_true(sim.is_over);
    close_world(&world);
    sim_restart(power);
    assert_int_equal(open_world(&world), 0);
    check_world(&world);
    close_world(&world);
    assert_int_equal(open_world(&world), 0);
    check_world(&world);
    close_world(&world);
    free_world(&world);
    return calls;
}

static void at_every_call(bool power)
{
    uint64_t calls = live_and_die(1, 60, 0, power);

    assert_true(calls > 200);
    for (uint64_t end = 1; end <= calls; end++)
        live_and_die(1, 60, end, power);
}

TEST(power_cut_at_every_call_loses_nothing_that_was_promised)
{
    at_every_call(true);
}

TEST(kill_at_every_call_loses_nothing_that_was_promised)
{
    at_every_call(false);
}

/* RINGPOST_SEED=n: that history alone. */
TEST(random_histories_with_power_cuts_match_the_model)
{
    const char *text = getenv("RINGPOST_SEED");
    uint64_t first = text != NULL ? strtoull(text, NULL, 10) : 100;
    uint64_t count = text != NULL ? 1 : 150;

    for (uint64_t seed = first; seed < first + count; seed++) {
        random_seed(seed);
        unsigned steps = seed % 25 == 0 ? 1200 : 20 + (unsigned)random_below(150);
        uint64_t end = random_below(3) == 0 ? 0 : 1 + random_below(steps * 8);

        print_message("seed %llu, %u steps, cut at %llu\n", (unsigned long long)seed, steps,
                      (unsigned long long)end);
        live_and_die(seed, steps, end, random_below(4) != 0);
    }
}
