/* audit_report.c - prints sums, and what does not add up. */
#include "relay/cli/audit_report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const final_names[LEDGER_FINALS] = {
    [LEDGER_DELIVERED] = "delivered",   [LEDGER_BOUNCED] = "bounced",
    [LEDGER_EXPIRED] = "expired",       [LEDGER_CANCELLED] = "cancelled",
    [LEDGER_SUPPRESSED] = "suppressed",
};

struct row {
    struct bytes name;
    const struct ledger_sum *sum;
};

struct rows {
    struct row *row;
    size_t count, capacity;
};

static void add_row(void *context, struct bytes name, const struct ledger_sum *sum)
{
    struct rows *rows = context;

    if (rows->count == rows->capacity) {
        rows->capacity = MAX(2 * rows->capacity, (size_t)16);
        rows->row = realloc(rows->row, rows->capacity * sizeof(*rows->row));
        check(rows->row != NULL);
    }
    rows->row[rows->count++] = (struct row){name, sum};
}

static int by_name(const void *a, const void *b)
{
    return bytes_compare(((const struct row *)a)->name, ((const struct row *)b)->name);
}

static json_t *sum_json(const struct ledger_sum *sum)
{
    json_t *object = json_object();

    json_object_set_new(object, "accepted", json_integer((json_int_t)sum->accepted));
    for (size_t i = 0; i < LEDGER_FINALS; i++)
        json_object_set_new(object, final_names[i], json_integer((json_int_t)sum->ended[i]));
    json_object_set_new(object, "queued", json_integer((json_int_t)sum->queued));
    json_object_set_new(object, "adds_up", json_boolean(ledger_sum_adds_up(sum)));
    return object;
}

static void print_row(const char *name, const struct ledger_sum *sum)
{
    printf("%12llu", (unsigned long long)sum->accepted);
    for (size_t i = 0; i < LEDGER_FINALS; i++)
        printf(" %11llu", (unsigned long long)sum->ended[i]);
    printf(" %11llu  ", (unsigned long long)sum->queued);
    cli_print_text(name);
    puts(ledger_sum_adds_up(sum) ? "" : "  DOES NOT ADD UP");
}

static void print_tenants(const struct cli *cli, struct ledger *ledger)
{
    struct rows rows = {0};
    char name[300];

    ledger_for_each_tenant(ledger, add_row, &rows);
    if (rows.count > 0)
        qsort(rows.row, rows.count, sizeof(*rows.row), by_name);
    if (!cli->json)
        printf("%12s %11s %11s %11s %11s %11s %11s  %s\n", "accepted", "delivered", "bounced",
               "expired", "cancelled", "suppressed", "queued", "tenant");
    for (size_t i = 0; i < rows.count; i++) {
        const struct row *row = &rows.row[i];

        snprintf(name, sizeof(name), "%.*s", BYTES_ARG(row->name));
        if (cli->json) {
            json_t *line = sum_json(row->sum);

            json_object_set_new(line, "tenant",
                                row->name.len == 0 ? json_null() : json_text(row->name));
            cli_print_json(line);
        } else {
            print_row(row->name.len == 0 ? "-" : name, row->sum);
        }
    }
    free(rows.row);
}

static void print_problem(void *context, struct message_id id, const char *text)
{
    const struct cli *cli = context;
    char name[MESSAGE_ID_TEXT_MAX];

    message_id_format(id, name);
    if (cli->json) {
        cli_print_json(json_pack("{s:s, s:o}", "id", name, "problem", json_text_of(text)));
        return;
    }
    printf("id=%s ", name);
    cli_print_text(text);
    putchar('\n');
}

void audit_report_file(const struct cli *cli, struct event_place at, int error)
{
    char text[160];

    if (error == -ENOENT)
        snprintf(text, sizeof(text), "it is gone, and older ones are there");
    else
        snprintf(text, sizeof(text),
                 "%s from byte %llu of its text on: what stood there is missing",
                 error == -EBADMSG ? "it does not decompress" : "it does not read",
                 (unsigned long long)at.offset);
    if (cli->json)
        cli_print_json(json_pack("{s:I, s:s}", "file", (json_int_t)at.number, "problem", text));
    else
        printf("file %llu: %s\n", (unsigned long long)at.number, text);
}

static void print_total_json(const struct audit_facts *f, bool is_right)
{
    const struct ledger_totals *t = &f->totals;
    json_t *line = json_object();
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"messages", t->messages},
        {"events", t->events},
        {"wrong_messages", t->wrong_messages},
        {"later_messages", t->later_messages},
        {"early_messages", t->early_messages},
        {"early_queued", t->early_queued},
        {"strange_lines", f->strange_lines},
        {"unreadable_spots", f->unreadable},
        {"broken_files", f->broken_files},
        {"repeated_events", f->repeated},
        {"first_file", f->first_file},
        {"last_file", f->last_file},
    };

    json_object_set_new(line, "total", sum_json(&t->sum));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        json_object_set_new(line, numbers[i].name, json_integer((json_int_t)numbers[i].value));
    json_object_set_new(line, "served", json_boolean(f->is_served));
    json_object_set_new(line, "adds_up", json_boolean(is_right));
    cli_print_json(line);
}

static void print_total(const struct audit_facts *f, bool is_right)
{
    const struct ledger_totals *t = &f->totals;

    print_row("in all", &t->sum);
    printf("%s: %llu messages, %llu events, files %llu to %llu%s\n",
           is_right ? "It adds up" : "It does NOT add up", (unsigned long long)t->messages,
           (unsigned long long)t->events, (unsigned long long)f->first_file,
           (unsigned long long)f->last_file,
           f->is_served ? ", the daemon's queue" : ", the stopped spool");
    if (t->wrong_messages > LEDGER_NAMED_MAX)
        printf("%llu messages do not add up; the first %d are named\n",
               (unsigned long long)t->wrong_messages, LEDGER_NAMED_MAX);
    if (t->early_messages > 0)
        printf("left out: %llu messages, %llu recipients of them queued, whose first events are in "
               "files that were removed\n",
               (unsigned long long)t->early_messages, (unsigned long long)t->early_queued);
    if (t->later_messages > 0)
        printf("left out: %llu messages that were accepted meanwhile\n",
               (unsigned long long)t->later_messages);
    if (f->strange_lines > 0)
        printf("%llu lines of the event files are no events\n",
               (unsigned long long)f->strange_lines);
    if (f->broken_files > 0)
        printf("%llu event files are not whole\n", (unsigned long long)f->broken_files);
    if (f->repeated > 0)
        printf("%llu events stand in the files a second time; they are counted once\n",
               (unsigned long long)f->repeated);
    if (f->unreadable > 0)
        printf("%llu spots of the spool do not read back\n", (unsigned long long)f->unreadable);
}

int audit_report(const struct cli *cli, struct ledger *ledger, const struct audit_facts *facts)
{
    bool is_right = facts->totals.wrong_messages == 0 && facts->strange_lines == 0 &&
                    facts->unreadable == 0 && facts->broken_files == 0 && facts->repeated == 0 &&
                    ledger_sum_adds_up(&facts->totals.sum);

    ledger_tell(ledger, print_problem, (void *)(uintptr_t)cli);
    print_tenants(cli, ledger);
    if (cli->json)
        print_total_json(facts, is_right);
    else
        print_total(facts, is_right);
    return is_right ? EXIT_GOOD : EXIT_FAILED;
}
