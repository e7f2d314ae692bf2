/*
 * options.h - long options from a table, with the help text made of it.
 *
 * A taker turns the text of one value into something at `target`; an option may be given more than
 * once, so takers that collect are free to. Before threads start.
 */
#pragma once

#include <stdio.h>

#include "io/address.h"

typedef bool option_taker(struct bytes value, void *target);

struct option_spec {
    const char *name;
    const char *argument; /* as shown in the help; NULL: the option has none */
    const char *help;
    option_taker *take;
    void *target;
};

/* True: go on. False: *exit_out is what the program exits with, 0 after --help, 64 after a mistake
 * that was named on stderr. */
must_use bool options_parse(const struct option_spec *specs, size_t count, const char *synopsis,
                            int argc, char **argv, int *exit_out);

option_taker option_u64;     /* uint64_t */
option_taker option_size;    /* uint64_t of bytes: "4096", "4KiB", "4K", "10MiB", "10M" */
option_taker option_ms;      /* int64_t of milliseconds: "5ms", "2s", "1m", "1h"; bare: seconds */
option_taker option_text;    /* const char *: points into argv */
option_taker option_address; /* struct address; the port must be given */
option_taker option_on_off;  /* bool: "on" or "off" */
option_taker option_set;     /* bool, for options without an argument */

/* "20%" or "0.5%" as parts of a million; false past 100%. */
must_use bool option_percent(struct bytes value, uint32_t *parts_out);
