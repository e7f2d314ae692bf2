/* program_open.c - what a start opens before any thread is made, and as whom: the limit of
 * descriptors, the state directory, the ports, the user to serve as. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "relay/ports.h"
#include "relay/privilege.h"
#include "relay/program.h"

/* One descriptor a session and a connection: take what the hard limit gives.
 * Whether that is enough, preflight_warn() has told. */
static void raise_descriptor_limit(const struct config *config)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (config->is_short_of_descriptors)
        log_info(
            "open_files=%llu sessions=%u connections=%u what=\"defaults of limits.sessions and "
            "delivery.connections follow the limit of open files\"",
            (unsigned long long)limit.rlim_cur, config->sessions_max,
            config->delivery.connections_max);
}

/* The rings count against it (engine_create()), unless root has made them. */
static void raise_lock_limit(void)
{
    struct rlimit limit, none = {RLIM_INFINITY, RLIM_INFINITY};

    if (setrlimit(RLIMIT_MEMLOCK, &none) == 0 || getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_MEMLOCK, &limit);
}

static int bind_metrics(struct program *program, struct ports *ports, const struct config *config)
{
    char text[ADDRESS_TEXT_MAX];

    if (!config->has_metrics)
        return 0;
    address_format_port(&config->metrics_address, text);
    program->metrics_fd = ports_take(ports, "metrics", text, &config->metrics_address);
    return MIN(program->metrics_fd, 0);
}

/* The state directory: opened by who serves. */
static int open_state(struct program *program, const struct config *config)
{
    char why[STATE_DIR_WHY_MAX] = "";

    int error = state_dir_open(config->state_dir, &program->state_dir, why);
    if (error < 0) {
        log_error("state_dir=%s what=%s", LOG_STRING(config->state_dir), LOG_STRING(why));
        return error == -EBUSY ? EXIT_BUSY : EXIT_CONFIG;
    }
    program->shared.ages_sure_from_ms =
        clock_file_open(&program->clock_file, config->state_dir, clocks_read());
    program->suspensions = suspension_file_load(config->state_dir, clocks_read(), why, sizeof(why));
    if (program->suspensions == NULL) {
        log_error("what=%s", LOG_STRING(why));
        return EXIT_CONFIG;
    }
    return EXIT_GOOD;
}

static int privilege_failed(const struct privilege *privilege, int error)
{
    if (error == 0)
        return EXIT_GOOD;
    log_error("user=%s what=\"cannot become this user: %s\"", LOG_STRING(privilege->user),
              strerror(-error));
    return EXIT_OS;
}

/* What a drop kept is what is open: the ports. */
static void tell_user(const struct program *program, const struct privilege *privilege,
                      const struct config *config)
{
    if (privilege->is_dropping)
        log_info("user=%s uid=%u gid=%u listeners=%u metrics=%d capabilities=none what=\"started "
                 "as root, serving as this user; only the open ports are kept\"",
                 LOG_STRING(privilege->user), (unsigned)privilege->uid, (unsigned)privilege->gid,
                 listeners_count(&program->listeners), program->metrics_fd >= 0);
    if (privilege->is_dropping && access(config->path, R_OK) < 0)
        log_warn("config=%s user=%s what=\"a reload will not be able to read it: %s\"",
                 LOG_STRING(config->path), LOG_STRING(privilege->user), strerror(errno));
    if (privilege->is_dropping && config->tls.first.key != NULL &&
        access(config->tls.first.key, R_OK) < 0)
        log_warn("key=%s user=%s what=\"a reload will not be able to read it: %s\"",
                 LOG_STRING(config->tls.first.key), LOG_STRING(privilege->user), strerror(errno));
}

/* Ports below 1024 are root's to bind. */
static int open_ports(struct program *program, const struct privilege *privilege,
                      struct ports *ports, const struct config *config)
{
    int code = privilege_failed(privilege, privilege_raise(privilege));

    if (code != EXIT_GOOD)
        return code;
    if (listeners_open(&program->listeners, ports, config) < 0 ||
        bind_metrics(program, ports, config) < 0)
        return EXIT_OS;
    ports_drop_unused(ports);
    return EXIT_GOOD;
}

static int open_as_user(struct program *program, struct ports *ports, const struct config *config)
{
    char why[PRIVILEGE_WHY_MAX] = "";
    struct privilege privilege;

    if (privilege_plan(config->user, &privilege, why) < 0) {
        log_error("config=%s what=%s", LOG_STRING(config->path), LOG_STRING(why));
        return EXIT_CONFIG;
    }
    int error = privilege_make_directory(&privilege, config->state_dir);
    if (error < 0) {
        log_error("state_dir=%s user=%s what=\"cannot be made for this user: %s\"",
                  LOG_STRING(config->state_dir), LOG_STRING(privilege.user), strerror(-error));
        return EXIT_CONFIG;
    }
    int code = privilege_failed(&privilege, privilege_lower(&privilege));
    if (code == EXIT_GOOD)
        code = open_state(program, config);
    if (code == EXIT_GOOD)
        code = open_ports(program, &privilege, ports, config);
    /* Also after a failure: what is left to do then needs no root. */
    int dropped = privilege_failed(&privilege, privilege_drop(&privilege));
    if (code == EXIT_GOOD)
        code = dropped;
    if (code == EXIT_GOOD)
        tell_user(program, &privilege, config);
    return code;
}

static void log_refused(void *context, const char *text)
{
    (void)context;
    log_error("what=%s", LOG_STRING(text));
}

int program_open(struct program *program, const struct config *config)
{
    struct ports ports;

    raise_descriptor_limit(config);
    raise_lock_limit();
    int code = ports_inherit(&ports, log_refused, NULL) < 0 ? EXIT_CONFIG
                                                            : open_as_user(program, &ports, config);
    ports_close(&ports); /* after a failure: else none is left */
    return code;
}
