/* test_mail_store.c - each message is filed once, whatever fails and wherever the program dies. */
#define mail_file_open real_mail_file_open
#define mail_file_open_directory real_mail_file_open_directory
#define mail_file_make_directory real_mail_file_make_directory
#define mail_file_write real_mail_file_write
#define mail_file_write_at real_mail_file_write_at
#define mail_file_read_at real_mail_file_read_at
#define mail_file_sync real_mail_file_sync
#define mail_file_sync_all real_mail_file_sync_all
#define mail_file_rename real_mail_file_rename
#define mail_file_link real_mail_file_link
#define mail_file_unlink real_mail_file_unlink
#define mail_file_stat real_mail_file_stat
#define mail_file_list real_mail_file_list
#include "inbound/store/mail_file.c"
#undef mail_file_open
#undef mail_file_open_directory
#undef mail_file_make_directory
#undef mail_file_write
#undef mail_file_write_at
#undef mail_file_read_at
#undef mail_file_sync
#undef mail_file_sync_all
#undef mail_file_rename
#undef mail_file_link
#undef mail_file_unlink
#undef mail_file_stat
#undef mail_file_list

#include <stdatomic.h>

#include "unit/store/store_room.h"

/* The nth call from now (1: the next) fails with -error; dies: so does every later one. */
static atomic_uint call_count;
static unsigned call_failing;
static int call_error;
static bool call_dies;

static bool fails(void)
{
    unsigned number = atomic_fetch_add(&call_count, 1) + 1;

    return call_failing != 0 && (number == call_failing || (call_dies && number > call_failing));
}

static void plant(unsigned nth, int error, bool dies)
{
    atomic_store(&call_count, 0);
    call_failing = nth;
    call_error = error;
    call_dies = dies;
}

#define FAULTY(name, parameters, arguments) \
    int name parameters; \
    int name parameters \
    { \
        return fails() ? -call_error : real_##name arguments; \
    }
FAULTY(mail_file_open, (int d, const char *n, int f), (d, n, f))
FAULTY(mail_file_open_directory, (int d, const char *n), (d, n))
FAULTY(mail_file_make_directory, (int d, const char *n), (d, n))
FAULTY(mail_file_write_at, (int fd, struct bytes b, uint64_t o), (fd, b, o))
FAULTY(mail_file_sync, (int fd), (fd))
FAULTY(mail_file_sync_all, (int fd), (fd))
FAULTY(mail_file_rename, (int f, const char *n, int t, const char *m), (f, n, t, m))
FAULTY(mail_file_link, (int f, const char *n, int t, const char *m), (f, n, t, m))
FAULTY(mail_file_unlink, (int d, const char *n), (d, n))
FAULTY(mail_file_stat, (int d, const char *n, struct stat *s), (d, n, s))
FAULTY(mail_file_list, (int d, bool (*v)(void *c, const char *n), void *c), (d, v, c))

int64_t mail_file_read_at(int fd, void *into, size_t len, uint64_t offset);
int mail_file_write(int fd, struct iovec *pieces, size_t count);

int64_t mail_file_read_at(int fd, void *into, size_t len, uint64_t offset)
{
    return fails() ? -call_error : real_mail_file_read_at(fd, into, len, offset);
}

/* Half of it, as on a disk that becomes full. */
int mail_file_write(int fd, struct iovec *pieces, size_t count)
{
    if (!fails())
        return real_mail_file_write(fd, pieces, count);
    (void)!real_mail_file_write(fd, pieces, count / 2);
    return -call_error;
}

