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

#include "io/tls_certificate.h"
#include "relay/certificates.h"
#include "relay/cli/cli.h"
#include "relay/config_describe.h"
#include "relay/preflight.h"

enum { HOST_NAME_SIZE = 256, STARTER_MAX = 64 << 10, PATH_SIZE = 4096 };

struct starter {
    const char *hostname, *state_dir, *listen, *listen_tls;
    char certificate[PATH_SIZE], key[PATH_SIZE]; /* beside the configuration */
};

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

static bool put_listener(struct buf *text, const char *address, const char *rest)
{
    return buf_append(text, BYTES("{address: ")) && config_quote(text, address) &&
           buf_printf(text, ", service: submission%s, trust: [\"127.0.0.0/8\", \"::1/128\"]}",
                      rest);
}

static bool put_quoted(struct buf *text, const char *value)
{
    return config_quote(text, value) && buf_append_byte(text, '\0');
}

/* What a starter file sets; the package makes the user. False where it is longer than any file. */
static bool make_starter(struct buf *text, const struct starter *starter)
{
    enum { HOSTNAME, STATE_DIR, CERTIFICATE, KEY, LISTENERS, TEXTS };
    struct buf texts[TEXTS];
    struct config_starter_value values[] = {
        [HOSTNAME] = {"hostname", NULL},
        [STATE_DIR] = {"state_dir", NULL},
        [CERTIFICATE] = {"tls.certificate", NULL},
        [KEY] = {"tls.key", NULL},
        [LISTENERS] = {"listeners", NULL},
        {"metrics.listen", "\"127.0.0.1:9925\""},
        {"user", "ringpost"},
    };
    bool has_user = geteuid() == 0 && getpwnam("ringpost") != NULL;

    for (size_t i = 0; i < TEXTS; i++)
        buf_init(&texts[i], STARTER_MAX);
    bool is_good = put_quoted(&texts[HOSTNAME], starter->hostname) &&
                   put_quoted(&texts[STATE_DIR], starter->state_dir) &&
                   put_quoted(&texts[CERTIFICATE], starter->certificate) &&
                   put_quoted(&texts[KEY], starter->key) &&
                   put_listener(&texts[LISTENERS], starter->listen, "") &&
                   buf_append(&texts[LISTENERS], BYTES("\n  - ")) &&
                   put_listener(&texts[LISTENERS], starter->listen_tls, ", tls: implicit") &&
                   buf_append_byte(&texts[LISTENERS], '\0');
    if (is_good) {
        for (size_t i = 0; i < TEXTS; i++)
            values[i].yaml = (const char *)buf_bytes(&texts[i]).ptr;
        is_good = config_write_starter(text, config_keys(), values,
                                       ARRAY_LEN(values) - (has_user ? 0 : 1));
    }
    for (size_t i = 0; i < TEXTS; i++)
        buf_free(&texts[i]);
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
    bool is_loaded = certificates_load(config, print_note, &any);
    preflight_warn(config, print_note, &any);
    if (!preflight_try(config, print_note, &any) || !is_loaded || any)
        fprintf(stderr, "note: `ringpost -c %s check` says when all is well\n", path);
    config_release(&config);
}

