/* verify.c - ringpost verify: what receiving would find in a message, without a daemon. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "dns/cache.h"
#include "relay/cli/read_file.h"
#include "relay/cli/verify_print.h"

enum {
    CONTENT_MAX = 256 << 20, /* octets of a message */
};

struct verify_run {
    struct cli *cli;
    const char *ip, *helo, *mail_from, *file;
    struct address client;
    struct buf content; /* with CRLF ends */
    struct config *config;
    struct engine *engine;
    struct dns_cache *cache;
    struct resolver *resolver;
    struct verify_notes notes;
    bool is_done;
};

/* --- what was asked for ----------------------------------------------------------------------- */

/* One address and nothing beside it: no port, no zone. */
static bool parse_ip(const char *text, struct address *out)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, text, &v4) == 1)
        address_from_v4(v4, 0, out);
    else if (inet_pton(AF_INET6, text, &v6) == 1)
        address_from_v6(&v6, 0, out);
    else
        return false;
    return true;
}

/* Without the brackets of a path, which belong to SMTP. */
static struct bytes mail_from(const struct verify_run *run)
{
    struct bytes text = run->mail_from == NULL ? BYTES_NONE : bytes_of(run->mail_from);

    if (text.len >= 2 && text.ptr[0] == '<' && text.ptr[text.len - 1] == '>')
        text = bytes_slice(text, 1, text.len - 2);
    return text;
}

static int read_options(struct verify_run *run)
{
    struct cli_walk walk = {0};

    while (cli_option(run->cli, &walk)) {
        if (cli_value(run->cli, &walk, "--ip", &run->ip) ||
            cli_value(run->cli, &walk, "--helo", &run->helo) ||
            cli_value(run->cli, &walk, "--mail-from", &run->mail_from))
            continue;
        if (walk.word == NULL)
            return cli_misuse(run->cli, "unknown option %s", walk.name);
        if (run->file != NULL)
            return cli_misuse(run->cli, "one FILE, but got %s as well", walk.word);
        run->file = walk.word;
    }
    if (walk.is_bad)
        return EXIT_USAGE;
    if (run->file == NULL)
        return cli_misuse(run->cli, "it needs a FILE, or - for stdin");
    if (run->ip != NULL && !parse_ip(run->ip, &run->client))
        return cli_misuse(run->cli, "--ip %s is no IP address", run->ip);
    return EXIT_GOOD;
}

/* --- the run ---------------------------------------------------------------------------------- */

static int open_resolver(struct verify_run *run)
{
    const struct engine_settings settings = {.ring_entries = 256, .buffer_count = 8};
    const char *why = NULL;

    if (engine_probe(&why) < 0)
        return cli_fail(EXIT_CONFIG, "%s", why);
    run->engine = engine_create(&settings);
    if (run->engine == NULL)
        return cli_fail(EXIT_OS, "no ring: %s", strerror(errno));
    run->cache = resolver_cache_create(&run->config->dns);
    run->resolver = resolver_create(run->engine, run->cache, &run->config->dns, &why);
    if (run->resolver == NULL)
        return cli_fail(EXIT_CONFIG, "dns: %s", why == NULL ? "no memory" : why);
    return EXIT_GOOD;
}

static void close_resolver(struct verify_run *run)
{
    resolver_destroy(&run->resolver);
    if (run->engine != NULL)
        engine_turn(run->engine, 0); /* what was polled for is freed there */
    engine_destroy(&run->engine);
    dns_cache_free(&run->cache);
}

static void answered(void *context, const struct verification_trace *trace)
{
    struct verify_run *run = context;

    verify_note(&run->notes, trace);
}

static void done(void *context, struct verification *verification)
{
    struct verify_run *run = context;

    (void)verification;
    run->is_done = true;
}

static void verify(struct verify_run *run)
{
    const struct verification_settings settings = {
        .hostname = bytes_of(run->config->hostname),
        .wall_ms = clock_wall_ms(),
        .trace = answered,
        .done = done,
        .context = run,
    };
    const struct verification_request request = {
        .client = run->client,
        .helo = run->helo == NULL ? BYTES_NONE : bytes_of(run->helo),
        .mail_from = mail_from(run),
    };
    struct bytes rest = buf_bytes(&run->content);
    struct mail_header header;
    struct verification *verification = verification_start(run->resolver, &settings, &request);

    mail_header_init(&header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
    if (!mail_header_feed(&header, &rest))
        mail_header_finish(&header);
    verification_header(verification, &header);
    verification_body(verification, header.body_start);
    verification_body(verification, rest);
    verification_finish(verification);
    while (!run->is_done)
        engine_turn(run->engine, -1);
    if (run->cli->json)
        verify_print_json(verification, settings.hostname);
    else
        verify_print(verification, settings.hostname, &run->notes);
    verification_free(&verification);
    mail_header_free(&header);
}

static int run_verify(struct cli *cli)
{
    struct verify_run run = {.cli = cli};
    int code;

    buf_init(&run.content, CONTENT_MAX);
    verify_notes_init(&run.notes);
    if ((code = read_options(&run)) == EXIT_GOOD) {
        run.config = cli_config(cli);
        code = run.config == NULL ? EXIT_CONFIG : cli_read_message(run.file, &run.content);
    }
    if (code == EXIT_GOOD) {
        log_setup(LOG_TO_STDERR, LOG_LEVEL_WARN); /* failed look-ups are told with the others */
        code = open_resolver(&run);
    }
    if (code == EXIT_GOOD)
        verify(&run);
    close_resolver(&run);
    config_release(&run.config);
    verify_notes_free(&run.notes);
    buf_free(&run.content);
    return code;
}

const struct cli_command cli_verify = {
    "verify",
    "check a message as receiving would: SPF, DKIM, ARC, DMARC, iprev",
    "usage: ringpost [-c FILE] verify [--ip A] [--helo N] [--mail-from A] [--json] FILE|-\n\n"
    "Says what is found in a message and why: each look-up, each signature, which domains DMARC\n"
    "compared, and the Authentication-Results field that receiving would write. Works without a\n"
    "daemon; of the configuration it needs hostname, and asks dns.servers alone.\n"
    "--ip         the client's address; without it SPF and iprev are \"none\"\n"
    "--helo       the name that the client gave\n"
    "--mail-from  the return path; none, \"\" and \"<>\" are the null path, and SPF judges the\n"
    "             HELO name\n"
    "FILE has LF or CRLF ends and may be a header without a body.\n"
    "Exit code 0 whatever the verdict; 1 if FILE cannot be read, 64 for wrong arguments.\n",
    run_verify,
};