TEST(message_is_filed_whole_with_its_modes)
{
    struct room room;
    struct stat status;
    char name[256], path[768];

    room_make(&room);
    struct filing filing = room_filing(&room, 0x1234);

    assert_int_equal(room_file(&room, &filing), FILING_DONE);
    assert_false(filing.was_filed);
    room_expect_whole(&room, "new");
    assert_int_equal(room_count(&room, "new", name), 1);
    assert_string_equal(name, "1780000000.R000a0000000000001234N0.mta1,S=55,W=55");
    room_path(&room, "new", name, path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(status.st_nlink, 1);
    snprintf(path, sizeof(path), "%s/b.example/a/cur", room.path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(room_count(&room, "tmp", NULL), 0);
    room_free(&room);
}

static char told[256];

static void on_filed(void *context, const char *domain, const char *local, const char *folder)
{
    size_t len = strlen(told);

    assert_non_null(context);
    snprintf(told + len, sizeof(told) - len, "%s/%s/%s;", domain, local, folder);
}

TEST(who_wants_to_know_is_told_of_each_folder)
{
    struct filing_target targets[] = {{".Junk", ""}, {"", "S"}};
    struct room room;

    room_filed = on_filed;
    room_make(&room);
    room_filed = NULL;
    struct filing filing = room_filing(&room, 1);

    filing.targets = targets;
    filing.target_count = 2;
    assert_int_equal(room_file(&room, &filing), FILING_DONE);
    assert_string_equal(told, "b.example/a/.Junk;b.example/a/;");
    room_free(&room);
}

TEST(folders_and_flags_are_where_others_look_for_them)
{
    struct filing_target targets[] = {{".Junk", ""}, {".Lists.x", "FS"}, {"", ""}};
    struct room room;
    char name[256], path[768];

    room_make(&room);
    struct filing filing = room_filing(&room, 1);

    filing.targets = targets;
    filing.target_count = 3;
    assert_int_equal(room_file(&room, &filing), FILING_DONE);
    room_expect_whole(&room, "new");
    room_expect_whole(&room, ".Junk/new");
    room_expect_whole(&room, ".Lists.x/cur");
    assert_int_equal(room_count(&room, ".Lists.x/cur", name), 1);
    assert_non_null(strstr(name, ":2,FS"));
    snprintf(path, sizeof(path), "%s/b.example/a/.Junk/maildirfolder", room.path);
    assert_int_equal(access(path, F_OK), 0);
    filing.may_be_filed = true;
    assert_int_equal(room_file(&room, &filing), FILING_DONE);
    assert_true(filing.was_filed);
    room_expect_whole(&room, ".Junk/new");
    room_free(&room);
}

TEST(many_messages_are_filed_in_few_batches)
{
    enum { COUNT = 1000 };
    struct mail_store_status status;
    static struct filing filings[COUNT];
    struct room room;

    room_make(&room);
    for (size_t i = 0; i < COUNT; i++) {
        filings[i] = room_filing(&room, i + 1);
        filings[i].local = i % 2 == 0 ? BYTES("a") : BYTES("other");
    }
    /* More than a busy account may have waiting, so in parts. */
    for (size_t i = 0; i < COUNT; i += 100)
        room_file_all(&room, filings + i, 100);
    for (size_t i = 0; i < COUNT; i++)
        expect_row(i, filings[i].result == FILING_DONE);
    assert_int_equal(room_count(&room, "new", NULL), COUNT / 2);
    mail_store_status(room.store, &status);
    assert_int_equal(status.filed, COUNT);
    assert_int_equal(status.waiting + status.running, 0);
    assert_in_range(status.batches, 1, COUNT / 2);
    room_free(&room);
}

/* As the spool does: again, until it is filed, by a program that was not told how it ended. */
static void file_until_done(struct room *room, struct filing *filing)
{
    filing->may_be_filed = true;
    for (unsigned i = 0; i < 3; i++)
        if (room_file(room, filing) == FILING_DONE)
            return;
    fail_msg("it was not filed: %s", filing->why);
}

TEST(message_is_filed_once_whichever_call_fails_once)
{
    static const int errors[] = {EIO, ENOSPC};
    unsigned reached = 0;

    for (size_t e = 0; e < ARRAY_LEN(errors); e++)
        for (unsigned nth = 1;; nth++) {
            struct room room;

            room_make(&room);
            struct filing filing = room_filing(&room, 1);

            filing.quota = 1000;
            plant(nth, errors[e], false);
            enum filing_result first = room_file(&room, &filing);
            bool was_reached = atomic_load(&call_count) >= nth;

            plant(0, 0, false);
            if (first != FILING_DONE && errors[e] == ENOSPC)
                expect_row(nth, first == FILING_NO_SPACE || first == FILING_FAILED);
            if (first != FILING_DONE)
                expect_row(nth, filing.why[0] != '\0');
            file_until_done(&room, &filing);
            room_expect_whole(&room, "new");
            expect_row(nth, room_count(&room, "tmp", NULL) == 0);
            room_free(&room);
            if (!was_reached)
                break;
            reached = nth;
        }
    assert_in_range(reached, 15, 100);
}

enum meddling { LEAVES_IT, READS_IT, REMOVES_IT };

/* Dies at a call; whoever has the account may read or remove the message before the next start. */
static bool die_at(unsigned nth, enum meddling meddling, size_t count)
{
    static struct filing filings[8];
    struct room room;
    char name[256], path[768], other[768 + 8];

    room_make(&room);
    for (size_t i = 0; i < count; i++) {
        filings[i] = room_filing(&room, i + 1);
        filings[i].local = i == 0 ? BYTES("a") : BYTES("other");
    }
    plant(nth, EIO, true);
    room_file_all(&room, filings, count);
    bool was_reached = atomic_load(&call_count) >= nth;
    bool had_it = room_count(&room, "new", name) == 1;

    mail_store_close(&room.store);
    plant(0, 0, false);
    if (had_it && meddling != LEAVES_IT) {
        room_path(&room, "new", name, path);
        room_path(&room, "cur", name, other);
        snprintf(other + strlen(other), 8, ":2,S");
        assert_int_equal(meddling == READS_IT ? rename(path, other) : unlink(path), 0);
    }
    room_open(&room);
    for (size_t i = 0; i < count; i++)
        file_until_done(&room, &filings[i]);
    size_t files = room_count(&room, "new", NULL) + room_count(&room, "cur", NULL);

    expect_row(nth, files == (had_it && meddling == REMOVES_IT ? 0 : 1));
    expect_row(nth, room_count(&room, "tmp", NULL) == 0);
    if (files == 1 && room_count(&room, "new", NULL) == 1)
        room_expect_whole(&room, "new");
    room_free(&room);
    return was_reached;
}

TEST(message_is_filed_once_wherever_the_program_dies)
{
    for (size_t count = 1; count <= 8; count += 7)
        for (enum meddling meddling = LEAVES_IT; meddling <= REMOVES_IT; meddling++)
            for (unsigned nth = 1; die_at(nth, meddling, count); nth++)
                check(nth < 400);
}

/* Its content is in tmp/ and its record in the log, but the machine went down before either was
 * known to be on disk. */
TEST(message_that_a_power_cut_left_in_tmp_is_written_anew)
{
    struct room room;
    char path[768];

    room_make(&room);
    struct filing filing = room_filing(&room, 1);

    assert_int_equal(room_file(&room, &filing), FILING_DONE);
    mail_store_close(&room.store);
    char new_path[768];
    room_path(&room, "new", filing.name, new_path);
    room_path(&room, "tmp", filing.name, path);
    assert_int_equal(rename(new_path, path), 0);
    assert_int_equal(truncate(path, 5), 0);
    snprintf(path, sizeof(path), "%s/.filed/00000001.log", room.path);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "another boot", 12, 8), 12);
    close(fd);
    room_open(&room);
    file_until_done(&room, &filing);
    assert_false(filing.was_filed);
    room_expect_whole(&room, "new");
    assert_int_equal(room_count(&room, "tmp", NULL), 0);
    room_free(&room);
}

