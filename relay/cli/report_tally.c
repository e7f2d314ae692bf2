/* report_tally.c - reads reports.db beside the daemon, or has it send some. */
#include "relay/cli/report_tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "event/json_text.h"
#include "reporting/dmarc_count.h"
#include "reporting/tls_count.h"

struct tally_run {
    struct cli *cli;
    enum tally_kind kind;
    const char *domain, *day_text;
    int64_t day; /* TALLY_ANY_DAY: all */
    bool does_send, shows_rows;
    struct tally *rows; /* a connection of its own, for rows while reports are walked */
    bool is_good;
    uint64_t count;
};

static const char *const names[][TALLY_COLUMNS] = {
    [TALLY_DMARC] = {"source_ip", "disposition", "dkim", "spf", "reason", "header_from",
                     "envelope_from", "auth"},
    [TALLY_TLS] = {"policy_type", "policy_domain", "result", "source_ip", "mx_host", "mx_ip",
                   "reason", NULL},
};

/* --- rows ------------------------------------------------------------------------------------- */

struct row_run {
    enum tally_kind kind;
    json_t *list; /* NULL: print */
};

static json_t *column_json(const char *name, struct bytes text)
{
    json_t *parsed =
        strcmp(name, "auth") == 0 ? json_loadb((const char *)text.ptr, text.len, 0, NULL) : NULL;

    if (parsed != NULL)
        return parsed;
    return text.len > 0 ? json_text(text) : json_null();
}

static void add_row(void *context, const struct tally_row *row)
{
    struct row_run *run = context;
    json_t *object = json_pack("{s:I}", "count", (json_int_t)row->count);

    for (int i = 0; i < TALLY_COLUMNS && names[run->kind][i] != NULL; i++)
        (void)!json_object_set_new(object, names[run->kind][i],
                                   column_json(names[run->kind][i], row->columns[i]));
    (void)!json_array_append_new(run->list, object);
}

static void print_row(void *context, const struct tally_row *row)
{
    struct row_run *run = context;

    printf("  %10" PRIu64, row->count);
    for (int i = 0; i < TALLY_COLUMNS && names[run->kind][i] != NULL; i++)
        if (row->columns[i].len > 0 && strcmp(names[run->kind][i], "auth") != 0) {
            char text[512];

            snprintf(text, sizeof(text), "%.*s", (int)MIN(row->columns[i].len, (size_t)500),
                     (const char *)row->columns[i].ptr);
            printf(" %s=", names[run->kind][i]);
            cli_print_text(text);
        }
    putchar('\n');
}

/* --- reports ---------------------------------------------------------------------------------- */

static void print_report(struct tally_run *run, const struct tally_report *report, const char *day)
{
    char domain[TALLY_DOMAIN_MAX + 1], said[1024];

    snprintf(domain, sizeof(domain), "%.*s", BYTES_ARG(report->domain));
    snprintf(said, sizeof(said), "%.*s", (int)MIN(report->said.len, sizeof(said) - 1),
             (const char *)report->said.ptr);
    printf("%s ", day);
    cli_print_text(domain);
    printf(": %" PRIu64 " %s in %" PRIu64 " rows, %s", report->total,
           run->kind == TALLY_DMARC ? "messages" : "sessions", report->rows,
           tally_state_name(report->state));
    if (report->left_out > 0)
        printf("; %" PRIu64 " not in rows", report->left_out);
    if (said[0] != '\0') {
        printf("; ");
        cli_print_text(said);
    }
    putchar('\n');
}

