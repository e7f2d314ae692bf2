/* webhook_options.h - the options of `ringpost webhook add` as settings in JSON. */
#pragma once

#include "relay/cli/cli.h"

struct webhook_options {
    const char *tenant, *name; /* as typed */
    json_t *settings;          /* webhook_rows.h; the caller's */
};

/* False after a complaint, with nothing in `settings`. */
must_use bool webhook_options_take(struct cli *cli, struct webhook_options *out);
