/*
 * webhook_rows.h - webhooks of tenants: their settings as JSON in the directory, and as sinks.
 *
 * The keys of the JSON are those of an item of `webhooks` in ringpost.yaml(5), with lists and
 * strings as there and numbers in their smallest unit.
 */
#pragma once

#include <jansson.h>

#include "base/arena.h"
#include "sink/sinks.h"
#include "webhook/webhook.h"

/* Fills what `object` says, over what *out has; texts live as long as `object`, lists in `memory`.
 * False where it is not of that form. */
must_use bool webhook_row_read(const json_t *object, struct arena *memory,
                               struct webhook_settings *out);
/* The standards of every key, without a URL. */
struct webhook_settings webhook_row_standard(void);

/* The sinks of `base` and a webhook for each row of the directory in state_dir. */
struct webhook_rows;
/* NULL with a sentence in `why`: the directory does not read. */
struct webhook_rows *webhook_rows_load(const char *state_dir, const struct sinks_settings *base,
                                       char *why, size_t why_len);
const struct sinks_settings *webhook_rows_sinks(const struct webhook_rows *rows);
void webhook_rows_free(struct webhook_rows **rows);
