/* classes.c - rounds among priority classes. */
#include "delivery/line/classes.h"

static const struct {
    const char *name;
    int16_t turns; /* in a round */
} ranks[RANK_COUNT] = {
    [RANK_HIGH] = {"high", 16},
    [RANK_NORMAL] = {"normal", 4},
    [RANK_BULK] = {"bulk", 1},
};

_Static_assert(MAIL_CLASSES == (int)RANK_COUNT, "each has its rank");

enum rank rank_of(enum mail_class class)
{
    switch (class) {
    case MAIL_HIGH:
        return RANK_HIGH;
    case MAIL_BULK:
        return RANK_BULK;
    case MAIL_NORMAL:
        break;
    }
    return RANK_NORMAL;
}

const char *rank_name(enum rank rank)
{
    return ranks[rank].name;
}

unsigned rank_turns(enum rank rank)
{
    return (unsigned)ranks[rank].turns;
}

/* Until one of those that wait has something left: that many rounds at once. */
static void begin_rounds(struct classes *classes, unsigned waiting)
{
    int rounds = INT16_MAX;

    for (unsigned i = 0; i < RANK_COUNT; i++)
        if ((waiting & RANK_BIT(i)) != 0)
            rounds = MIN(rounds, classes->taken[i] / ranks[i].turns);
    for (unsigned i = 0; i < RANK_COUNT; i++)
        classes->taken[i] = (int16_t)MAX(classes->taken[i] - rounds * ranks[i].turns, 0);
}

enum rank classes_next(struct classes *classes, unsigned waiting)
{
    check((waiting & RANK_MASK) != 0);
    for (;;) {
        for (unsigned i = 0; i < RANK_COUNT; i++)
            if ((waiting & RANK_BIT(i)) != 0 && classes->taken[i] < ranks[i].turns)
                return (enum rank)i;
        begin_rounds(classes, waiting);
    }
}

void classes_charge(struct classes *classes, enum rank rank, int count)
{
    check(count <= CLASSES_CHARGE_MAX);
    int taken = MAX(classes->taken[rank] + count, 0);

    classes->taken[rank] = (int16_t)MIN(taken, (int)INT16_MAX);
}
