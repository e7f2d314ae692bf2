/* reporter_desk.c - an intake that nobody's session is behind. */
#include "relay/reporter_desk.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "intake/intake.h"
#include "relay/worker.h"

enum { RECEIVED_MAX = 50, CLOSE_S = 5, TENANT_MAX = 256 };

struct desk {
    struct worker *worker;
    pthread_mutex_t busy; /* held by who sends */
    atomic_bool is_closed;
    sem_t answered;
    /* The engine's, while a mail is under way. */
    struct header_table fields;
    struct slab intakes;
    struct intake_home home;
    const struct desk_mail *mail;
    struct intake *intake;
    size_t given;
    bool has_ended;
    enum desk_answer answer;
    char *why;
    char tenant[TENANT_MAX];
};

/* --- on the engine ---------------------------------------------------------------------------- */

static void end(struct desk *desk, enum desk_answer answer, const char *why)
{
    desk->answer = answer;
    snprintf(desk->why, DESK_WHY_MAX, "%s", why);
    if (desk->intake != NULL)
        intake_let_go(&desk->intake);
    sem_post(&desk->answered);
}

static enum desk_answer answer_of(struct verdict verdict)
{
    return verdict.code >= 500 ? DESK_NEVER : DESK_LATER;
}

static void on_done(void *context, struct verdict verdict, const char *id)
{
    struct desk *desk = context;

    (void)id;
    if (verdict.code == 0)
        end(desk, DESK_ACCEPTED, "");
    else
        end(desk, answer_of(verdict), verdict.text);
}

/* Gives what there is room for; the rest when there is room again. */
static void pump(struct desk *desk)
{
    struct bytes content = desk->mail->content;

    while (desk->given < content.len) {
        struct bytes run = bytes_slice(content, desk->given, intake_room(desk->intake));

        if (run.len == 0)
            return;
        desk->given += run.len;
        intake_content(desk->intake, run);
    }
    if (desk->has_ended)
        return;
    desk->has_ended = true;
    intake_content_end(desk->intake, false);
    intake_commit(desk->intake, RECEIVED_MAX);
}

static void on_resume(void *context)
{
    struct desk *desk = context;

    if (desk->intake != NULL && !desk->has_ended)
        pump(desk);
}

/* Whose domain the author's is; "": nobody's. */
static void find_tenant(struct desk *desk, struct bytes domain)
{
    const struct snapshot *snapshot = snapshot_begin(desk->worker->reader);
    const struct directory_domain *row = snapshot_domain(snapshot, domain);
    const struct directory_tenant *owner =
        row != NULL ? snapshot_tenant_of(snapshot, row->tenant) : NULL;

    desk->tenant[0] = '\0';
    if (owner != NULL && !owner->is_disabled)
        snprintf(desk->tenant, sizeof(desk->tenant), "%.*s", BYTES_ARG(owner->name));
    snapshot_end(desk->worker->reader);
}

/* False: it was answered. */
static bool claim(struct desk *desk)
{
    struct claim key = claim_of(BYTES("\ringpost report"), desk->mail->key);
    uint64_t id;

    if (!allowances_known()) {
        end(desk, DESK_LATER, "the keys of messages are not read yet");
        return false;
    }
    intake_claim_envelope(desk->intake, &key);
    switch (claims_ask(&key, allowance_clock_s(engine_now_ms(desk->worker->engine)), &id)) {
    case CLAIM_TAKEN:
        if (intake_hold_claim(desk->intake, &key))
            return true;
        end(desk, DESK_LATER, "no memory");
        return false;
    case CLAIM_KNOWN:
        end(desk, DESK_ACCEPTED, "");
        return false;
    case CLAIM_DIFFERS:
    case CLAIM_BUSY:
    case CLAIM_FULL:
        break;
    }
    end(desk, DESK_LATER, "its key cannot be had now");
    return false;
}

static struct verdict open_intake(struct desk *desk, const struct smtp_address *from,
                                  const struct smtp_address *to)
{
    const struct smtp_mail mail = {.reverse_path = *from};
    const struct smtp_rcpt rcpt = {.forward_path = *to};
    const struct intake_client client = {
        .service = BYTES("report"),
        .hostname = bytes_of(desk->mail->hostname),
        .tenant = bytes_of(desk->tenant),
        .is_esmtp = true,
    };
    const struct intake_answer answer = {desk, on_resume, on_done};
    struct verdict verdict = intake_open(&desk->home, &mail, &client, &answer, &desk->intake);

    return verdict.code == 0 ? intake_add_recipient(desk->intake, &rcpt) : verdict;
}

static void begin(struct worker *worker, void *context)
{
    struct desk *desk = context;
    struct smtp_address from, to;

    (void)worker;
    if (!smtp_parse_address(bytes_of(desk->mail->from), &from) ||
        !smtp_parse_address(bytes_of(desk->mail->to), &to) || to.domain.len == 0) {
        end(desk, DESK_NEVER, "it is no address");
        return;
    }
    find_tenant(desk, from.domain);
    struct verdict verdict = open_intake(desk, &from, &to);

    if (verdict.code != 0)
        end(desk, answer_of(verdict), verdict.text);
    else if (claim(desk))
        pump(desk);
}

/* --- from outside ----------------------------------------------------------------------------- */

struct desk *desk_open(struct worker *worker)
{
    struct desk *desk = calloc(1, sizeof(*desk));

    check(desk != NULL);
    desk->worker = worker;
    pthread_mutex_init(&desk->busy, NULL);
    sem_init(&desk->answered, 0, 0);
    intake_fields_init(&desk->fields);
    /* One that was left behind may still be in flight. */
    slab_init(&desk->intakes, intake_size(&desk->fields), 2);
    desk->home = (struct intake_home){.engine = worker->engine,
                                      .shard = worker->shards[0],
                                      .intakes = &desk->intakes,
                                      .fields = &desk->fields,
                                      .signer = worker->signer,
                                      .messages = METRIC_REPORTS_MAILS,
                                      .recipients = METRIC_REPORTS_RECIPIENTS,
                                      .bytes = METRIC_REPORTS_BYTES};
    return desk;
}

enum desk_answer desk_send(struct desk *desk, const struct desk_mail *mail,
                           char why[static DESK_WHY_MAX])
{
    pthread_mutex_lock(&desk->busy);
    if (atomic_load(&desk->is_closed)) {
        pthread_mutex_unlock(&desk->busy);
        snprintf(why, DESK_WHY_MAX, "the program stops");
        return DESK_LATER;
    }
    desk->mail = mail;
    desk->why = why;
    desk->intake = NULL;
    desk->given = 0;
    desk->has_ended = false;
    worker_call(desk->worker, begin, desk);
    while (sem_wait(&desk->answered) < 0)
        check(errno == EINTR);
    enum desk_answer answer = desk->answer;

    pthread_mutex_unlock(&desk->busy);
    return answer;
}

void desk_close(struct desk *desk)
{
    struct timespec until;

    atomic_store(&desk->is_closed, true);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_S;
    if (pthread_mutex_timedlock(&desk->busy, &until) == 0)
        pthread_mutex_unlock(&desk->busy);
}

void desk_free(struct desk **desk)
{
    struct desk *d = *desk;

    *desk = NULL;
    slab_free_all(&d->intakes);
    sem_destroy(&d->answered);
    pthread_mutex_destroy(&d->busy);
    free(d);
}
