/* status.c - ringpost status: what the daemon is doing now. */
#include <stdio.h>
#include <string.h>

#include "relay/cli/cli.h"

static long long number(const json_t *object, const char *section, const char *key)
{
    const json_t *from = section == NULL ? object : json_object_get(object, section);

    return (long long)json_integer_value(json_object_get(from, key));
}

static void print_directory(const json_t *directory)
{
    const char *why = json_string_value(json_object_get(directory, "why"));

    printf("directory  %lld tenants, %lld credentials, %lld domains, %lld accounts, %lld aliases",
           number(directory, NULL, "tenants"), number(directory, NULL, "credentials"),
           number(directory, NULL, "domains"), number(directory, NULL, "accounts"),
           number(directory, NULL, "aliases"));
    if (!json_is_true(json_object_get(directory, "readable"))) {
        printf(" - NOT READABLE, as last seen: ");
        cli_print_text(why != NULL ? why : "");
    }
    putchar('\n');
}

static void print_status(void *context, const json_t *s)
{
    const char *hostname = json_string_value(json_object_get(s, "hostname"));
    const char *version = json_string_value(json_object_get(s, "version"));

    (void)context;
    if (json_object_get(s, "stopping") != NULL) {
        printf("%s: ringpost %s, pid %lld, up %lld s, stopping: %lld sessions and %lld attempts "
               "are left, until %s\n",
               hostname, version, number(s, NULL, "pid"), number(s, NULL, "uptime_s"),
               number(s, "stopping", "sessions"), number(s, "stopping", "attempts"),
               json_string_value(json_object_get(json_object_get(s, "stopping"), "until")));
        return;
    }
    printf("%s: ringpost %s, pid %lld, up %lld s, %zu engines\n", hostname, version,
           number(s, NULL, "pid"), number(s, NULL, "uptime_s"),
           json_array_size(json_object_get(s, "engines")));
    printf("sessions   %lld\n", number(s, NULL, "sessions"));
    printf("queue      %lld messages, %lld recipients in %lld domains: %lld scheduled, %lld ready, "
           "%lld committing%s\n",
           number(s, "queue", "messages"), number(s, "queue", "recipients"),
           number(s, "queue", "domains"), number(s, "queue", "scheduled"),
           number(s, "queue", "ready"), number(s, "queue", "committing"),
           json_is_true(json_object_get(json_object_get(s, "spool"), "recovering"))
               ? " - still being read from the spool"
               : "");
    printf("delivery   %lld connections, %lld waiting, %lld in an attempt, %lld sites (%lld at "
           "rest)\n",
           number(s, "delivery", "connections"), number(s, "delivery", "waiting"),
           number(s, "delivery", "in_attempt"), number(s, "delivery", "sites"),
           number(s, "delivery", "sites_resting"));
    printf("spool      %lld segments, %.1f MiB used, %.1f MiB live%s\n",
           number(s, "spool", "segments"), (double)number(s, "spool", "used_bytes") / 1048576,
           (double)number(s, "spool", "live_bytes") / 1048576,
           json_is_true(json_object_get(json_object_get(s, "spool"), "full"))
               ? " - FULL: mail is refused with 452"
               : "");
    printf("free       %.1f MiB for the spool, %.1f MiB for event files, mail is refused below "
           "%.1f MiB%s\n",
           (double)number(s, "space", "spool_free_bytes") / 1048576,
           (double)number(s, "space", "events_free_bytes") / 1048576,
           (double)number(s, "space", "min_free_bytes") / 1048576,
           json_is_true(json_object_get(json_object_get(s, "space"), "events_full"))
               ? " - EVENT FILES FULL: no attempts begin"
               : "");
    print_directory(json_object_get(s, "directory"));
    printf("unheld     %lld (must be 0)\n", number(s, NULL, "unheld"));
}

static void print_site(void *context, const json_t *site)
{
    (void)context;
    printf("%-48s %8lld waiting %4lld connections",
           json_string_value(json_object_get(site, "site")), number(site, NULL, "waiting"),
           number(site, NULL, "connections"));
    const char *resting = json_string_value(json_object_get(site, "resting_until"));
    const char *provider = json_string_value(json_object_get(site, "provider"));

    printf(" %s", json_string_value(json_object_get(site, "constraint")));
    if (resting != NULL)
        printf(" until %s", resting);
    if (provider != NULL)
        printf(" provider=%s", provider);
    putchar('\n');
}

static int run_status(struct cli *cli)
{
    bool sites = false;
    struct cli_walk walk = {0};

    while (cli_option(cli, &walk)) {
        if (cli_flag(&walk, "--sites", &sites))
            continue;
        return cli_misuse(cli, "unknown argument %s", walk.name != NULL ? walk.name : walk.word);
    }
    if (sites)
        return cli_control(cli, json_pack("{s:s}", "command", "sites"), print_site, NULL, NULL);
    return cli_control(cli, json_pack("{s:s}", "command", "status"), print_status, NULL, NULL);
}

const struct cli_command cli_status = {
    "status",
    "what the daemon is doing now",
    "usage: ringpost [-c FILE] status [--sites] [--json]\n\n"
    "Sessions, queue, deliveries, spool; --sites: a line for each site mail goes to. With --json\n"
    "every counter and every engine's own numbers too. While ringpost stops: what is left and\n"
    "until when.\n",
    run_status,
};
