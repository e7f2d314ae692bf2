/* allowed.c - allowances of tenants, asked and told of. */
#include "submission/allowed.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/metric.h"

enum { TEXT_MAX = 256 };

_Static_assert((int)LIMIT_BACKLOG - (int)LIMIT_PER_SECOND == (int)ALLOWANCE_BACKLOG,
               "the directory's limits stand in the order of allowances");

struct allowance *allowed_of(const struct directory_tenant *tenant, int64_t now_ms,
                             struct allowance_limits *limits_out)
{
    for (unsigned i = 0; i < ALLOWANCE_LIMIT_COUNT; i++)
        limits_out->max[i] =
            (uint32_t)MIN(tenant->limits[LIMIT_PER_SECOND + i], (uint64_t)UINT32_MAX);
    return allowance_limits_any(limits_out) ? allowance_get(tenant->id, tenant->name, now_ms)
                                            : NULL;
}

static struct allowance *find(const struct submission *submission,
                              const struct submission_session *session,
                              struct allowance_limits *limits_out)
{
    struct allowance *allowance = NULL;

    if (submission->reader == NULL || session->tenant[0] == '\0')
        return NULL;
    const struct directory_tenant *tenant =
        snapshot_tenant(snapshot_begin(submission->reader), bytes_of(session->tenant));

    if (tenant != NULL)
        allowance = allowed_of(tenant, engine_now_ms(submission->service.engine), limits_out);
    snapshot_end(submission->reader);
    return allowance;
}

/* About when, on the wall clock: to the second where it is the end of a period, since the two
 * clocks do not tick together. */
static int64_t until_wall_ms(const struct submission *submission, const struct admission *admission)
{
    const struct engine *engine = submission->service.engine;
    int64_t wall_ms = admission->until_ms - engine_now_ms(engine) + engine_wall_ms(engine);

    return admission->limit == ALLOWANCE_PER_SECOND ? wall_ms : (wall_ms + 500) / 1000 * 1000;
}

/* The words live until the next refusal of the thread, which is after they were said. */
static struct verdict refuse(const struct submission *submission, const struct admission *admission)
{
    static _Thread_local char text[TEXT_MAX];
    const char *limit = allowance_limit_name((enum allowance_limit)admission->limit);
    char until[CLOCK_TEXT_MAX];

    if (admission->kind == ADMISSION_BACKLOG) {
        metric_inc(METRIC_SUBMISSION_OVER_BACKLOG);
        snprintf(text, sizeof(text),
                 "Your backlog of %u is full: so many wait for your rate, try again later",
                 admission->max);
        return verdict_refuse(451, "4.7.1", text, "backlog");
    }
    check(admission->kind == ADMISSION_QUOTA);
    metric_inc(METRIC_SUBMISSION_OVER_QUOTA);
    size_t len = clock_format_rfc3339(until_wall_ms(submission, admission), until);

    snprintf(text, sizeof(text), "Your limit %s of %u is used up until %.*s", limit, admission->max,
             (int)len, until);
    return verdict_refuse(550, "5.7.1", text, limit);
}

struct verdict allowed_foresee(const struct submission *submission,
                               const struct submission_session *session)
{
    struct allowance_limits limits;
    struct allowance *allowance = find(submission, session, &limits);

    if (allowance == NULL || !allowances_known())
        return VERDICT_OK;
    struct admission admission =
        admission_foresee(allowance, &limits, engine_now_ms(submission->service.engine));

    return admission.kind == ADMISSION_NONE ? VERDICT_OK : refuse(submission, &admission);
}

struct verdict allowed_take(const struct submission *submission,
                            const struct submission_session *session, struct intake *intake)
{
    struct allowance_limits limits;
    struct allowance *allowance = find(submission, session, &limits);
    char rule[TEXT_MAX] = "";

    if (allowance == NULL)
        return VERDICT_OK;
    if (!allowances_known())
        return (struct verdict){.code = VERDICT_CODE_LATER};
    struct admission admission =
        admission_ask(allowance, &limits, session->server.transaction.recipient_count,
                      engine_now_ms(submission->service.engine));

    if (admission.kind == ADMISSION_BACKLOG || admission.kind == ADMISSION_QUOTA)
        return refuse(submission, &admission);
    if (admission.kind == ADMISSION_WAITS)
        snprintf(rule, sizeof(rule), "tenant %s %s %u", session->tenant,
                 allowance_limit_name((enum allowance_limit)admission.limit), admission.max);
    return intake_admit(intake, &admission, until_wall_ms(submission, &admission), bytes_of(rule))
               ? VERDICT_OK
               : intake_out_of_memory();
}
