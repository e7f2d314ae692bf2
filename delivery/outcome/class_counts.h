/*
 * class_counts.h - counts what becomes of recipients by the class of the reply or failure.
 *
 * Private to delivery/outcome. Classes are constants of ours (classify.h, judgement_of_ours()), so
 * that one is known again by its address. Thread: the engine's.
 */
#pragma once

#include "base/families.h"

enum { CLASS_COUNTS_MAX = 64 };

struct class_counts {
    size_t count;
    struct {
        const char *class;
        struct series *series;
    } of[CLASS_COUNTS_MAX];
};

/* `value`: a recipient_value that classes have. */
void class_counts_add(struct class_counts *counts, const char *class, size_t value);
void class_counts_end(struct class_counts *counts);
