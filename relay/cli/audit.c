/*
 * audit.c - adds up events and queue.
 *
 * While a daemon serves the spool, the queue is what it says, and the cut is what the files held
 * when it was asked; they are read on until they hold all that had happened when it had answered.
 * A stopped spool is read itself, and the events that its next start would write come from there.
 */
#include "relay/cli/audit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "event/event_committed.h"
#include "event/event_ledger.h"
#include "event/event_reader.h"
#include "queue/inspect.h"
#include "queue/journal.h"
#include "relay/cli/audit_report.h"
#include "relay/privacy_rows.h"

enum { WAIT_STEP_US = 50000, WAIT_MS_MAX = 120000, RESTS_MAX = 100 };

typedef void each_head_fn(struct ledger *ledger, const struct event_head *head);

/* Of a shard, how far its events were read. */
struct read_place {
    uint64_t position, part, serial_max;
};

struct audit {
    const struct cli *cli;
    const struct config *config;
    char directory[CLI_PATH_MAX]; /* of the event files */
    bool is_served;
    int64_t since_ms;
    struct event_reader *reader;
    struct event_place from;
    struct event_committed until;
    struct event_cursors journals; /* what the daemon had journaled when it had answered */
    struct ledger *ledger;
    each_head_fn *each;
    struct buf line; /* of an event that is in no file yet */
    struct read_place places[MESSAGE_ID_SHARDS_MAX];
    uint64_t strange_lines, unreadable, broken_files, repeated;
};

static int fail(const struct audit *a, const char *what, int error)
{
    if (error == -ENOENT)
        return cli_fail(EXIT_FAILED, "%s: %s: a file went while it was needed; run it again",
                        a->directory, what);
    if (error == -EBUSY)
        return cli_fail(EXIT_BUSY, "%s is being served, but nobody answers; run it again",
                        a->config->spool.directory);
    return cli_fail(EXIT_FAILED, "%s: %s: %s", a->directory, what, strerror(-error));
}

/* --- events ----------------------------------------------------------------------------------- */

/* Ids are told with the node that they were read with. */
static void take_node(struct bytes id)
{
    unsigned node = 0;

    for (size_t i = 0; i < 4 && i < id.len; i++)
        node = node << 4 |
               (unsigned)(byte_is_digit(id.ptr[i]) ? id.ptr[i] - '0' : id.ptr[i] - 'a' + 10);
    event_set_node((uint16_t)node);
}

/* Events of a shard stand in its journal's order: one that does not go on behind the one before
 * was written a second time, as after the loss of the files' cursor. Only a new spool begins again,
 * with messages that are younger than all. */
static bool is_repeated(struct audit *a, const struct event_head *head)
{
    struct read_place *place = &a->places[head->shard];
    uint64_t serial = head->id.value & MESSAGE_ID_SERIAL_MAX;

    if (head->position == 0 || head->id.value == 0)
        return false;
    bool is_further = head->position > place->position ||
                      (head->position == place->position && head->part > place->part);
    if (!is_further && place->position != 0 && serial <= place->serial_max)
        return true;
    place->position = head->position;
    place->part = head->part;
    place->serial_max = MAX(place->serial_max, serial);
    return false;
}

static void take_line(struct audit *a, struct bytes line)
{
    struct event_head head;

    if (!event_head_parse(line, &head)) {
        a->strange_lines += a->each == ledger_event;
        return;
    }
    if (head.id.value != 0)
        take_node(head.id_text);
    if (is_repeated(a, &head)) {
        a->repeated += a->each == ledger_event;
        return;
    }
    a->each(a->ledger, &head);
}

/* The first file behind `number` that is there, or the end of all. 0 or -errno. */
static int find_next(struct audit *a, uint64_t number, struct event_place *next_out)
{
    *next_out = a->until.place;
    if (number >= a->until.place.number)
        return 0;
    *next_out = (struct event_place){0};
    return event_reader_oldest(a->reader, number + 1, a->until.place, &next_out->number);
}

/* What a file does not give is named, and the others are read all the same, so that the messages
 * that miss something are named too. The retention takes the oldest alone, which is no fault. */
