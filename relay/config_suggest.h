/*
 * config_suggest.h - which declared key somebody may have meant by one that is not.
 *
 * Thread: any.
 */
#pragma once

#include "relay/config_key.h"

/* The names of `keys`, as "one, two, three"; what does not fit is left out. */
void config_list_names(const struct config_key *keys, char *out, size_t out_size);
/* A key of `keys` that is nearly written so, else one under `root` (NULL: none) that has the same
 * name in another place, as its path. False: neither. */
must_use bool config_suggest(const struct config_key *keys, const struct config_key *root,
                             struct bytes name, char out[static CONFIG_PATH_MAX]);
