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
#include "relay/preflight.h"

enum { HOST_NAME_SIZE = 256 };

static const char starter[] =
    "# ringpost's configuration; ringpost.yaml(5) tells every key. `ringpost check` checks it.\n"
    "hostname: %s          # the name in EHLO and Received: make it this host's full name\n"
    "state_dir: %s\n"
    "%suser: ringpost                        # whom a start by root serves as\n"
    "listeners:\n"
    "  # Clients of the trusted networks hand in mail without a login.\n"
    "  - {address: \"%s\", service: submission, trust: [\"127.0.0.0/8\", \"::1/128\"]}\n"
    "metrics: {listen: \"127.0.0.1:9925\"}   # GET /metrics, /health\n"
    "# limits: {message_size: 25MiB, recipients: 1000, sessions: 20000, memory: 2GiB}\n"
    "# dns: {servers: [\"127.0.0.1:53\"]}    # default: the system's\n"
    "# retry: {first: 5m, factor: 2, max: 4h, jitter: 20%%, max_age: 3d}\n"
    "# routes:                               # default: the MX of the recipient's domain\n"
    "#   - {match: \"*.lab.example\", to: [\"10.0.0.9:2500\"]}\n"
    "# delivery: {allow_private: [\"10.0.0.0/8\"]}  # private targets: refused unless named\n";

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

/* The package makes the user. */
static const char *user_comment(void)
{
    return geteuid() == 0 && getpwnam("ringpost") != NULL ? "" : "# ";
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

/* In a file beside it first: one that does not do must not take the place of one that does. */
static int write_checked(const char *path, bool force, const char *hostname, const char *state_dir,
                         const char *listen)
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
    int written = dprintf(fd, starter, hostname, state_dir, user_comment(), listen);
    if (close(fd) < 0 || written < 0)
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
    int code = write_checked(cli->config_path, force, hostname, state_dir, listen);
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
