/* config_spool.c - where messages are kept. */
#include <string.h>

#include "relay/config_wings.h"

static const struct config_key section_keys[] = {
    {.name = "segment_size",
     .kind = CONFIG_SIZE,
     .at = AT(spool.segment_size),
     .standard = "64MiB",
     .min = 1 << 20,
     .max = 1 << 30,
     .needs_restart = true,
     .says = "Size of one file of the spool."},
    {.name = "spare_segments",
     .kind = CONFIG_COUNT,
     .at = AT(spool.spare_segments),
     .standard = "2",
     .min = 1,
     .max = 64,
     .needs_restart = true,
     .says = "Files kept ready a shard."},
    {.name = "resident",
     .kind = CONFIG_SIZE,
     .at = AT(spool.resident_max),
     .standard = "256MiB",
     .min = 1 << 20,
     .needs_restart = true,
     .says = "Messages kept in memory until they are tried, a shard."},
    {.name = "min_free",
     .kind = CONFIG_SIZE,
     .at = AT(min_free_bytes),
     .standard = "256MiB",
     .max = INT64_C(1) << 50,
     .says =
         "New mail is refused with 452 while less than this is free on the file system of spool "
         "or events."},
    {.name = "compact_live",
     .kind = CONFIG_PERCENT,
     .at = AT(spool.compact_live_percent),
     .standard = "50%",
     .min = 10,
     .max = 80,
     .needs_restart = true,
     .says = "Old files are compacted while less than this share of the spool is live."},
    {.kind = CONFIG_END},
};

static const struct config_key spool_keys[] = {
    {.name = "spool",
     .kind = CONFIG_SECTION,
     .keys = section_keys,
     .says = "Where messages are kept."},
    {.kind = CONFIG_END},
};

static void finish(struct config_reader *reader, struct config *config)
{
    size_t len = strlen(config->state_dir);
    char *directory = config_alloc(reader, len + sizeof("/spool"));

    if (directory == NULL)
        return;
    memcpy(directory, config->state_dir, len);
    memcpy(directory + len, "/spool", sizeof("/spool"));
    config->spool.directory = directory;
    config->spool.memory_max = config->memory_max;
}

const struct config_key config_spool[] = {
    {.kind = CONFIG_PART, .keys = spool_keys, .finish = finish},
    {.kind = CONFIG_END},
};
