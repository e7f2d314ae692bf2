/* sink.c - ringpost-bench-sink: takes messages over SMTP, or refuses them by script. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/common/options.h"
#include "bench/sink/receiver.h"

enum {
    EXIT_CHANGED = 1,
    EXIT_WRONG_USE = 64,
    EXIT_NO_RING = 78,
    THREADS_MAX = 64,
    LINGER_US = 50000, /* the last reply is still on its way */
};

static const char synopsis[] =
    "ringpost-bench-sink --listen ADDR:PORT [OPTION...]: receives messages over SMTP.\n"
    "\n"
    "Ends after --messages, --seconds, SIGINT or SIGTERM and prints one line of JSON.\n"
    "Exits 0; 1 if --verify found a changed message; 64 on wrong use; 78 if io_uring is not\n"
    "allowed.\n"
    "\n"
    "STAGE: connect, helo, mail, rcpt, data (the command), dot (the end of the content).\n"
    "CODE: 400 to 599, or drop: the connection is closed without a reply. Rejections are drawn\n"
    "by a hash of seed, recipient and attempt, so they repeat from run to run.\n"
    "The ledger has a line \"ID RECIPIENT UNIX_MS\" for each recipient of an accepted message.";

static bool take_listen(struct bytes value, void *target)
{
    struct sink_settings *settings = target;

    return settings->listen_count < LISTENS_MAX &&
           option_address(value, &settings->listens[settings->listen_count]) &&
           ++settings->listen_count;
}

static bool take_one_lack(struct sink_settings *settings, struct bytes name)
{
    const struct {
        struct bytes name;
        bool *lacks;
    } known[] = {
        {BYTES("PIPELINING"), &settings->lacks_pipelining},
        {BYTES("8BITMIME"), &settings->lacks_8bitmime},
        {BYTES("CHUNKING"), &settings->lacks_chunking},
        {BYTES("SIZE"), &settings->lacks_size},
        {BYTES("SMTPUTF8"), &settings->lacks_smtputf8},
        {BYTES("DSN"), &settings->lacks_dsn},
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (bytes_equal_nocase(name, known[i].name)) {
            *known[i].lacks = true;
            return true;
        }
    }
    return false;
}

static bool take_without(struct bytes value, void *target)
{
    struct bytes name;

    while (bytes_take_until(&value, ',', &name)) {
        if (!take_one_lack(target, name))
            return false;
    }
    return take_one_lack(target, value);
}

static bool parse(struct sink_settings *settings, int argc, char **argv, int *exit_out)
{
    const struct option_spec specs[] = {
        {"listen", "ADDR:PORT", "where; may be given more than once", take_listen, settings},
        {"threads", "N", "each with a ring of its own (default 1)", option_u64, &settings->threads},
        {"messages", "N", "stop when so many were accepted", option_u64, &settings->messages},
        {"seconds", "TIME", "stop after this time", option_ms, &settings->run_ms},
        {"without", "LIST", "do not offer: PIPELINING,8BITMIME,CHUNKING,SIZE,SMTPUTF8,DSN",
         take_without, settings},
        {"reject", "STAGE:CODE:PERCENT", "e.g. rcpt:450:20%; may be given more than once",
         rules_take_rejection, &settings->rules},
        {"latency", "STAGE=TIME,...", "e.g. connect=5ms,mail=1ms,dot=10ms-50ms", rules_take_latency,
         &settings->rules},
        {"first-attempt-4xx", NULL, "451 when a recipient is asked for the first time", option_set,
         &settings->rules.refuses_first_attempt},
        {"seed", "N", "of the draws", option_u64, &settings->rules.seed},
        {"close-after", "N", "messages of a session; then 421", option_u64, &settings->close_after},
        {"sessions-max", "N", "at the same time; more get 421 (default 65536)", option_u64,
         &settings->sessions_max},
        {"size-max", "BYTES", "of a message (default 50MiB)", option_size, &settings->size_max},
        {"slow", "TIME", "between any two bytes of a reply", option_ms, &settings->slow_ms},
        {"verify", NULL, "compare each message with the marks load put on it", option_set,
         &settings->verifies},
        {"ledger", "FILE", "append id and recipient of what was accepted", option_text,
         &settings->ledger},
        {"ledger-at-once", NULL, "write each line before its 250, not once a second", option_set,
         &settings->is_ledger_immediate},
        {"status-file", "FILE", "replaced each interval by the counts so far", option_text,
         &settings->status_file},
        {"interval", "TIME", "of status and progress (default 1s)", option_ms,
         &settings->interval_ms},
        {"progress", NULL, "counts on stdout each interval", option_set, &settings->shows_progress},
    };

    return options_parse(specs, ARRAY_LEN(specs), synopsis, argc, argv, exit_out);
}

