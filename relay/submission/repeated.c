/* repeated.c - keys of messages, asked for and told of. */
#include "submission/repeated.h"

#include <stdio.h>

#include "base/log.h"
#include "base/metric.h"

/* The words live until the next one of the thread, which is after they were said. */
static struct verdict known(const struct submission_session *session, uint64_t id)
{
    static _Thread_local char text[64];
    char name[MESSAGE_ID_TEXT_MAX], of_session[SESSION_NAME_MAX];

    message_id_format((struct message_id){id}, name);
    session_name(&session->server.session, of_session);
    snprintf(text, sizeof(text), "Ok: queued as %s", name);
    metric_inc(METRIC_SUBMISSION_REPEATED);
    log_info("id=%s session=%s what=\"handed in again, and not taken again\"", name, of_session);
    return (struct verdict){250, "2.0.0", text, NULL, false};
}

static struct verdict hold(struct submission_session *session, struct intake *intake)
{
    session->has_claim = false; /* the intake's */
    return intake_hold_claim(intake, &session->claim) ? VERDICT_OK : intake_out_of_memory();
}

struct verdict repeated_ask(const struct submission *submission, struct submission_session *session,
                            struct intake *intake)
{
    static const struct verdict later = {.code = VERDICT_CODE_LATER};
    struct claim claim = session->claim;
    uint64_t id;

    if (!session->has_claim)
        return VERDICT_OK;
    if (!allowances_known())
        return later;
    intake_claim_envelope(intake, &claim);
    switch (claims_ask(&claim, allowance_clock_s(engine_now_ms(submission->service.engine)), &id)) {
    case CLAIM_TAKEN:
        session->claim = claim;
        return hold(session, intake);
    case CLAIM_BUSY:
        return later;
    case CLAIM_KNOWN:
        return known(session, id);
    case CLAIM_DIFFERS:
        return verdict_refuse(550, "5.6.0",
                              "This key was given to mail of another sender or to others",
                              "idempotency");
    case CLAIM_FULL:
        break;
    }
    return verdict_refuse(452, "4.3.1", "Too many keys are remembered, try again later",
                          "limits.idempotency_keys");
}
