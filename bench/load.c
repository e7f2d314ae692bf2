/* load.c - ringpost-bench-load: submits messages over SMTP and says what became of them. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/common/options.h"
#include "bench/load/load.h"

enum {
    EXIT_UNANSWERED = 1,
    EXIT_REJECTED = 2,
    EXIT_WRONG_USE = 64,
    EXIT_NO_RING = 78,
    SUFFIX_LEN_MAX = 100,
    RUN_LEN_MAX = 32,
};

static const char synopsis[] =
    "ringpost-bench-load --to ADDR:PORT [OPTION...]: submits messages over SMTP.\n"
    "\n"
    "Prints one line of JSON. Exits 0 if every message got a 250, 1 if some got no answer,\n"
    "2 if all got one but some were refused, 64 on wrong use, 78 if io_uring is not allowed.\n"
    "\n"
    "The ledger has a line \"CODE ID RECIPIENT\" for each recipient: 250 is the server's promise,\n"
    "4xx and 5xx its refusal; \"unknown\" says that the connection was lost after the content was\n"
    "sent, after which the same message is submitted again.";

static volatile bool stop_asked;

static void ask_stop(int signal)
{
    (void)signal;
    stop_asked = true;
}

static bool parse(struct load_settings *settings, int argc, char **argv, int *exit_out)
{
    const struct option_spec specs[] = {
        {"to", "ADDR:PORT", "where to submit", option_address, &settings->to},
        {"connections", "N", "at the same time (default 50)", option_u64, &settings->connections},
        {"messages", "N", "how many to send", option_u64, &settings->messages},
        {"seconds", "TIME", "how long to send (default 10, if no --messages)", option_ms,
         &settings->run_ms},
        {"size", "BYTES", "of a message with its header (default 4096)", option_size,
         &settings->size},
        {"size-min", "BYTES", "sizes from this to --size, small ones as often as large ones",
         option_size, &settings->size_min},
        {"recipients", "N", "of a message (default 1)", option_u64, &settings->recipients},
        {"domains", "N", "of recipients: d0 to d<N-1> (default 1)", option_u64, &settings->domains},
        {"domain-suffix", "NAME", "behind d<k> (default .bench.example)", option_text,
         &settings->domain_suffix},
        {"mix", "SHARE:N:SUFFIX", "of the recipients, domains d0 to d<N-1>; in all 100%",
         mix_take_group, &settings->mix},
        {"users", "N", "recipients u0 to u<N-1>, in turn (default: a new one each time)",
         option_u64, &settings->users},
        {"content", "FILE", "send this, every time: lines end in CRLF, none begins with a dot",
         option_text, &settings->content},
        {"senders", "N", "different ones (default 1)", option_u64, &settings->senders},
        {"rate", "N", "messages a second, whatever the answers (default: no limit)", option_u64,
         &settings->rate},
        {"per-connection", "N", "messages, then a new connection", option_u64,
         &settings->per_connection},
        {"pipelining", "on|off", "where offered (default on)", option_on_off,
         &settings->pipelining},
        {"bdat", NULL, "instead of DATA where CHUNKING is offered", option_set, &settings->bdat},
        {"ledger", "FILE", "append what became of each message", option_text, &settings->ledger},
        {"ledger-at-once", NULL, "write each line by itself", option_set,
         &settings->is_ledger_immediate},
        {"run", "NAME", "first part of the ids (default: the time)", option_text,
         &settings->run_name},
        {"timeout", "TIME", "for a reply (default 60s)", option_ms, &settings->timeout_ms},
        {"give-up", "TIME", "without any message answered (default 90s)", option_ms,
         &settings->give_up_ms},
        {"seed", "N", "of the bodies", option_u64, &settings->seed},
        {"quiet", NULL, "no line each second", option_set, &settings->quiet},
    };

    return options_parse(specs, ARRAY_LEN(specs), synopsis, argc, argv, exit_out);
}

static const char *find_problem(const struct load_settings *settings)
{
    if (address_port(&settings->to) == 0)
        return "--to is missing";
    if (settings->connections == 0 || settings->connections > 100000)
        return "--connections: 1 to 100000";
    if (settings->recipients == 0 || settings->recipients > 10000)
        return "--recipients: 1 to 10000";
    if (settings->domains == 0 || settings->senders == 0)
        return "--domains and --senders: at least 1";
    if (settings->size > 1 << 30)
        return "--size: at most 1GiB";
    if (settings->size_min > settings->size)
        return "--size-min: at most --size";
    if (settings->mix.count > 0 && !mix_is_whole(&settings->mix))
        return "--mix: its shares are not 100% together";
    if (strlen(settings->domain_suffix) > SUFFIX_LEN_MAX)
        return "--domain-suffix is too long";
    if (strlen(settings->run_name) > RUN_LEN_MAX)
        return "--run is too long";
    return NULL;
}

static int run(const struct load_settings *settings)
{
    /* Small buffers, used in turn: more would only wash the cache. */
    static const struct engine_settings engine_settings = {.buffer_count = 1024,
                                                           .buffer_size = 1024};
    struct engine *engine = engine_create(&engine_settings);
    struct load load;

    if (engine == NULL) {
        fprintf(stderr, "engine: %m\n");
        return EXIT_UNANSWERED;
    }
    load_init(&load, settings, engine);
    const char *why =
        settings->content == NULL ? NULL : content_read(&load.content, settings->content);

    if (why != NULL) {
        fprintf(stderr, "%s: %s\n", settings->content, why);
        load_free(&load);
        engine_destroy(&engine);
        return EXIT_UNANSWERED;
    }
    int error = ledger_open(&load.ledger, settings->ledger, settings->is_ledger_immediate);

    if (error < 0) {
        fprintf(stderr, "%s: %s\n", settings->ledger, strerror(-error));
        load_free(&load);
        engine_destroy(&engine);
        return EXIT_UNANSWERED;
    }
    load_run(&load, &stop_asked);
    load_report(&load, stdout);
    ledger_close(&load.ledger);
    bool is_whole = load.counts.accepted > 0 || load.counts.rejected > 0;
    int result = EXIT_SUCCESS;

    if (load.counts.rejected > 0 || load.counts.rejected_recipients > 0)
        result = EXIT_REJECTED;
    if (load.counts.unanswered > 0 || !is_whole || load.ledger.has_failed)
        result = EXIT_UNANSWERED;
    load_free(&load);
    engine_destroy(&engine);
    return result;
}

int main(int argc, char **argv)
{
    char run_name[RUN_LEN_MAX];
    struct load_settings settings = {
        .connections = 50,
        .size = 4096,
        .recipients = 1,
        .domains = 1,
        .senders = 1,
        .domain_suffix = ".bench.example",
        .run_name = run_name,
        .timeout_ms = 60000,
        .give_up_ms = 90000,
        .pipelining = true,
        .quiet = isatty(STDERR_FILENO) == 0,
    };
    struct sigaction action = {.sa_handler = ask_stop};
    int result;

    snprintf(run_name, sizeof(run_name), "r%llx", (unsigned long long)clock_wall_ms());
    if (!parse(&settings, argc, argv, &result))
        return result;
    const char *problem = find_problem(&settings);

    if (problem != NULL) {
        fprintf(stderr, "%s: %s\n", argv[0], problem);
        return EXIT_WRONG_USE;
    }
    if (!tool_probe())
        return EXIT_NO_RING;
    if (settings.messages == 0 && settings.run_ms == 0)
        settings.run_ms = 10000;
    tool_raise_fds();
    check(sigaction(SIGINT, &action, NULL) == 0);
    check(sigaction(SIGTERM, &action, NULL) == 0);
    return run(&settings);
}
