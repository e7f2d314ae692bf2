/* report.c - ringpost report: what a bounce, a complaint, a DMARC or a TLS report says. */
#include "inbound/report/report.h"

#include <stdio.h>
#include <string.h>

#include "relay/cli/cli.h"
#include "relay/cli/read_file.h"
#include "relay/cli/report_tally.h"

enum { INDENT = 2 };

/* --- for people ------------------------------------------------------------------------------- */

static void print_members(const json_t *object, int indent);

/* One value behind its name; false: it says nothing. */
static void print_value(const char *name, const json_t *value, int indent)
{
    printf("%*s%s:", indent, "", name);
    if (json_is_string(value)) {
        putchar(' ');
        cli_print_text(json_string_value(value));
        putchar('\n');
    } else if (json_is_integer(value)) {
        printf(" %lld\n", (long long)json_integer_value(value));
    } else if (json_is_boolean(value)) {
        printf(" %s\n", json_is_true(value) ? "yes" : "no");
    } else {
        putchar('\n');
        print_members(value, indent + INDENT);
    }
}

static bool is_silent(const json_t *value)
{
    return json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0);
}

static void print_members(const json_t *object, int indent)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)object, name, value)
    {
        if (is_silent(value))
            continue;
        if (!json_is_array(value)) {
            print_value(name, value, indent);
            continue;
        }
        for (size_t i = 0; i < json_array_size(value); i++)
            print_value(name, json_array_get(value, i), indent);
    }
}

static void print_report(struct cli *cli, const struct report *report)
{
    json_t *object = report_json(report);

    check(object != NULL);
    if (cli->json) {
        cli_print_json(object);
        return;
    }
    printf("%s\n", report_kind_name(report->kind));
    print_members(json_object_get(object, "report"), INDENT);
    json_decref(object);
}

/* --- the command ------------------------------------------------------------------------------ */

static int run_report(struct cli *cli)
{
    struct cli_walk walk = {0};
    const char *path = NULL, *why = NULL;
    static struct report report; /* too large for a stack to be asked for it */
    struct buf content;

    while (cli_option(cli, &walk)) {
        if (walk.word == NULL)
            return cli_misuse(cli, "unknown option %s", walk.name);
        if (path == NULL && strcmp(walk.word, "dmarc") == 0)
            return report_tally_run(cli, &walk, TALLY_DMARC);
        if (path == NULL && strcmp(walk.word, "tls") == 0)
            return report_tally_run(cli, &walk, TALLY_TLS);
        if (path != NULL)
            return cli_misuse(cli, "one FILE, but got %s as well", walk.word);
        path = walk.word;
    }
    if (walk.is_bad)
        return EXIT_USAGE;
    if (path == NULL)
        return cli_misuse(cli, "it needs a FILE, or - for stdin");
    buf_init(&content, REPORT_SIZE_MAX);
    int code = cli_read_file(path, &content);

    if (code == EXIT_GOOD && !report_read(buf_bytes(&content), &report, &why)) {
        code = cli_fail(EXIT_FAILED, "%s: %s", path, why);
    } else if (code == EXIT_GOOD) {
        print_report(cli, &report);
        report_free(&report);
    }
    buf_free(&content);
    return code;
}

const struct cli_command cli_report = {
    "report",
    "say what a bounce, complaint, DMARC or TLS report says",
    "usage: ringpost report [--json] FILE|-\n"
    "       ringpost report [--json] dmarc|tls [--domain D] [--day DAY] [--rows]\n"
    "       ringpost report [--json] dmarc|tls --send --day DAY [--domain D]\n\n"
    "Reads one message, or the XML or JSON of a report as it stands or packed (gzip, zip), and\n"
    "says what it holds:\n"
    "bounce     a delivery status notification (RFC 3464), or one in prose (qmail, Exim)\n"
    "complaint  a feedback report (ARF, RFC 5965), failures of authentication too (RFC 6591)\n"
    "dmarc      a DMARC aggregate report (RFC 9990, RFC 7489)\n"
    "tls        an SMTP TLS report (RFC 8460)\n"
    "With --json one object {\"kind\", \"report\"}; docs/reports.md names the members. Needs\n"
    "neither configuration nor daemon. Exit code 1 if FILE cannot be read or is none of these.\n\n"
    "dmarc and tls tell what was counted for other domains (reports.dmarc, reports.tls), a line a\n"
    "day (UTC, as 2026-11-28) and domain, and what became of it; with --rows also each row.\n"
    "--send has the daemon send a day's reports at once, but for those that were sent. A file of\n"
    "such a name is ./dmarc.\n",
    run_report,
};