/* The path of a file beside the configuration, which may be read from anywhere. */
static bool place_beside(const char *config_path, const char *name, char out[static PATH_SIZE])
{
    const char *slash = strrchr(config_path, '/');
    char here[PATH_SIZE] = "";
    size_t len = slash != NULL ? (size_t)(slash - config_path) + 1 : 0;

    if (config_path[0] != '/' && getcwd(here, sizeof(here) - 1) == NULL)
        return false;
    return snprintf(out, PATH_SIZE, "%s%s%.*s%s", here, here[0] != '\0' ? "/" : "", (int)len,
                    config_path, name) < PATH_SIZE;
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

/* A new file; its owner is who will serve, where root writes it. */
static int write_new(const char *path, mode_t mode, struct bytes text)
{
    const struct passwd *user = geteuid() == 0 ? getpwnam("ringpost") : NULL;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

    if (fd < 0)
        return cli_fail(EXIT_FAILED, "%s: %s", path, strerror(errno));
    bool is_written =
        write_all(fd, text) && (user == NULL || fchown(fd, user->pw_uid, user->pw_gid) == 0);
    if (close(fd) == 0 && is_written)
        return EXIT_GOOD;
    (void)unlink(path);
    return cli_fail(EXIT_FAILED, "%s: %s", path, strerror(errno));
}

/* What is there is kept: it may be a real one. */
static int write_certificate(const struct starter *starter)
{
    struct bytes certificate, key;

    if (access(starter->certificate, F_OK) == 0 && access(starter->key, F_OK) == 0)
        return EXIT_GOOD;
    if (!tls_self_signed(starter->hostname, &certificate, &key))
        return cli_fail(EXIT_FAILED, "no certificate can be made for %s", starter->hostname);
    int code = write_new(starter->key, 0600, key);
    if (code == EXIT_GOOD)
        code = write_new(starter->certificate, 0644, certificate);
    tls_pem_free(&certificate);
    tls_pem_free(&key);
    return code;
}

static int run_init(struct cli *cli)
{
    struct starter starter = {.state_dir = "/var/lib/ringpost",
                              .listen = "127.0.0.1:2525",
                              .listen_tls = "127.0.0.1:2465"};
    bool force = false;
    char host[HOST_NAME_SIZE] = "localhost";
    struct cli_walk walk = {0};

    while (cli_option(cli, &walk)) {
        if (cli_value(cli, &walk, "--state-dir", &starter.state_dir) ||
            cli_value(cli, &walk, "--listen", &starter.listen) ||
            cli_value(cli, &walk, "--listen-tls", &starter.listen_tls) ||
            cli_value(cli, &walk, "--hostname", &starter.hostname) ||
            cli_flag(&walk, "--force", &force))
            continue;
        return cli_misuse(cli, "unknown argument %s", walk.name != NULL ? walk.name : walk.word);
    }
    if (walk.is_bad)
        return EXIT_USAGE;
    if (starter.hostname == NULL) {
        find_hostname(host);
        starter.hostname = host;
    }
    if (!place_beside(cli->config_path, "tls.crt", starter.certificate) ||
        !place_beside(cli->config_path, "tls.key", starter.key))
        return cli_fail(EXIT_FAILED, "%s: too long a path", cli->config_path);
    struct buf text;
    buf_init(&text, STARTER_MAX);
    int code = make_starter(&text, &starter)
                   ? write_checked(cli->config_path, force, buf_bytes(&text))
                   : cli_fail(EXIT_USAGE, "what is given is too long for a configuration");
    buf_free(&text);
    if (code == EXIT_GOOD)
        code = write_certificate(&starter);
    if (code != EXIT_GOOD)
        return code;
    if (cli->json) {
        cli_print_json(json_pack("{s:o,s:s,s:s,s:o}", "wrote", json_text_of(cli->config_path),
                                 "listener", starter.listen, "tls_listener", starter.listen_tls,
                                 "certificate", json_text_of(starter.certificate)));
        return EXIT_GOOD;
    }
    printf("wrote %s\n\n"
           "  ringpost -c %s serve      serves; applications submit to %s, under TLS to %s\n"
           "  ringpost -c %s send --to you@example.com     sends a first mail\n"
           "  ringpost -c %s events     tells what became of it\n",
           cli->config_path, cli->config_path, starter.listen, starter.listen_tls, cli->config_path,
           cli->config_path);
    tell_what_is_left(cli->config_path);
    return EXIT_GOOD;
}

const struct cli_command cli_init = {
    "init",
    "write a starter configuration that works",
    "usage: ringpost [-c FILE] init [--hostname NAME] [--state-dir DIR] [--listen ADDR:PORT]\n"
    "                               [--listen-tls ADDR:PORT] [--force] [--json]\n\n"
    "Writes FILE with two submission ports for applications on this machine, one under TLS, and\n"
    "beside it tls.crt and tls.key, self-signed, unless there are such. --force overwrites FILE.\n"
    "Without --hostname it is the system's full name; what is still to be set is told on stderr.\n"
    "What would be no good configuration is told and not written.\n",
    run_init,
};
