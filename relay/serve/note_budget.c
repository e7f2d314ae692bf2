/* note_budget.c - a count in a window. */
#include "serve/note_budget.h"

bool note_budget_take(struct note_budget *budget, int64_t now_ms)
{
    check(budget->window_ms > 0);
    if (now_ms - budget->since_ms >= budget->window_ms) {
        budget->since_ms = now_ms;
        budget->count = 0;
    }
    if (budget->count == budget->count_max)
        return false;
    budget->count++;
    return true;
}