static const char *find_problem(const struct sink_settings *settings)
{
    if (settings->listen_count == 0)
        return "--listen is missing";
    if (settings->threads == 0 || settings->threads > THREADS_MAX)
        return "--threads: 1 to 64";
    if (settings->interval_ms <= 0)
        return "--interval: more than nothing";
    return NULL;
}

static void make_replies(struct sink *sink)
{
    const struct sink_settings *settings = &sink->settings;
    struct buf reply;

    snprintf(sink->greeting, sizeof(sink->greeting), "220 sink.bench.example ESMTP\r\n");
    buf_init(&reply, sizeof(sink->ehlo_reply) - 1);
    check(buf_printf(&reply, "250-sink.bench.example\r\n%s%s%s%s%s",
                     settings->lacks_pipelining ? "" : "250-PIPELINING\r\n",
                     settings->lacks_8bitmime ? "" : "250-8BITMIME\r\n",
                     settings->lacks_chunking ? "" : "250-CHUNKING\r\n",
                     settings->lacks_smtputf8 ? "" : "250-SMTPUTF8\r\n",
                     settings->lacks_dsn ? "" : "250-DSN\r\n"));
    if (!settings->lacks_size)
        check(buf_printf(&reply, "250-SIZE %" PRIu64 "\r\n", settings->size_max));
    check(buf_append(&reply, BYTES("250 ENHANCEDSTATUSCODES\r\n")));
    memcpy(sink->ehlo_reply, reply.ptr, buf_len(&reply)); /* zeroed behind it */
    buf_free(&reply);
}

/* --- report --------------------------------------------------------------------------------- */

struct sums {
    uint64_t messages, recipients, bytes, refusals, sessions, dropped, lost, syntax;
    uint64_t verified, changed, unmarked;
    int64_t first_us, last_us;
};

static struct sums sum_up(const struct receiver *receivers, uint64_t count)
{
    struct sums sums = {0};

    for (uint64_t i = 0; i < count; i++) {
        const struct receiver_counts *counts = &receivers[i].counts;

        sums.messages += counts->messages;
        sums.recipients += counts->recipients;
        sums.bytes += counts->bytes;
        sums.refusals += counts->refusals;
        sums.sessions += counts->sessions;
        sums.dropped += counts->dropped;
        sums.lost += counts->lost;
        sums.syntax += counts->syntax;
        sums.verified += counts->verified;
        sums.changed += counts->changed;
        sums.unmarked += counts->unmarked;
        int64_t first_us = counts->first_us;

        if (first_us != 0 && (sums.first_us == 0 || first_us < sums.first_us))
            sums.first_us = first_us;
        sums.last_us = MAX(sums.last_us, (int64_t)counts->last_us);
    }
    return sums;
}

static void print_counts(const struct sink *sink, const struct sums *sums, FILE *out)
{
    double seconds = (double)(sums->last_us - sums->first_us) / 1e6;

    fprintf(out,
            "{\"tool\": \"sink\", \"messages\": %" PRIu64 ", \"recipients\": %" PRIu64
            ", \"bytes\": %" PRIu64 ", \"refusals\": %" PRIu64 ", \"sessions\": %" PRIu64
            ", \"sessions_now\": %" PRIu64 ", \"sessions_max\": %" PRIu64 ", \"dropped\": %" PRIu64
            ", \"lost_in_transaction\": %" PRIu64 ", \"syntax_errors\": %" PRIu64,
            sums->messages, sums->recipients, sums->bytes, sums->refusals, sums->sessions,
            (uint64_t)sink->sessions, (uint64_t)sink->sessions_max, sums->dropped, sums->lost,
            sums->syntax);
    if (sink->settings.verifies)
        fprintf(out,
                ", \"verified\": %" PRIu64 ", \"changed\": %" PRIu64 ", \"unmarked\": %" PRIu64,
                sums->verified, sums->changed, sums->unmarked);
    fprintf(out, ", \"first\": %.6f, \"last\": %.6f, \"seconds\": %.6f, \"rate\": %.1f",
            (double)sums->first_us / 1e6, (double)sums->last_us / 1e6, seconds,
            seconds > 0 ? (double)sums->messages / seconds : 0.0);
    fprintf(out, ", \"cpu_us_per_message\": %.2f",
            sums->messages > 0 ? (double)tool_cpu_us() / (double)sums->messages : 0.0);
}

