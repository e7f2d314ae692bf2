/* tenant_limit.c - the table of limits. */
#include "directory/tenant_limit.h"

enum { COUNT_MAX = 1000000000, WEIGHT_MAX = 1000 /* as deliveries weigh them */ };

static const struct tenant_limit_row rows[LIMIT_COUNT] = {
    [LIMIT_MESSAGE_SIZE] = {"message_size", true, 1ULL << 40, "largest message"},
    [LIMIT_RECIPIENTS] = {"recipients", false, COUNT_MAX, "most recipients of a message"},
    [LIMIT_PER_SECOND] = {"messages_per_second", false, COUNT_MAX, "sent in a second; more waits"},
    [LIMIT_PER_HOUR] = {"messages_per_hour", false, COUNT_MAX, "sent in an hour; more waits"},
    [LIMIT_PER_DAY] = {"messages_per_day", false, COUNT_MAX, "sent in a day; more waits"},
    [LIMIT_PER_MONTH] = {"messages_per_month", false, COUNT_MAX, "sent in a month; more waits"},
    [LIMIT_QUOTA_DAY] = {"quota_per_day", false, COUNT_MAX, "accepted in a day; more is 550"},
    [LIMIT_QUOTA_MONTH] = {"quota_per_month", false, COUNT_MAX, "accepted in a month; more is 550"},
    [LIMIT_BACKLOG] = {"backlog", false, COUNT_MAX, "may wait for these rates; more is 451"},
    [LIMIT_WEIGHT] = {"weight", false, WEIGHT_MAX, "recipients to one of another tenant"},
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
