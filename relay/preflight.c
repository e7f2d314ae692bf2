/* preflight.c - tries what program_open.c and control.c will do. */
#include "relay/preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "directory/domains.h"
#include "directory/store.h"
#include "directory/tenants.h"
#include "event/event_cursor.h"
#include "io/listener.h"
#include "queue/spool_fit.h"
#include "relay/certificates.h"
#include "relay/listeners.h"
#include "relay/login_key.h"
#include "relay/ports.h"
#include "relay/privilege.h"
#include "relay/state_dir.h"
#include "relay/suspension_file.h"

enum { PATH_LEN_MAX = 4096 };

struct preflight {
    const struct config *config;
    preflight_tell *tell;
    void *context;
    bool is_good;
    bool is_served; /* a daemon of this state_dir runs */
};

__attribute__((format(printf, 2, 3))) static void fail(struct preflight *p, const char *format, ...)
{
    char text[PATH_LEN_MAX + 512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args); /* a long path is cut */
    va_end(args);
    p->tell(p->context, text);
    p->is_good = false;
}

/* --- the state directory --------------------------------------------------------------------- */

/* As who will serve, who has just become the effective user. */
static void try_directory(struct preflight *p, const char *path, const struct stat *status)
{
    if (!S_ISDIR(status->st_mode))
        fail(p, "state_dir: %s is no directory", path);
    else if ((status->st_mode & 077) != 0)
        fail(p, "state_dir: %s can be read by others, and mail lies in it; chmod 700 it", path);
    else if (euidaccess(path, R_OK | W_OK | X_OK) < 0)
        fail(p,
             "state_dir: %s belongs to user %u and cannot be written by user %u, who would serve",
             path, (unsigned)status->st_uid, (unsigned)geteuid());
}

/* One that is not there is made in its parent: by root where a start by root makes it. */
static void try_parent(struct preflight *p, const char *path, const struct privilege *privilege)
{
    char parent[PATH_LEN_MAX] = ".";
    const char *slash = strrchr(path, '/');

    if (slash != NULL)
        snprintf(parent, sizeof(parent), "%.*s", (int)MAX(slash - path, (ptrdiff_t)1), path);
    if (access(parent, F_OK) < 0)
        fail(p, "state_dir: %s cannot be made: %s: %s; make it, or name another state_dir", path,
             parent, strerror(errno));
    else if (!privilege->is_dropping && euidaccess(parent, W_OK | X_OK) < 0)
        fail(p,
             "state_dir: %s cannot be made: %s cannot be written by user %u; make it for this "
             "user with mode 700, or name another state_dir",
             path, parent, (unsigned)geteuid());
}

static void try_parts(struct preflight *p, const char *state_dir)
{
    static const char *const parts[] = {"spool", "events"};
    char path[PATH_LEN_MAX];
    struct stat status;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (!state_dir_file(state_dir, parts[i], path, sizeof(path)))
            continue;
        if (stat(path, &status) == 0)
            try_directory(p, path, &status);
        else if (errno != ENOENT || lstat(path, &status) == 0) /* a link to what is not there */
            fail(p, "state_dir: %s: %s", path, strerror(ENOENT));
    }
}

/* What a start opens. A first one as another user may have left it behind. */
static void try_files(struct preflight *p, const char *state_dir)
{
    static const struct {
        const char *name;
        int mode;
    } files[] = {{"lock", R_OK | W_OK},         {"node", R_OK},
                 {"suspensions.json", R_OK},    {"clock", R_OK | W_OK},
                 {"login.key", R_OK},           {"return.key", R_OK},
                 {"directory.db", R_OK | W_OK}, {"events/current.jsonl", R_OK | W_OK},
                 {"events/cursor", R_OK}};
    char path[PATH_LEN_MAX];
    struct stat status;

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        if (!state_dir_file(state_dir, files[i].name, path, sizeof(path)) ||
            stat(path, &status) < 0)
            continue;
        if (!S_ISREG(status.st_mode))
            fail(p, "state_dir: %s is no file", path);
        else if (euidaccess(path, files[i].mode) < 0)
            fail(
                p,
                "state_dir: %s belongs to user %u and is not to be had by user %u, who would serve",
                path, (unsigned)status.st_uid, (unsigned)geteuid());
    }
}

