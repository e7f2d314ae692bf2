/* control_reports.c - the control command about reports: send some now. */
#include <string.h>

#include "relay/control_command.h"
#include "relay/program.h"
#include "relay/reporter.h"

static void command_send(struct control_client *client, const json_t *request)
{
    const char *kind = json_string_value(json_object_get(request, "kind"));
    const char *day_text = json_string_value(json_object_get(request, "day"));
    const char *domain = json_string_value(json_object_get(request, "domain"));
    bool is_dmarc = kind != NULL && strcmp(kind, "dmarc") == 0;
    char why[TALLY_WHY_MAX] = "";
    uint64_t count = 0;
    int64_t day;

    if (!is_dmarc && (kind == NULL || strcmp(kind, "tls") != 0)) {
        control_fail(client, "kind: dmarc or tls");
        return;
    }
    if (day_text == NULL || !tally_day_parse(bytes_of(day_text), &day)) {
        control_fail(client, "day: expected one as 2026-11-28");
        return;
    }
    if (reporter_hurry(client->program->reporter, is_dmarc ? TALLY_DMARC : TALLY_TLS, day,
                       domain != NULL ? bytes_of(domain) : BYTES_NONE, &count, why))
        (void)control_line(client,
                           json_pack("{s:b, s:I}", "done", 1, "reports", (json_int_t)count));
    else
        control_fail(client, "%s", why);
}

static const struct control_argument send_arguments[] = {
    {"kind", CONTROL_TEXT, "dmarc or tls"},
    {"day", CONTROL_TEXT, "UTC, as 2026-11-28"},
    {"domain", CONTROL_TEXT, "about which; all without it"},
    {.name = NULL},
};

const struct control_command control_report_commands[] = {
    {.name = "reports.send",
     .run = command_send,
     .arguments = send_arguments,
     .says = "Send reports of a day at once, but for those that were sent."},
    {.name = NULL},
};
