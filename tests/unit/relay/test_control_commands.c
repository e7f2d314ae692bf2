/* test_control_commands.c - rows of commands: what they refuse, what the manual must say. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "relay/control_command.h"
#include "relay/program.h"
#include "support/unit.h"

static struct program program;
static char answer[65536];

/* What is said to a request, whole. */
static const char *ask(const char *request)
{
    size_t len = 0;
    ssize_t got;
    int ends[2];

    log_setup(LOG_TO_STDERR, LOG_LEVEL_ERROR);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(write(ends[1], request, strlen(request)), (ssize_t)strlen(request));
    assert_int_equal(write(ends[1], "\n", 1), 1);
    struct control_client client = {.program = &program, .fd = ends[0]};
    control_serve(&client);
    close(ends[0]);
    while ((got = read(ends[1], answer + len, sizeof(answer) - 1 - len)) > 0)
        len += (size_t)got;
    close(ends[1]);
    answer[len] = '\0';
    return answer;
}

static const struct {
    const char *request, *said;
} refused[] = {
    {"{}", "{\"error\":\"unknown command (none); expected one of help, status, sites, "},
    {"{\"command\": \"stop\"}", "unknown command stop; expected one of "},
    {"{\"command\": 5}", "unknown command (none); "},
    {"{\"command\": \"status\", \"all\": true}", "status takes no argument all; expected none\""},
    {"{\"command\": \"queue.cancel\", \"sender\": \"a@b.example\", \"domian\": \"c.example\"}",
     "queue.cancel takes no argument domian; expected id, domain, sender, recipient, "},
    {"{\"command\": \"queue.cancel\", \"domain\": \"*\", \"dry_run\": \"yes\"}",
     "queue.cancel: dry_run is no boolean\""},
    {"{\"command\": \"queue.cancel\", \"domain\": \"*\", \"dry_run\": 1}",
     "queue.cancel: dry_run is no boolean\""},
    {"{\"command\": \"queue.retry\", \"domain\": \"*\", \"limit\": \"5\"}",
     "queue.retry: limit is no number\""},
    {"{\"command\": \"queue.retry\", \"domain\": \"*\", \"limit\": -5}",
     "queue.retry: limit is no number\""},
    {"{\"command\": \"queue.list\", \"older_than_s\": 1.5}",
     "queue.list: older_than_s is no number\""},
    {"{\"command\": \"queue.list\", \"domain\": null}", "queue.list: domain is no text\""},
    {"{\"command\": \"queue.suspend\", \"domain\": \"*\", \"older_than_s\": 5}",
     "queue.suspend takes no argument older_than_s; "},
    {"{\"command\": \"queue.suspend\", \"domain\": \"*\", \"for_s\": -1}",
     "queue.suspend: for_s is no number\""},
    {"{\"command\": \"queue.explain\", \"sender\": \"a@b.example\"}",
     "queue.explain takes no argument sender; expected id, domain\""},
};

TEST(commands_refuse_what_no_row_declares)
{
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        const char *said = ask(refused[i].request);

        if (strstr(said, refused[i].said) == NULL)
            fail_msg("row %zu: wanted %s, got %s", i, refused[i].said, said);
        assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
    }
}

TEST(help_tells_of_every_command)
{
    char *rest = (char *)(uintptr_t)ask("{\"command\": \"help\"}");
    const struct control_command *command;

    for (size_t i = 0; (command = control_command_at(i)) != NULL; i++) {
        char *line = strsep(&rest, "\n");
        json_t *json = json_loads(line, 0, NULL);
        size_t count = 0;

        assert_string_equal(json_string_value(json_object_get(json, "command")), command->name);
        const json_t *arguments = json_object_get(json, "arguments");
        for (const struct control_argument *a = command->arguments; a != NULL && a->name != NULL;
             a++, count++)
            assert_string_equal(json_string_value(json_object_get(arguments, a->name)),
                                control_kind_name(a->kind));
        assert_int_equal(json_object_size(arguments), count);
        json_decref(json);
    }
    assert_string_equal(rest, "{\"done\":true}\n");
}

/* --- the manual ------------------------------------------------------------------------------- */

static char manual[65536], *section;

static void load_manual(void)
{
    FILE *file = fopen("docs/man/ringpost.8", "r");

    assert_non_null(file);
    size_t len = fread(manual, 1, sizeof(manual) - 1, file);
    assert_true(len > 0 && len < sizeof(manual) - 1);
    manual[len] = '\0';
    fclose(file);
    section = strstr(manual, "\n.Sh CONTROL SOCKET\n");
    assert_non_null(section);
    *strstr(section + 5, "\n.Sh ") = '\0';
}

/* "Arguments: id (text), domain (text)." */
static void say_arguments(const struct control_command *command, char *out, size_t size)
{
    size_t len = (size_t)snprintf(out, size, "\nArguments: ");

    for (const struct control_argument *a = command->arguments; a != NULL && a->name != NULL; a++)
        len += (size_t)snprintf(out + len, size - len, "%s%s (%s)",
                                a == command->arguments ? "" : ", ", a->name,
                                control_kind_name(a->kind));
    snprintf(out + len, size - len, command->arguments == NULL ? "none." : ".");
}

TEST(manual_has_every_command_with_its_arguments)
{
    const struct control_command *command;
    char item[64], wanted[512];

    load_manual();
    for (size_t i = 0; (command = control_command_at(i)) != NULL; i++) {
        assert_true(strlen(command->says) > 8);
        snprintf(item, sizeof(item), "\n.It Li %s\n", command->name);
        const char *entry = strstr(section, item);
        if (entry == NULL)
            fail_msg("%s is missing in ringpost(8)", command->name);
        const char *next = strstr(entry + 1, "\n.It "), *end = strstr(entry, "\n.El");
        end = next != NULL && next < end ? next : end;
        say_arguments(command, wanted, sizeof(wanted));
        size_t len = strlen(wanted);
        if (end - entry <= (ptrdiff_t)(strlen(item) + len) || memcmp(end - len, wanted, len) != 0)
            fail_msg("ringpost(8) does not end its entry of %s with: %s", command->name,
                     wanted + 1);
    }
}

TEST(manual_has_no_command_that_is_not_there)
{
    const struct control_command *command;
    unsigned count = 0;

    load_manual();
    for (char *rest = section, *line; (line = strsep(&rest, "\n")) != NULL;) {
        bool is_found = false;

        if (strncmp(line, ".It Li ", 7) != 0)
            continue;
        count++;
        for (size_t i = 0; (command = control_command_at(i)) != NULL; i++)
            is_found = is_found || strcmp(command->name, line + 7) == 0;
        if (!is_found)
            fail_msg("ringpost(8) tells of %s, which is no command", line + 7);
    }
    assert_true(count >= 13);
}