static void try_keys(struct preflight *p, const char *state_dir)
{
    static const char *const names[] = {"login.key", "return.key"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        int error = login_key_look(state_dir, names[i]);

        if (error < 0)
            fail(p, "state_dir: %s/%s: %s", state_dir, names[i],
                 error == -EBADMSG ? "it is no key; without it a new one is made"
                                   : strerror(-error));
    }
}

static void try_spool(struct preflight *p, const char *state_dir, int node)
{
    char path[PATH_LEN_MAX], why[SPOOL_FIT_WHY_MAX] = "its path is too long";

    if (!state_dir_file(state_dir, "spool", path, sizeof(path)) || spool_fit(path, node, why) < 0)
        fail(p, "state_dir: %s", why);
}

static void try_events(struct preflight *p, const char *state_dir)
{
    char path[PATH_LEN_MAX];
    struct event_cursor cursor;
    int fd = -1;

    if (state_dir_file(state_dir, "events", path, sizeof(path)))
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (event_cursor_read(fd, &cursor) == -ENOTSUP)
        fail(p, "state_dir: %s: a newer version of ringpost has written the event files", path);
    close(fd);
}

/* What a start reads, and refuses where it is not ours. */
static void try_contents(struct preflight *p, const char *state_dir)
{
    char why[STATE_DIR_WHY_MAX] = "";
    uint16_t node = 0;

    int error = state_dir_look_at_node(state_dir, &node, why);
    if (error < 0 && error != -ENOENT) {
        fail(p, "state_dir: %s", why);
        return;
    }
    struct suspension_file *suspensions =
        suspension_file_load(state_dir, clocks_read(), why, sizeof(why));
    if (suspensions == NULL)
        fail(p, "state_dir: %s", why);
    else
        suspension_file_free(&suspensions);
    try_keys(p, state_dir);
    try_spool(p, state_dir, error == 0 ? node : SPOOL_FIT_NO_NODE);
    try_events(p, state_dir);
}

static void try_state_dir(struct preflight *p, const struct privilege *privilege)
{
    const char *path = p->config->state_dir;
    struct stat status;

    if (stat(path, &status) == 0) {
        try_directory(p, path, &status);
        if (p->is_good)
            try_parts(p, path);
        if (p->is_good)
            try_files(p, path);
        if (p->is_good)
            try_contents(p, path);
    } else if (errno == ENOENT) {
        try_parent(p, path, privilege);
    } else {
        fail(p, "state_dir: %s: %s", path, strerror(errno));
    }
}

/* Whether somebody answers behind it. */
static void try_socket(struct preflight *p)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (!state_dir_file(p->config->state_dir, "control.sock", address.sun_path,
                        sizeof(address.sun_path))) {
        fail(p,
             "state_dir: %s is too long: its control.sock would have a path of more than %zu "
             "bytes",
             p->config->state_dir, sizeof(address.sun_path) - 1);
        return;
    }
    struct stat status;
    if (lstat(address.sun_path, &status) == 0 && S_ISDIR(status.st_mode)) {
        fail(p, "state_dir: %s is a directory, where the control socket would be",
             address.sun_path);
        return;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    p->is_served = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
}

/* --- addresses ------------------------------------------------------------------------------- */

/* Takes an address of this machine for a moment: a port to listen on, or with port 0 any port, as
 * an attempt to send does. The descriptor, so that two who want one port meet each other; else
 * -errno. */
static int hold_address(const struct address *address)
{
    return listener_bind(address, 1);
}

