/* config_core.c - who we are, where our files are, how many engines. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "relay/config_wings.h"
#include "smtp/address.h"

static const struct config_key core_keys[] = {
    {.name = "hostname",
     .kind = CONFIG_TEXT,
     .at = AT(hostname),
     .default_said = "the system's host name",
     .needs_restart = true,
     .in_starter = true,
     .says = "The full name of this host, said in greeting, EHLO and Received."},
    {.name = "state_dir",
     .kind = CONFIG_TEXT,
     .at = AT(state_dir),
     .standard = "/var/lib/ringpost",
     .needs_restart = true,
     .in_starter = true,
     .says = "Where spool, events and the control socket are."},
    {.name = "user",
     .kind = CONFIG_TEXT,
     .at = AT(user),
     .needs_restart = true,
     .example = "ringpost",
     .in_starter = true,
     .says = "Whom a program that root starts serves as."},
    {.name = "engines",
     .kind = CONFIG_COUNT,
     .at = AT(engines),
     .standard = "auto",
     .word = "auto",
     .min = 1,
     .max = CONFIG_ENGINES_MAX,
     .needs_restart = true,
     .says = "Threads, each with a ring, a spool shard and connections of its own; auto: one a "
             "core."},
    {.name = "stop_timeout",
     .kind = CONFIG_SECONDS,
     .at = AT(stop_timeout_s),
     .standard = "30s",
     .max = 3600,
     .says = "How long a stop may take."},
    {.kind = CONFIG_END},
};

static void prepare(struct config *config)
{
    char host[256] = "";
    struct bytes copy;

    if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0')
        snprintf(host, sizeof(host), "localhost");
    check(arena_copy(&config->arena, bytes_of(host), &copy)); /* next to nothing is in there yet */
    config->hostname = (const char *)copy.ptr;
}

static void finish(struct config_reader *reader, struct config *config)
{
    bool is_utf8;

    if (!smtp_domain_is_valid(bytes_of(config->hostname), &is_utf8) || config->hostname[0] == '[' ||
        is_utf8)
        config_error(reader, config_node(reader, "hostname"),
                     "hostname: \"%s\" found; expected the full name of this host, such as "
                     "mta1.example.net",
                     config->hostname);
    if (config->engines == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);

        config->engines = cores < 1 ? 1 : (unsigned)MIN(cores, (long)CONFIG_ENGINES_MAX);
    }
}

const struct config_key config_core[] = {
    {.kind = CONFIG_PART, .keys = core_keys, .prepare = prepare, .finish = finish},
    {.kind = CONFIG_END},
};
