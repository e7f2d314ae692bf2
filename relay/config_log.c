/* config_log.c - where the log goes and how much it tells. */
#include "base/log.h"
#include "relay/config_wings.h"

static const char *const targets[] = {
    [CONFIG_LOG_STDERR] = "stderr", [CONFIG_LOG_SYSLOG] = "syslog", NULL};

static const char *const levels[] = {[LOG_LEVEL_ERROR] = "error",
                                     [LOG_LEVEL_WARN] = "warn",
                                     [LOG_LEVEL_INFO] = "info",
                                     [LOG_LEVEL_DEBUG] = "debug",
                                     NULL};

static const struct config_key section_keys[] = {
    {.name = "to",
     .kind = CONFIG_NAME,
     .at = AT(log_target),
     .names = targets,
     .standard = "stderr",
     .says = "Where the log goes."},
    {.name = "level",
     .kind = CONFIG_NAME,
     .at = AT(log_level),
     .names = levels,
     .standard = "info",
     .says = "What is told: this, and what is more urgent."},
    {.kind = CONFIG_END},
};

static const struct config_key log_keys[] = {
    {.name = "log", .kind = CONFIG_SECTION, .keys = section_keys, .says = "The log."},
    {.kind = CONFIG_END},
};

const struct config_key config_log[] = {
    {.kind = CONFIG_PART, .keys = log_keys},
    {.kind = CONFIG_END},
};