static void let_go(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* As ports_take() without its patience: a port whose owner was just killed is told. -1 where it is
 * not held. */
static int try_port(struct preflight *p, struct ports *ports, const char *key, const char *text,
                    const struct address *address)
{
    int fd = ports_take_handed(ports, address);

    if (fd < 0)
        fd = hold_address(address);
    if (fd >= 0 || (fd == -EADDRINUSE && p->is_served))
        return MAX(fd, -1);
    fail(p, "%s: %s: cannot listen: %s%s", key, text, strerror(-fd), ports_hint(fd));
    return -1;
}

static void tell_handed(void *context, const char *text)
{
    fail(context, "%s", text);
}

static void try_ports(struct preflight *p)
{
    const struct config *config = p->config;
    struct ports ports;
    int fds[LISTENERS_MAX + 1];
    size_t count = 0;
    char text[ADDRESS_TEXT_MAX];

    if (ports_inherit(&ports, tell_handed, p) < 0)
        p->is_good = false; /* told; the others are tried all the same */
    for (size_t i = 0; i < config->listener_count; i++)
        fds[count++] = try_port(p, &ports, "listeners", config->listeners[i].address_text,
                                &config->listeners[i].address);
    if (config->has_metrics) {
        address_format_port(&config->metrics_address, text);
        fds[count++] = try_port(p, &ports, "metrics", text, &config->metrics_address);
    }
    while (count > 0)
        let_go(fds[--count]);
    ports_close(&ports);
}

static void try_source(struct preflight *p, size_t number, const char *key,
                       const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    int fd = hold_address(address);

    let_go(fd);
    if (fd >= 0)
        return;
    address_format(address, text);
    fail(p, "%s:%zu: sources[%zu].%s: this machine cannot send from %s: %s", p->config->path,
         p->config->source_lines[number], number, key, text, strerror(-fd));
}

bool preflight_sources(const struct config *config, preflight_tell *error, void *context)
{
    struct preflight p = {.config = config, .tell = error, .context = context, .is_good = true};

    for (size_t i = 0; config->source_lines != NULL && i < config->delivery.source_count; i++) {
        const struct source *source = &config->delivery.sources[i];

        if (source->has_address4)
            try_source(&p, i, "address", &source->address4);
        if (source->has_address6)
            try_source(&p, i, "address6", &source->address6);
    }
    return p.is_good;
}

bool preflight_try(const struct config *config, preflight_tell *error, void *context)
{
    struct preflight p = {.config = config, .tell = error, .context = context, .is_good = true};
    char why[PRIVILEGE_WHY_MAX] = "";
    struct privilege privilege;

    if (privilege_plan(config->user, &privilege, why) < 0) {
        fail(&p, "%s", why);
        return false;
    }
    if (privilege_lower(&privilege) < 0) {
        fail(&p, "user: cannot become %s: %s", config->user, strerror(errno));
        return false;
    }
    try_socket(&p);
    try_state_dir(&p, &privilege);
    if (privilege_raise(&privilege) < 0) {
        fail(&p, "user: cannot be root again: %s", strerror(errno));
        return false;
    }
    try_ports(&p);
    return p.is_good;
}

/* --- what is legal and dangerous ------------------------------------------------------------- */

static bool is_loopback(const struct address *address)
{
    if (address->any.sa_family == AF_INET)
        return ntohl(address->v4.sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

/* More than anybody has: a /7 of IPv4 or a /15 of IPv6 and wider. */
static bool is_wide(const struct network *network)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool is_v4 = network->prefix_len >= 96 && memcmp(network->bytes, mapped, 12) == 0;

    return is_v4 ? network->prefix_len < 96 + 8 : network->prefix_len < 16;
}

static bool any_is_wide(const struct network *networks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_wide(&networks[i]))
            return true;
    return false;
}

static void warn_of_hostname(const struct config *config, preflight_tell *warning, void *context)
{
    char text[512];
    bool is_local = strcasecmp(config->hostname, "localhost") == 0 ||
                    strncasecmp(config->hostname, "localhost.", strlen("localhost.")) == 0;

    if (!is_local && strchr(config->hostname, '.') != NULL)
        return;
    snprintf(text, sizeof(text),
             "hostname: %s %s: many servers refuse mail from it, and bounces cannot be "
             "answered; set it to this host's full name in DNS, such as mail.example.org",
             config->hostname, is_local ? "is every host's own name" : "has no domain");
    warning(context, text);
}

static void warn_of_tenants(const struct config *config, preflight_tell *warning, void *context)
{
    char text[512], why[STORE_WHY_MAX];
    enum store_result result = store_try(config->state_dir, why);

    if (result == STORE_NEWER || result == STORE_BROKEN) {
        snprintf(text, sizeof(text),
                 "state_dir: %.380s; a start serves without tenants, domains and accounts", why);
        warning(context, text);
    }
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listeners[i];

        if (listener->tenant == NULL ||
            tenant_is_known(config->state_dir, bytes_of(listener->tenant)))
            continue;
        snprintf(text, sizeof(text),
                 "listeners: %s is for the tenant %s, which does not exist: its mail is answered "
                 "451 until `ringpost tenant add %s`",
                 listener->address_text, listener->tenant, listener->tenant);
        warning(context, text);
    }
}

