/* init.c - ringpost init: a starter configuration that works. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "relay/cli/cli.h"
#include "relay/config_describe.h"
#include "relay/preflight.h"

enum { HOST_NAME_SIZE = 256, STARTER_MAX = 64 << 10 };

/* The directory of `path` must exist for open(); /etc/ringpost is ours to make. */
static void make_parent(const char *path)
{
    char parent[4096];
    const char *slash = strrchr(path, '/');

    if (slash == NULL || slash == path || (size_t)(slash - path) >= sizeof(parent))
        return;
    memcpy(parent, path, (size_t)(slash - path));
    parent[slash - path] = '\0';
    (void)mkdir(parent, 0755); /* there already, or open() says what is wrong */
}

static void print_error(void *context, const char *text)
{
    (void)context;
    cli_complain(EXIT_CONFIG, text);
}

static bool is_good_config(const char *path)
{
    struct config *config = config_load(path, print_error, NULL);
    bool is_good = config != NULL;

    config_release(&config);
    return is_good;
}

/* What a starter file sets; the package makes the user. False where it is longer than any file. */
static bool make_starter(struct buf *text, const char *hostname, const char *state_dir,
                         const char *listen)
{
    struct buf name, directory, listener;
    struct config_starter_value values[] = {
        {"hostname", NULL},   {"state_dir", NULL},
        {"listeners", NULL},  {"metrics.listen", "\"127.0.0.1:9925\""},
        {"user", "ringpost"},
    };
    bool has_user = geteuid() == 0 && getpwnam("ringpost") != NULL;

    buf_init(&name, STARTER_MAX);
    buf_init(&directory, STARTER_MAX);
    buf_init(&listener, STARTER_MAX);
    bool is_good = config_quote(&name, hostname) && buf_append_byte(&name, '\0') &&
                   config_quote(&directory, state_dir) && buf_append_byte(&directory, '\0') &&
                   buf_append(&listener, BYTES("{address: ")) && config_quote(&listener, listen) &&
                   buf_append(&listener, BYTES(", service: submission, "
                                               "trust: [\"127.0.0.0/8\", \"::1/128\"]}")) &&
                   buf_append_byte(&listener, '\0');
    if (is_good) {
        values[0].yaml = (const char *)buf_bytes(&name).ptr;
        values[1].yaml = (const char *)buf_bytes(&directory).ptr;
        values[2].yaml = (const char *)buf_bytes(&listener).ptr;
        is_good = config_write_starter(text, config_keys(), values,
                                       ARRAY_LEN(values) - (has_user ? 0 : 1));
    }
    buf_free(&name);
    buf_free(&directory);
    buf_free(&listener);
    return is_good;
}

/* The full name, as `hostname -f` finds it: the system's name, with a domain from its resolver
 * where it has none. */
static void find_hostname(char name[static HOST_NAME_SIZE])
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_CANONNAME};
    struct addrinfo *found = NULL;

    if (gethostname(name, HOST_NAME_SIZE - 1) < 0)
        snprintf(name, HOST_NAME_SIZE, "localhost");
    if (strchr(name, '.') != NULL || getaddrinfo(name, NULL, &hints, &found) != 0)
        return;
    if (found->ai_canonname != NULL && strchr(found->ai_canonname, '.') != NULL &&
        strncmp(found->ai_canonname, "localhost", strlen("localhost")) != 0)
        snprintf(name, HOST_NAME_SIZE, "%s", found->ai_canonname);
    freeaddrinfo(found);
}

static void print_note(void *context, const char *text)
{
    *(bool *)context = true;
    fprintf(stderr, "note: %s\n", text);
}

/* What is left to be set: the file is written and good, but a start would end or be dangerous. */
static void tell_what_is_left(const char *path)
{
    struct config *config = config_load(path, print_error, NULL);
    bool any = false;

    if (config == NULL)
        return;
    preflight_warn(config, print_note, &any);
    if (!preflight_try(config, print_note, &any) || any)
        fprintf(stderr, "note: `ringpost -c %s check` says when all is well\n", path);
    config_release(&config);
}

