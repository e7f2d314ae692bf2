/* tenant_limit.c - the table of limits. */
#include "directory/tenant_limit.h"

enum { COUNT_MAX = 1000000000 };

static const struct tenant_limit_row rows[LIMIT_COUNT] = {
    [LIMIT_WEIGHT] = {"weight", false, 1000,
                      "its share where several tenants' mail waits for the same"},
    [LIMIT_MESSAGE_SIZE] = {"message_size", true, 1ULL << 40, "largest message"},
    [LIMIT_RECIPIENTS] = {"recipients", false, COUNT_MAX, "most recipients of a message"},
    [LIMIT_RATE_SECOND] = {"rate_second", false, COUNT_MAX, "messages a second; more wait"},
    [LIMIT_RATE_HOUR] = {"rate_hour", false, COUNT_MAX, "messages an hour; more wait"},
    [LIMIT_RATE_DAY] = {"rate_day", false, COUNT_MAX, "messages a day; more wait"},
    [LIMIT_RATE_MONTH] = {"rate_month", false, COUNT_MAX, "messages a month; more wait"},
    [LIMIT_BACKLOG] = {"backlog", false, COUNT_MAX, "messages that may wait; more are put off"},
    [LIMIT_QUOTA_DAY] = {"quota_day", false, COUNT_MAX, "messages a day; more are refused"},
    [LIMIT_QUOTA_MONTH] = {"quota_month", false, COUNT_MAX, "messages a month; more are refused"},
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
