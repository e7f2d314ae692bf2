/* inspection.c - one question after the other to the reader of archives. */
#include "inbound/receive/inspection.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/budget.h"
#include "inbound/receive/receive.h"

static void on_answer(struct archive_question *question);

static const struct attachment_rules *rules_of(const struct inspection *inspection)
{
    return &receive_newest(inspection->receive)->attachments;
}

static bool is_let_go(const struct inspection *inspection)
{
    return atomic_load(&inspection->question.is_let_go);
}

/* False: nothing is asked any more. */
static bool ask_next(struct inspection *inspection)
{
    struct attachments *attachments = inspection->attachments;

    if (is_let_go(inspection) || attachments_found(attachments)->refuses ||
        inspection->at == attachments_archive_count(attachments))
        return false;
    inspection->question = (struct archive_question){
        .archive = attachments_archive(attachments, inspection->at),
        .members_max = rules_of(inspection)->members_max,
        .engine = inspection->receive->setup.engine,
        .done = on_answer,
    };
    if (archive_reader_ask(inspection->receive->setup.archives, &inspection->question))
        return true;
    attachments_put_off(attachments);
    return false;
}

static void end(struct inspection *inspection)
{
    struct receive *receive = inspection->receive;

    budget_add(-(int64_t)inspection->counted);
    receive->inspection_count--;
    if (is_let_go(inspection))
        attachments_free(&inspection->attachments);
    else
        inspection->done(inspection->context, inspection->attachments);
    free(inspection);
    service_look_if_stopped(&receive->service);
}

static void on_answer(struct archive_question *question)
{
    struct inspection *inspection = container_of(question, struct inspection, question);

    if (question->is_broken)
        attachments_put_off(inspection->attachments);
    else
        attachments_take_answer(inspection->attachments, rules_of(inspection), inspection->at,
                                buf_bytes(&question->members), question->result);
    buf_free(&question->members);
    inspection->at++;
    if (!ask_next(inspection))
        end(inspection);
}

struct inspection *inspection_start(struct receive *receive, struct attachments *attachments,
                                    void (*done)(void *context, struct attachments *attachments),
                                    void *context)
{
    struct inspection *inspection = calloc(1, sizeof(*inspection));

    check(inspection != NULL);
    *inspection = (struct inspection){
        .receive = receive,
        .attachments = attachments,
        .done = done,
        .context = context,
    };
    if (!ask_next(inspection)) {
        free(inspection);
        return NULL;
    }
    inspection->counted = sizeof(*inspection) + attachments_memory(attachments);
    budget_add((int64_t)inspection->counted);
    receive->inspection_count++;
    return inspection;
}

void inspection_let_go(struct inspection **inspection)
{
    struct inspection *gone = *inspection;

    *inspection = NULL;
    if (gone != NULL)
        atomic_store(&gone->question.is_let_go, true);
}