TEST(message_lost_by_a_power_cut_is_filed_again_and_one_that_was_read_is_not)
{
    struct room room;
    char path[768], other[776];

    room_make(&room);
    struct filing lost = room_filing(&room, 1), read = room_filing(&room, 2);

    assert_int_equal(room_file(&room, &lost), FILING_DONE);
    assert_int_equal(room_file(&room, &read), FILING_DONE);
    mail_store_close(&room.store);
    room_path(&room, "new", lost.name, path);
    assert_int_equal(unlink(path), 0);
    room_path(&room, "new", read.name, path);
    room_path(&room, "cur", read.name, other);
    snprintf(other + strlen(other), 6, ":2,RS");
    assert_int_equal(rename(path, other), 0);
    snprintf(path, sizeof(path), "%s/.filed/00000001.log", room.path);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "another boot", 12, 8), 12);
    close(fd);
    room_open(&room);
    file_until_done(&room, &lost);
    assert_false(lost.was_filed);
    file_until_done(&room, &read);
    assert_true(read.was_filed);
    room_expect_whole(&room, "new");
    assert_int_equal(room_count(&room, "cur", NULL), 1);
    room_free(&room);
}

TEST(account_that_is_a_link_or_a_file_or_without_rights_is_not_used)
{
    struct room room;
    char path[768], command[900];

    room_make(&room);
    struct filing filing = room_filing(&room, 1);

    snprintf(path, sizeof(path), "%s/b.example", room.path);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/elsewhere", room.path);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(command, sizeof(command), "ln -s ../elsewhere %s/b.example/a", room.path);
    assert_int_equal(system(command), 0);
    assert_int_equal(room_file(&room, &filing), FILING_FAILED);
    assert_non_null(strstr(filing.why, "is a link or a file"));
    snprintf(command, sizeof(command),
             "ls %s/elsewhere | grep . && exit 1; rm %s/b.example/a; "
             "touch %s/b.example/a",
             room.path, room.path, room.path);
    assert_int_equal(system(command), 0);
    assert_int_equal(room_file(&room, &filing), FILING_FAILED);
    snprintf(command, sizeof(command), "rm %s/b.example/a", room.path);
    assert_int_equal(system(command), 0);
    assert_int_equal(room_file(&room, &filing), FILING_DONE); /* deleted: made again */
    snprintf(command, sizeof(command),
             "rm -r %s/b.example/a/new; ln -s ../../../elsewhere "
             "%s/b.example/a/new",
             room.path, room.path);
    assert_int_equal(system(command), 0);
    filing = room_filing(&room, 2);
    assert_int_equal(room_file(&room, &filing), FILING_FAILED);
    snprintf(command, sizeof(command), "rm -r %s/b.example/a; mkdir -m 0 %s/b.example/a", room.path,
             room.path);
    assert_int_equal(system(command), 0);
    filing = room_filing(&room, 3);
    if (geteuid() != 0) {
        assert_int_equal(room_file(&room, &filing), FILING_FAILED);
        assert_non_null(strstr(filing.why, "Permission denied"));
        snprintf(command, sizeof(command), "chmod 700 %s/b.example/a", room.path);
        assert_int_equal(system(command), 0);
    }
    assert_int_equal(room_file(&room, &filing), FILING_DONE);
    room_free(&room);
}

