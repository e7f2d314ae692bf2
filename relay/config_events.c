/* config_events.c - how large and old event files become. */
#include "relay/config_wings.h"

/* In the order of enum sinks_full. */
static const char *const sink_full_names[] = {"gap", "refuse", NULL};

static const struct config_key section_keys[] = {
    {.name = "file_size",
     .kind = CONFIG_SIZE,
     .at = AT(events.file_size),
     .standard = "64MiB",
     .min = 65536,
     .needs_restart = true,
     .says = "Size at which the event file is rotated and compressed."},
    {.name = "file_age",
     .kind = CONFIG_SECONDS,
     .at = AT(events.file_age_s),
     .standard = "1h",
     .min = 1,
     .needs_restart = true,
     .says = "Age at which the event file is rotated and compressed."},
    {.name = "retention",
     .kind = CONFIG_SECONDS,
     .at = AT(events.retention_s),
     .standard = "7d",
     .min = 1,
     .needs_restart = true,
     .says = "Age at which event files are removed."},
    {.name = "retention_size",
     .kind = CONFIG_SIZE,
     .at = AT(events.retention_bytes),
     .standard = "4GiB",
     .min = 1 << 20,
     .needs_restart = true,
     .says = "The oldest event files are removed while all take more than this."},
    {.name = "sink_budget",
     .kind = CONFIG_SIZE,
     .at = AT(events.sink_budget),
     .standard = "16GiB",
     .min = 1 << 20,
     .says = "Closed event files that a sink still needs stay beyond the retention, up to this."},
    {.name = "sink_full",
     .kind = CONFIG_NAME,
     .at = AT(events.sink_full),
     .names = sink_full_names,
     .standard = "gap",
     .says = "Beyond sink_budget: leave the oldest out and tell the sink how many, or refuse new "
             "mail with 452."},
    {.kind = CONFIG_END},
};

static const struct config_key events_keys[] = {
    {.name = "events",
     .kind = CONFIG_SECTION,
     .keys = section_keys,
     .says = "The files that tell what became of mail."},
    {.kind = CONFIG_END},
};

const struct config_key config_events[] = {
    {.kind = CONFIG_PART, .keys = events_keys},
    {.kind = CONFIG_END},
};
