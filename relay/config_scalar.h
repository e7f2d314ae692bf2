/*
 * config_scalar.h - one scalar of the file, read as the row of its key says, and written again.
 *
 * Thread: any; the reader's for what is read.
 */
#pragma once

#include "relay/config_key.h"
#include "relay/config_reader.h"

/* Stores the text's value in `field`, or tells what is wrong. A kind that is a scalar. */
void config_take_scalar(struct config_reader *reader, const struct config_key *key,
                        const yaml_node_t *node, struct bytes text, void *field);

enum { CONFIG_FACT_MAX = 160 };

/* What may be written, as errors say it: "a whole number". */
const char *config_expected(const struct config_key *key, char text[static CONFIG_FACT_MAX]);
/* A number of the key's kind, in the largest unit that leaves no rest. */
const char *config_format_number(enum config_kind kind, uint64_t value, char text[static 32]);
/* The bounds in words, such as "from 64KiB to 2GiB"; "" where there are none. */
const char *config_bounds(const struct config_key *key, char text[static CONFIG_FACT_MAX]);
/* The largest number of a key. */
uint64_t config_number_max(const struct config_key *key);