static bool write_all(int fd, struct bytes text)
{
    while (text.len > 0) {
        ssize_t written = write(fd, text.ptr, text.len);

        if (written <= 0)
            return false;
        text = bytes_slice(text, (size_t)written, text.len);
    }
    return true;
}

/* In a file beside it first: one that does not do must not take the place of one that does. */
static int write_checked(const char *path, bool force, struct bytes text)
{
    char draft[4096];
    int code = EXIT_GOOD;

    if (snprintf(draft, sizeof(draft), "%s.new", path) >= (int)sizeof(draft))
        return cli_fail(EXIT_FAILED, "%s: too long a path", path);
    if (!force && access(path, F_OK) == 0)
        return cli_fail(EXIT_FAILED, "%s: %s; --force overwrites it", path, strerror(EEXIST));
    make_parent(path);
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return cli_fail(EXIT_FAILED, "%s: %s", draft, strerror(errno));
    bool is_written = write_all(fd, text);
    if (close(fd) < 0 || !is_written)
        code = cli_fail(EXIT_FAILED, "%s: %s", draft, strerror(errno));
    else if (!is_good_config(draft))
        code = cli_fail(EXIT_CONFIG, "%s: not written, for it would be wrong as told above", path);
    else if (rename(draft, path) < 0)
        code = cli_fail(EXIT_FAILED, "%s: %s", path, strerror(errno));
    if (code != EXIT_GOOD)
        (void)unlink(draft);
    return code;
}

static int run_init(struct cli *cli)
{
    const char *state_dir = "/var/lib/ringpost", *listen = "127.0.0.1:2525", *hostname = NULL;
    bool force = false;
    char host[HOST_NAME_SIZE] = "localhost";
    struct cli_walk walk = {0};

    while (cli_option(cli, &walk)) {
        if (cli_value(cli, &walk, "--state-dir", &state_dir) ||
            cli_value(cli, &walk, "--listen", &listen) ||
            cli_value(cli, &walk, "--hostname", &hostname) || cli_flag(&walk, "--force", &force))
            continue;
        return cli_misuse(cli, "unknown argument %s", walk.name != NULL ? walk.name : walk.word);
    }
    if (walk.is_bad)
        return EXIT_USAGE;
    if (hostname == NULL) {
        find_hostname(host);
        hostname = host;
    }
    struct buf text;
    buf_init(&text, STARTER_MAX);
    int code = make_starter(&text, hostname, state_dir, listen)
                   ? write_checked(cli->config_path, force, buf_bytes(&text))
                   : cli_fail(EXIT_USAGE, "what is given is too long for a configuration");
    buf_free(&text);
    if (code != EXIT_GOOD)
        return code;
    if (cli->json) {
        cli_print_json(
            json_pack("{s:o,s:s}", "wrote", json_text_of(cli->config_path), "listener", listen));
        return EXIT_GOOD;
    }
    printf("wrote %s\n\n"
           "  ringpost -c %s serve      serves; applications submit to %s\n"
           "  ringpost -c %s send --to you@example.com     sends a first mail\n"
           "  ringpost -c %s events     tells what became of it\n",
           cli->config_path, cli->config_path, listen, cli->config_path, cli->config_path);
    tell_what_is_left(cli->config_path);
    return EXIT_GOOD;
}

const struct cli_command cli_init = {
    "init",
    "write a starter configuration that works",
    "usage: ringpost [-c FILE] init [--hostname NAME] [--state-dir DIR] [--listen ADDR:PORT]\n"
    "                               [--force] [--json]\n\n"
    "Writes FILE with one submission port for applications on this machine. --force overwrites.\n"
    "Without --hostname it is the system's full name; what is still to be set is told on stderr.\n"
    "What would be no good configuration is told and not written.\n",
    run_init,
};