/* What says that DANE is wanted, and is nothing without somebody who validates. */
static void warn_of_dane(const struct config *config, preflight_tell *warning, void *context)
{
    char text[512], address[ADDRESS_TEXT_MAX];

    if (config->delivery.dane && config->is_dane_given && !config->dns.is_trusted)
        warning(context, "delivery.dane: it has no effect while dns.trusted is not true: only a "
                         "validating resolver can tell which TLSA records are genuine");
    if (!config->delivery.dane || !config->dns.is_trusted)
        return;
    if (config->dns_server_count == 0)
        warning(context, "dns.trusted: the system's resolvers are trusted, whoever they are; name "
                         "a validating one of this machine in dns.servers");
    for (size_t i = 0; i < config->dns_server_count; i++) {
        if (is_loopback(&config->dns_servers[i]))
            continue;
        address_format(&config->dns_servers[i], address);
        snprintf(text, sizeof(text),
                 "dns.trusted: answers of %s come over a network, where whoever sits on it can "
                 "change them and so DANE; a validating resolver on this machine is safe",
                 address);
        warning(context, text);
    }
}

/* RFC 5321 section 4.5.1: whoever looks for us by our name or address finds somebody. */
static void warn_of_postmaster(const struct config *config, preflight_tell *warning, void *context)
{
    bool receives = false;

    for (size_t i = 0; i < config->listener_count; i++)
        receives |= config->listeners[i].service == SERVICE_INBOUND;
    if (!receives || config->inbound.postmaster != NULL || domains_have_hosted(config->state_dir))
        return;
    warning(context,
            "inbound.postmaster: it is not set, and no domain is hosted: mail for <postmaster> "
            "without a domain, which every server has to take, is refused");
}

static void warn_of_descriptors(const struct config *config, preflight_tell *warning, void *context)
{
    char text[512];
    uint64_t limit, wanted;

    if (config_descriptors_suffice(config, &limit, &wanted))
        return;
    snprintf(
        text, sizeof(text),
        "limits.sessions: with delivery.connections up to %llu files may be open, and the hard "
        "limit is %llu: raise it (LimitNOFILE, ulimit -Hn), or lower them",
        (unsigned long long)wanted, (unsigned long long)limit);
    warning(context, text);
}

void preflight_warn(const struct config *config, preflight_tell *warning, void *context)
{
    char text[512];

    warn_of_hostname(config, warning, context);
    warn_of_descriptors(config, warning, context);
    warn_of_tenants(config, warning, context);
    warn_of_dane(config, warning, context);
    warn_of_postmaster(config, warning, context);
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listeners[i];

        if (is_loopback(&listener->address) || !any_is_wide(listener->trust, listener->trust_count))
            continue;
        snprintf(text, sizeof(text),
                 "listeners: %s trusts the whole internet: whoever reaches this port sends mail "
                 "through it without a login (an open relay); name your own networks in trust",
                 listener->address_text);
        warning(context, text);
    }
    if (any_is_wide(config->delivery.mx.allow_private, config->delivery.mx.allow_private_count))
        warning(context, "delivery.allow_private: it allows every address: whoever has a domain "
                         "can direct connections of ours into your own network");
    if (config->has_metrics && !is_loopback(&config->metrics_address)) {
        size_t len = (size_t)snprintf(text, sizeof(text), "metrics: ");

        len += address_format_port(&config->metrics_address, text + len);
        snprintf(text + len, sizeof(text) - len,
                 " answers whoever reaches it, without a login; a firewall should know");
        warning(context, text);
    }
    certificates_warn(config, warning, context);
    if (geteuid() == 0 && config->user == NULL)
        warning(context, "user: serving as root, which nothing here needs; name a user, such as "
                         "user: ringpost");
}