/* Whoever reads the file sees one status or the next, never half of one. */
static void write_status(const struct sink *sink, const struct sums *sums)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s.new", sink->settings.status_file);
    FILE *out = fopen(path, "we");

    if (out == NULL) {
        fprintf(stderr, "%s: %m\n", path);
        return;
    }
    print_counts(sink, sums, out);
    fputs("}\n", out);
    fclose(out);
    if (rename(path, sink->settings.status_file) < 0)
        fprintf(stderr, "%s: %m\n", sink->settings.status_file);
}

static void show(const struct sink *sink, const struct receiver *receivers)
{
    struct sums sums = sum_up(receivers, sink->settings.threads);

    if (sink->settings.status_file != NULL)
        write_status(sink, &sums);
    if (sink->settings.shows_progress) {
        printf("messages %" PRIu64 "  refusals %" PRIu64 "  sessions %" PRIu64 "\n", sums.messages,
               sums.refusals, (uint64_t)sink->sessions);
        fflush(stdout);
    }
}

static int report(const struct sink *sink, const struct receiver *receivers)
{
    struct sums sums = sum_up(receivers, sink->settings.threads);
    struct code_counts codes = {0};

    for (uint64_t i = 0; i < sink->settings.threads; i++) {
        for (unsigned stage = 0; stage < STAGE_COUNT; stage++) {
            for (unsigned code = 0; code < CODE_MAX; code++)
                codes.counts[stage][code] += receivers[i].codes.counts[stage][code];
        }
    }
    print_counts(sink, &sums, stdout);
    fputs(", \"refused_by_code\": ", stdout);
    code_counts_print(&codes, stdout);
    fputs("}\n", stdout);
    fflush(stdout);
    return sums.changed > 0 ? EXIT_CHANGED : EXIT_SUCCESS;
}

/* --- running -------------------------------------------------------------------------------- */

/* Until a signal, the time, or the number of messages (which a receiver tells by SIGUSR1). */
static void wait_for_end(const struct sink *sink, const struct receiver *receivers,
                         const sigset_t *signals)
{
    int64_t end_ms =
        sink->settings.run_ms != 0 ? clock_monotonic_ms() + sink->settings.run_ms : INT64_MAX;
    int signal = -1;

    while (signal < 0) {
        int64_t wait_ms = MIN(sink->settings.interval_ms, end_ms - clock_monotonic_ms());

        if (wait_ms <= 0)
            return;
        struct timespec wait = {wait_ms / 1000, wait_ms % 1000 * 1000000};

        signal = sigtimedwait(signals, NULL, &wait);
        if (signal < 0)
            show(sink, receivers);
    }
    if (signal == SIGUSR1)
        usleep(LINGER_US);
}

static int run(struct sink *sink)
{
    uint64_t count = sink->settings.threads;
    struct receiver *receivers = calloc(count, sizeof(*receivers));
    sigset_t signals;

    check(receivers != NULL);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGUSR1);
    check(pthread_sigmask(SIG_BLOCK, &signals, NULL) == 0); /* in the threads to come, too */
    for (uint64_t i = 0; i < count; i++) {
        int error = receiver_init(&receivers[i], sink);

        if (error < 0) {
            fprintf(stderr, "cannot listen or open the ledger: %s\n", strerror(-error));
            return EXIT_FAILURE;
        }
    }
    for (uint64_t i = 0; i < count; i++)
        receiver_start(&receivers[i]);
    wait_for_end(sink, receivers, &signals);
    for (uint64_t i = 0; i < count; i++)
        receiver_stop(&receivers[i]);
    show(sink, receivers);
    int result = report(sink, receivers);

    for (uint64_t i = 0; i < count; i++)
        receiver_free(&receivers[i]);
    free(receivers);
    return result;
}

int main(int argc, char **argv)
{
    static struct sink sink = {
        .settings = {.threads = 1,
                     .sessions_max = 65536,
                     .size_max = 50 << 20,
                     .interval_ms = 1000},
    };
    int result;

    if (!parse(&sink.settings, argc, argv, &result))
        return result;
    const char *problem = find_problem(&sink.settings);

    if (problem != NULL) {
        fprintf(stderr, "%s: %s\n", argv[0], problem);
        return EXIT_WRONG_USE;
    }
    if (!tool_probe())
        return EXIT_NO_RING;
    tool_raise_fds();
    attempts_init(&sink.attempts);
    make_replies(&sink);
    result = run(&sink);
    attempts_free(&sink.attempts);
    return result;
}
