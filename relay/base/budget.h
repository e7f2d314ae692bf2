/*
 * budget.h - what mail takes of the process's memory, counted by those who hold it.
 *
 * Stubs, messages in memory, messages on their way in and the buffers of connections say here what
 * they take and give back; limits.memory is compared with the sum. Counted is what was allocated,
 * not what was used of it.
 *
 * Any thread. A thread keeps small changes to itself until they add up to BUDGET_SLACK, so that
 * counting costs no shared cache line; others see the sum without them.
 */
#pragma once

#include "base/bytes.h"

enum { BUDGET_SLACK = 64 * 1024 };

void budget_add(int64_t bytes); /* negative: given back */
int64_t budget_used(void);      /* with all of the calling thread's changes; never negative */
