/* tenant_limit.c - the table of limits. */
#include "directory/tenant_limit.h"

enum { COUNT_MAX = 1000000000 };

static const struct tenant_limit_row rows[LIMIT_COUNT] = {
    [LIMIT_MESSAGE_SIZE] = {"message_size", true, 1ULL << 40, "largest message"},
    [LIMIT_RECIPIENTS] = {"recipients", false, COUNT_MAX, "most recipients of a message"},
};

const struct tenant_limit_row *tenant_limit_row(enum tenant_limit limit)
{
    check(limit < LIMIT_COUNT);
    return &rows[limit];
}

bool tenant_limit_find(struct bytes name, enum tenant_limit *limit_out)
{
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        if (!bytes_equal(name, bytes_of(rows[i].name)))
            continue;
        *limit_out = (enum tenant_limit)i;
        return true;
    }
    return false;
}
