/* outcome_answer.c - what scripts of accounts answer the sender, beside the recipient's end. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "delivery/outcome/settlement.h"
#include "event/event_checks.h"
#include "event/event_privacy.h"

enum { CHECK_LINE_MAX = 64 };

void settlement_answer(struct settlement *s, struct message *const *answers, size_t count)
{
    check(s->count == 1);
    check(s->answer_count == 0);
    s->answers = arena_alloc(&s->arena, count * sizeof(struct message *));
    check(s->answers != NULL);
    memcpy(s->answers, answers, count * sizeof(struct message *));
    s->answer_count = count;
    if (s->recipients[0].kind == EVENT_DEFERRED)
        settlement_drop_answers(s);
}

/* For machines: as what it was answered, and how many more there are than a record names. */
struct bytes settlement_say_answers(struct settlement *s)
{
    struct bytes said = BYTES_NONE;
    char id[MESSAGE_ID_TEXT_MAX], more[24];
    bool fits = true;
    struct buf lines;

    if (s->answer_count == 0)
        return BYTES_NONE;
    buf_init(&lines, s->answer_count * CHECK_LINE_MAX);
    for (size_t i = 0; i < s->answer_count && fits; i++) {
        if (i + 1 == EVENT_CHECKS_COUNT_MAX && i + 1 < s->answer_count) {
            (void)snprintf(more, sizeof(more), "%zu", s->answer_count - i);
            fits = event_checks_add(&lines, &(struct event_check){.name = BYTES("vacation-more"),
                                                                  .result = bytes_of(more)});
            break;
        }
        message_id_format(s->answers[i]->id, id);
        fits = event_checks_add(&lines, &(struct event_check){.name = BYTES("vacation"),
                                                              .result = bytes_of(id)});
    }
    if (!arena_copy(&s->arena, buf_bytes(&lines), &said))
        said = BYTES_NONE;
    buf_free(&lines);
    return said;
}

void settlement_tell_answers(const struct settlement *s)
{
    char id[MESSAGE_ID_TEXT_MAX], answer[MESSAGE_ID_TEXT_MAX], shown[PRIVACY_ADDRESS_MAX];

    for (size_t i = 0; i < s->answer_count; i++) {
        metric_inc(METRIC_VACATION_ANSWERED);
        message_id_format(s->message->id, id);
        message_id_format(s->answers[i]->id, answer);
        log_info("id=%s answered_as=%s to=%s rule=vacation", id, LOG_STRING(answer),
                 LOG_TEXT(privacy_address(s->message->tenant, s->message->reverse_path, shown)));
    }
}

void settlement_drop_answers(struct settlement *s)
{
    while (s->answer_count > 0)
        message_release(&s->answers[--s->answer_count]);
}
