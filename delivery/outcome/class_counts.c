/* class_counts.c - a series a class, found by the constant's address. */
#include "delivery/outcome/class_counts.h"

void class_counts_add(struct class_counts *counts, const char *class, size_t value)
{
    check(value < RECIPIENTS_OF_CLASSES);
    for (size_t i = 0; i < counts->count; i++) {
        if (counts->of[i].class != class)
            continue;
        series_add(counts->of[i].series, value, 1);
        return;
    }
    struct series *series = series_begin(&family_classes, bytes_of(class));

    series_add(series, value, 1);
    if (counts->count == CLASS_COUNTS_MAX) {
        series_put(&series);
        return;
    }
    counts->of[counts->count].class = class;
    counts->of[counts->count++].series = series;
}

void class_counts_end(struct class_counts *counts)
{
    for (size_t i = 0; i < counts->count; i++)
        series_put(&counts->of[i].series);
    counts->count = 0;
}
