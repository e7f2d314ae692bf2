/*
 * sort_order.h - puts what a SORT found in order, a criterion at a time: the last one first, each
 * leaves those in their order that are equal to it.
 *
 * Pure, any thread.
 */
#pragma once

#include "inbound/imap/kept.h"

struct sorted {
    uint32_t told; /* a number or a UID */
    uint32_t row;  /* kept.h */
};

/* Frees the array and gives another one. */
void sort_by_ranks(struct sorted **sorted, size_t count, struct kept_ranks ranks, bool is_reverse);