static bool visit(void *context, const struct tally_report *report)
{
    struct tally_run *run = context;
    struct row_run rows = {run->kind, NULL};
    char day[TALLY_DAY_TEXT_MAX];

    run->count++;
    tally_day_format(report->day, day);
    if (!run->cli->json) {
        print_report(run, report, day);
        if (run->shows_rows)
            run->is_good = tally_rows(run->rows, report, print_row, &rows);
        return run->is_good;
    }
    json_t *object =
        json_pack("{s:s,s:s,s:o,s:s,s:o,s:I,s:I,s:I,s:i,s:o}", "report",
                  tally_kind_name(report->kind), "day", day, "domain", json_text(report->domain),
                  "state", tally_state_name(report->state), "policy",
                  report->policy.len > 0 ? json_text(report->policy) : json_null(), "total",
                  (json_int_t)report->total, "rows", (json_int_t)report->rows, "left_out",
                  (json_int_t)report->left_out, "tries", (int)report->tries, "said",
                  report->said.len > 0 ? json_text(report->said) : json_null());

    if (run->shows_rows) {
        rows.list = json_array();
        run->is_good = tally_rows(run->rows, report, add_row, &rows);
        (void)!json_object_set_new(object, "counted", rows.list);
    }
    cli_print_json(object);
    return run->is_good;
}

static int show(struct tally_run *run)
{
    char state_dir[CLI_PATH_MAX], why[TALLY_WHY_MAX] = "";

    if (!cli_state_dir(run->cli, state_dir))
        return EXIT_CONFIG;
    struct tally *tally = tally_open(state_dir, true, why);

    if (tally != NULL)
        run->rows = tally_open(state_dir, true, why);
    run->is_good = true;
    if (tally == NULL || run->rows == NULL) {
        tally_close(&tally);
        return cli_fail(EXIT_FAILED, "%s", why);
    }
    bool is_read =
        tally_reports(tally, run->kind, run->day,
                      run->domain != NULL ? bytes_of(run->domain) : BYTES_NONE, visit, run);
    int code = EXIT_GOOD;

    if (!is_read || !run->is_good)
        code = cli_fail(EXIT_FAILED, "%s", tally_why(is_read ? run->rows : tally));
    else if (run->count == 0 && !run->cli->json)
        puts("nothing was counted");
    tally_close(&run->rows);
    tally_close(&tally);
    return code;
}

static int send_now(struct tally_run *run)
{
    json_t *done = NULL;
    json_t *request = json_pack("{s:s,s:s,s:s}", "command", "reports.send", "kind",
                                tally_kind_name(run->kind), "day", run->day_text);

    if (run->domain != NULL &&
        json_object_set_new(request, "domain", json_string(run->domain)) < 0) {
        json_decref(request);
        return cli_misuse(run->cli, "the domain is not UTF-8");
    }
    int code = cli_control(run->cli, request, NULL, NULL, &done);

    if (code == EXIT_GOOD && run->cli->json)
        cli_print_json(json_incref(done));
    else if (code == EXIT_GOOD)
        printf("%lld reports are sent now\n",
               (long long)json_integer_value(json_object_get(done, "reports")));
    json_decref(done);
    return code;
}

int report_tally_run(struct cli *cli, struct cli_walk *walk, enum tally_kind kind)
{
    struct tally_run run = {.cli = cli, .kind = kind, .day = TALLY_ANY_DAY};

    while (cli_option(cli, walk)) {
        if (cli_value(cli, walk, "--domain", &run.domain) ||
            cli_value(cli, walk, "--day", &run.day_text) ||
            cli_flag(walk, "--send", &run.does_send) || cli_flag(walk, "--rows", &run.shows_rows))
            continue;
        return cli_misuse(cli, "unknown option %s", walk->name != NULL ? walk->name : walk->word);
    }
    if (walk->is_bad)
        return EXIT_USAGE;
    if (run.day_text != NULL && !tally_day_parse(bytes_of(run.day_text), &run.day))
        return cli_misuse(cli, "--day takes one as 2026-11-28, but got %s", run.day_text);
    if (run.does_send && run.day_text == NULL)
        return cli_misuse(cli, "--send needs --day");
    return run.does_send ? send_now(&run) : show(&run);
}