/* One of the domains is a file. */
TEST(accounts_of_several_domains_in_a_batch_keep_to_their_own)
{
    static const char *const domains[] = {"b.example", "b.example",    "c.example", "file.example",
                                          "b.example", "file.example", "c.example", "d.example"};
    struct filing filings[ARRAY_LEN(domains)];
    struct room room;
    char path[768], locals[ARRAY_LEN(domains)][8];

    room_make(&room);
    snprintf(path, sizeof(path), "%s/file.example", room.path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
        snprintf(locals[i], sizeof(locals[i]), "u%zu", i);
        filings[i] = room_filing(&room, 100 + i);
        filings[i].domain = bytes_of(domains[i]);
        filings[i].local = bytes_of(locals[i]);
    }
    room_file_all(&room, filings, ARRAY_LEN(domains));
    for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
        bool is_file = strcmp(domains[i], "file.example") == 0;

        expect_row(i, filings[i].result == (is_file ? FILING_FAILED : FILING_DONE));
        snprintf(path, sizeof(path), "%s/%s/%s/new/%s", room.path, domains[i], locals[i],
                 filings[i].name);
        expect_row(i, access(path, F_OK) == (is_file ? -1 : 0));
    }
    room_free(&room);
}

TEST(account_names_of_a_hostile_kind_stay_in_their_domain)
{
    static const struct bytes locals[] = {BYTES(".."),  BYTES("."),    BYTES("../a"),
                                          BYTES("a/b"), BYTES("x\0y"), BYTES("\xc3\xa4"),
                                          BYTES("A")};
    struct room room;
    char command[512];

    room_make(&room);
    for (size_t i = 0; i < ARRAY_LEN(locals); i++) {
        struct filing filing = room_filing(&room, i + 1);

        filing.local = locals[i];
        expect_row(i, room_file(&room, &filing) == FILING_DONE);
    }
    snprintf(command, sizeof(command),
             "test $(ls -A %s/b.example | wc -l) = %zu && test $(ls -A %s "
             "| wc -l) = 2 && test $(ls %s/b.example/*/new/* | wc -l) = %zu",
             room.path, ARRAY_LEN(locals), room.path, room.path, ARRAY_LEN(locals));
    assert_int_equal(system(command), 0);
    static uint8_t long_name[300];
    struct filing filing = room_filing(&room, 100);

    memset(long_name, 'x', sizeof(long_name));
    filing.local = bytes_range(long_name, sizeof(long_name));
    assert_int_equal(room_file(&room, &filing), FILING_FAILED);
    room_free(&room);
}