static int step_over(struct audit *a, int error)
{
    struct event_place at = event_reader_place(a->reader), next;
    uint64_t oldest = at.number;

    if (error != -ENOENT && error != -EBADMSG && error != -EIO)
        return error;
    int found = event_reader_oldest(a->reader, 1, a->until.place, &oldest);
    if (found == 0 && error == -ENOENT && oldest > at.number)
        return error;
    if (found == 0)
        found = find_next(a, at.number, &next);
    if (found < 0)
        return found;
    if (a->each == ledger_event) {
        a->broken_files++;
        audit_report_file(a->cli, at, error);
    }
    event_reader_seek(a->reader, next);
    return 0;
}

/* The files from where the reader is. */
static int read_files(struct audit *a)
{
    struct bytes line;
    unsigned rests = 0;

    for (;;) {
        int got = event_reader_next(a->reader, a->until.place, &line);

        if (got > 0) {
            take_line(a, line);
            continue;
        }
        if (got == 0 && event_place_compare(event_reader_place(a->reader), a->until.place) >= 0)
            return EXIT_GOOD;
        if (got == 0 && !event_reader_is_short(a->reader, a->until.place) && ++rests < RESTS_MAX) {
            usleep(WAIT_STEP_US); /* a file is being renamed */
            continue;
        }
        int error = step_over(a, got == 0 ? -EIO : got);
        if (error < 0)
            return fail(a, "reading events", error);
    }
}

static void take_event(void *context, const struct event *event)
{
    struct audit *a = context;

    buf_clear(&a->line);
    bool fits = event_json(event, &a->line);
    check(fits);
    struct bytes line = buf_bytes(&a->line);
    take_line(a, bytes_slice(line, 0, line.len - 1));
}

/* What a stopped spool has that the files have not. */
static int read_journals(struct audit *a)
{
    int error = 0;

    for (unsigned shard = 0; shard < MESSAGE_ID_SHARDS_MAX && error == 0; shard++) {
        struct journal_reader *reader;

        error = journal_open(a->config->spool.directory, shard, a->until.journals.positions[shard],
                             &reader);
        if (error == -ENOENT) {
            error = 0;
            continue;
        }
        if (error < 0)
            break;
        error = journal_read(reader, UINT64_MAX, take_event, a);
        if (a->each == ledger_event)
            a->unreadable += journal_damaged(reader);
        journal_close(&reader);
    }
    return error < 0 ? fail(a, "reading the spool's events", error) : EXIT_GOOD;
}

/* --- the queue -------------------------------------------------------------------------------- */

static void queued(void *context, struct message_id id, uint32_t recipients)
{
    struct audit *a = context;

    ledger_queued(a->ledger, id, recipients);
}

static void queued_line(void *context, const json_t *line)
{
    const char *text = json_string_value(json_object_get(line, "id"));
    struct audit *a = context;
    struct message_id id;

    if (text == NULL || !event_head_parse_id(bytes_of(text), &id))
        return;
    take_node(bytes_of(text));
    queued(a, id, (uint32_t)json_integer_value(json_object_get(line, "recipients")));
}

static void take_journals(struct audit *a, const json_t *done)
{
    size_t i;
    json_t *journal;

    json_array_foreach(json_object_get(done, "journals"), i, journal)
    {
        json_int_t shard = json_integer_value(json_object_get(journal, "shard"));

        if (shard >= 0 && shard < MESSAGE_ID_SHARDS_MAX)
            a->journals.positions[shard] =
                (uint64_t)json_integer_value(json_object_get(journal, "position"));
    }
}

static bool is_told(const struct audit *a)
{
    for (size_t shard = 0; shard < MESSAGE_ID_SHARDS_MAX; shard++)
        if (a->until.journals.positions[shard] < a->journals.positions[shard])
            return false;
    return true;
}

/* Until the files hold all that had happened when the daemon had answered. */
static int wait_told(struct audit *a)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS_MAX;

    for (;;) {
        int error = event_committed_read(a->directory, &a->until);

        if (error < 0)
            return fail(a, "reading the cursor", error);
        if (is_told(a))
            return EXIT_GOOD;
        if (clock_monotonic_ms() >= until_ms)
            return cli_fail(EXIT_FAILED,
                            "%s: events of the spool are not in the files yet after "
                            "%d s; `ringpost status` tells of room",
                            a->directory, WAIT_MS_MAX / 1000);
        usleep(WAIT_STEP_US);
    }
}

