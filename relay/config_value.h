/*
 * config_value.h - scalar values of the configuration file and the command line: sizes, durations,
 * rates. Strict: a number without a unit is refused where a unit is needed. Any thread.
 */
#pragma once

#include "base/bytes.h"

/* "25MiB", "4KiB", "1GiB", "512B" (binary units), "25MB" (decimal units). */
must_use bool value_size(struct bytes text, uint64_t *bytes_out);
/* "250ms", "30s", "5m", "4h", "3d", "2w"; milliseconds. "0" needs no unit. */
must_use bool value_duration(struct bytes text, int64_t *ms_out);
/* "20%" */
must_use bool value_percent(struct bytes text, unsigned *percent_out);
/* "10/s", "600/m", "36000/h": events a second. */
must_use bool value_rate(struct bytes text, double *per_s_out);
/* A decimal number with an optional fraction. */
must_use bool value_number(struct bytes text, double *number_out);
