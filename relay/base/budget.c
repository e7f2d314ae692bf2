/* budget.c - one sum of the process, and what each thread has not added to it yet. */
#include "base/budget.h"

#include <stdatomic.h>

#include "base/metric.h"

static _Atomic int64_t sum;
static _Thread_local int64_t own;

void budget_add(int64_t bytes)
{
    own += bytes;
    metric_add(METRIC_MAIL_MEMORY, bytes);
    if (own < BUDGET_SLACK && own > -BUDGET_SLACK)
        return;
    atomic_fetch_add_explicit(&sum, own, memory_order_relaxed);
    own = 0;
}

int64_t budget_used(void)
{
    return MAX(atomic_load_explicit(&sum, memory_order_relaxed) + own, (int64_t)0);
}