static int ask_daemon(struct audit *a)
{
    struct cli kept = *a->cli;
    json_t *done = NULL;

    kept.json = false; /* lines are counted, not printed */
    int code = cli_control(&kept, json_pack("{s:s}", "command", "queue.unfinished"), queued_line, a,
                           &done);
    if (code == EXIT_GOOD)
        take_journals(a, done);
    json_decref(done);
    return code == EXIT_GOOD ? wait_told(a) : code;
}

/* --- the readings ----------------------------------------------------------------------------- */

static int first_reading(struct audit *a)
{
    a->each = ledger_event;
    int code = read_files(a);
    if (code == EXIT_GOOD && !a->is_served)
        code = read_journals(a);
    ledger_cut(a->ledger);
    if (code != EXIT_GOOD)
        return code;
    if (!a->is_served) {
        int error = spool_unfinished(a->config->spool.directory, queued, a);

        return error < 0 && error != -ENOENT ? fail(a, "reading the spool", error) : EXIT_GOOD;
    }
    code = ask_daemon(a);
    return code == EXIT_GOOD ? read_files(a) : code;
}

static int second_reading(struct audit *a)
{
    a->each = ledger_recount;
    memset(a->places, 0, sizeof(a->places));
    event_reader_seek(a->reader, a->from);
    int code = read_files(a);

    return code == EXIT_GOOD && !a->is_served ? read_journals(a) : code;
}

static int run(struct audit *a)
{
    struct ledger_totals totals;

    int code = first_reading(a);
    if (code != EXIT_GOOD)
        return code;
    ledger_judge(a->ledger);
    ledger_totals(a->ledger, &totals);
    if (totals.wrong_messages > 0)
        code = second_reading(a);
    if (code != EXIT_GOOD)
        return code;
    const struct audit_facts facts = {
        .totals = totals,
        .first_file = a->from.number,
        .last_file = a->until.place.number,
        .strange_lines = a->strange_lines,
        .unreadable = a->unreadable,
        .broken_files = a->broken_files,
        .repeated = a->repeated,
        .is_served = a->is_served,
    };
    return audit_report(a->cli, a->ledger, &facts);
}

/* Where the reading begins. */
static int open_files(struct audit *a)
{
    int error = event_committed_read(a->directory, &a->until);

    if (error == 0)
        error = event_reader_open(a->directory, (struct event_place){0}, &a->reader);
    if (error < 0)
        return error;
    if (a->since_ms > 0)
        error = event_reader_since(a->reader, a->since_ms, a->until.place, &a->from.number);
    else
        error = event_reader_oldest(a->reader, 1, a->until.place, &a->from.number);
    if (error == 0)
        event_reader_seek(a->reader, a->from);
    return error;
}

static int audit(struct audit *a)
{
    if (!state_dir_file(a->config->state_dir, "events", a->directory, sizeof(a->directory)))
        return cli_fail(EXIT_CONFIG, "%s: too long a path", a->config->state_dir);
    a->is_served = cli_is_served(a->config->state_dir);
    if (!a->is_served) /* what the spool has is compared with what the files show */
        (void)privacy_rows_load(a->config->state_dir, true);
    int error = open_files(a);
    if (error == -ENOENT)
        return cli_fail(EXIT_FAILED, "%s: no event files; `ringpost serve` makes them",
                        a->directory);
    if (error < 0)
        return fail(a, "opening", error);
    const struct ledger_settings settings = {
        .is_whole = a->from.number == 1,
        .since_us = a->since_ms * 1000,
    };
    a->ledger = ledger_create(&settings);
    buf_init(&a->line, EVENT_JSON_MAX);
    int code = run(a);
    ledger_free(&a->ledger);
    buf_free(&a->line);
    return code;
}

int cli_audit(struct cli *cli)
{
    struct audit a = {.cli = cli};
    struct cli_walk walk = {.next = 2};
    const char *since = NULL;

    while (cli_option(cli, &walk)) {
        if (cli_value(cli, &walk, "--since", &since))
            continue;
        return cli_misuse(cli, "unknown argument %s", walk.name != NULL ? walk.name : walk.word);
    }
    if (walk.is_bad || (since != NULL && !cli_since(cli, since, &a.since_ms)))
        return EXIT_USAGE;
    struct config *config = cli_config(cli);
    if (config == NULL)
        return EXIT_CONFIG;
    a.config = config;
    int code = audit(&a);
    if (a.reader != NULL)
        event_reader_close(&a.reader);
    config_release(&config);
    return code;
}
