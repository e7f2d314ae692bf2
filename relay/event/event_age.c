/* event_age.c - the steps of the wall clock that closed event files have seen. */
#include "event/event_age.h"

#include <string.h>

struct event_age event_age_begin(struct clocks clocks, uint64_t open_number)
{
    return (struct event_age){
        .watch = clock_watch_begin(clocks),
        .started_ms = clocks.now_ms,
        .first_number = open_number,
    };
}

void event_age_look(struct event_age *age, struct clocks clocks, uint64_t open_number)
{
    int64_t step_ms = clock_watch_look(&age->watch, clocks);

    if (step_ms == 0)
        return;
    if (age->step_count > 0 && age->steps[age->step_count - 1].number == open_number) {
        age->steps[age->step_count - 1].step_ms += step_ms; /* no file lies between the two */
        return;
    }
    if (age->step_count == EVENT_AGE_STEPS_MAX) {
        age->steps[1].step_ms += age->steps[0].step_ms;
        age->step_count--;
        memmove(&age->steps[0], &age->steps[1], age->step_count * sizeof(age->steps[0]));
    }
    age->steps[age->step_count].number = open_number;
    age->steps[age->step_count].step_ms = step_ms;
    age->step_count++;
}

int64_t event_age_ms(const struct event_age *age, const struct event_archive *archive,
                     struct clocks clocks)
{
    int64_t wall_age_ms = clocks.wall_ms - archive->closed_ms;
    int64_t age_ms = wall_age_ms;

    for (size_t i = 0; i < age->step_count; i++)
        if (archive->number < age->steps[i].number)
            age_ms -= age->steps[i].step_ms;
    if (archive->number >= age->first_number)
        return age_ms;
    if (clocks.now_ms - age->started_ms < EVENT_AGE_WAIT_MS)
        return 0;
    return MIN(age_ms, wall_age_ms);
}
