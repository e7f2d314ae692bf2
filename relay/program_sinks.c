/* program_sinks.c - sinks follow the configuration and the directory. */
#include "relay/program_sinks.h"

#include <errno.h>

#include "base/log.h"
#include "relay/privacy_rows.h"
#include "relay/webhook_rows.h"

/* While the directory does not read, tenants' webhooks stay as they are: NULL. */
static struct webhook_rows *load(struct program *program, const struct config *config)
{
    char why[512] = "";

    program->sinks_writes = directory_writes(program->shared.directory);
    struct webhook_rows *rows =
        webhook_rows_load(config->state_dir, &config->sinks, why, sizeof(why));
    program->sinks_are_unread = rows == NULL;
    if (rows == NULL)
        log_limited(LOG_LEVEL_ERROR, "what=\"webhooks of tenants are not known\" why=%s",
                    LOG_STRING(why));
    return rows;
}

int program_sinks_start(struct program *program, const struct config *config,
                        const char *events_directory)
{
    struct webhook_rows *rows = load(program, config);
    char why[512] = "";

    program->sinks =
        sinks_start(rows != NULL ? webhook_rows_sinks(rows) : &config->sinks, events_directory,
                    &program->bounds, &program->shared.space.sinks_are_full, why, sizeof(why));
    if (rows != NULL)
        webhook_rows_free(&rows);
    if (program->sinks != NULL)
        return 0;
    log_error("what=%s", LOG_STRING(why));
    return -EIO;
}

void program_sinks_configure(struct program *program, const struct config *config)
{
    struct webhook_rows *rows = load(program, config);

    if (rows == NULL) /* tried again each second: none is taken away because nobody knows it */
        return;
    sinks_configure(program->sinks, webhook_rows_sinks(rows));
    webhook_rows_free(&rows);
}

void program_sinks_follow(struct program *program)
{
    if (!program->sinks_are_unread &&
        program->sinks_writes == directory_writes(program->shared.directory))
        return;
    (void)privacy_rows_load(program->config->state_dir, false);
    program_sinks_configure(program, program->config);
}
