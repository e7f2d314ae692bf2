/*
 * exposition.h - metrics as text for a scraper: Prometheus text 0.0.4 or OpenMetrics 1.0.0.
 *
 * Names are given as Prometheus has them: counters end in _total. OpenMetrics calls the family by
 * the name without it, tells the unit where the name ends in one, and ends in "# EOF". What does
 * not fit into `out` is told once, by exposition_end().
 *
 * Thread: one at a time.
 */
#pragma once

#include "base/buf.h"

enum exposition_format { EXPOSITION_PROMETHEUS, EXPOSITION_OPENMETRICS };
enum exposition_type { EXPOSITION_COUNTER, EXPOSITION_GAUGE, EXPOSITION_HISTOGRAM };

struct exposition {
    struct buf *out;
    enum exposition_format format;
    bool has_failed; /* `out` is full */
};

/* A family begins; its samples follow, before the next one. */
void exposition_family(struct exposition *exposition, struct bytes name, enum exposition_type type,
                       const char *help);
/* `series` is the family's name, with labels and "_bucket" and the like as it is to stand there. */
void exposition_integer(struct exposition *exposition, struct bytes series, int64_t value);
void exposition_real(struct exposition *exposition, struct bytes series, double value);
/* With one label, whose value may be any bytes: escaped, and what is not UTF-8 becomes "?". */
void exposition_labelled(struct exposition *exposition, const char *name, const char *label,
                         struct bytes label_value, double value);
/* False: `out` was full. */
must_use bool exposition_end(struct exposition *exposition);
