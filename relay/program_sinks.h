/*
 * program_sinks.h - which sinks there are: those of the configuration and of the directory.
 *
 * Thread: one at a time: the start's, then whoever holds program->change.
 */
#pragma once

#include "relay/program.h"

/* Behind the publisher. 0 or -errno, after it was logged. */
must_use int program_sinks_start(struct program *program, const struct config *config,
                                 const char *events_directory);
/* After a reload. */
void program_sinks_configure(struct program *program, const struct config *config);
/* Once a second: what tenants' webhooks became, where somebody changed the directory. */
void program_sinks_follow(struct program *program);
