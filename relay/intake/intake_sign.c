/* intake_sign.c - has a message signed: its content as it is stored, its fields before it. */
#include "intake/intake_private.h"

#include <errno.h>
#include <string.h>

#include "queue/tail.h"

enum { WORDS_MAX = 1024 };

bool intake_sign_begin(struct intake *intake)
{
    if (intake->home->signer == NULL || intake->message->tenant.len == 0)
        return true;
    intake->signing = signing_begin(intake->home->signer, intake->message->tenant);
    return intake->signing != NULL;
}

void intake_sign_content(struct intake *intake, size_t before)
{
    struct bytes content = buf_bytes(&intake->content);

    if (intake->signing != NULL && content.len > before)
        signing_content(intake->signing, bytes_slice(content, before, content.len));
}

/* False: no memory. */
static bool put_fields(struct message *message, const struct signing_result *result)
{
    struct bytes rest = message->prefix;
    size_t len = result->fields.len + rest.len;
    uint8_t *both = arena_alloc(&message->arena, len);
    uint8_t *at = both;

    if (both == NULL)
        return false;
    (void)bytes_put(result->fields, &at);
    (void)bytes_put(rest, &at);
    message->prefix = bytes_range(both, len);
    return true;
}

/* For the accepted events. */
static bool put_words(struct message *message, const struct signing_result *result)
{
    struct buf words;

    buf_init(&words, WORDS_MAX);
    bool fits = signing_put_words(result, &words) &&
                tail_add(&message->arena, &message->tail, TAIL_SIGNING, buf_bytes(&words));
    buf_free(&words);
    return fits;
}

static void on_signed(void *context, const struct signing_result *result)
{
    struct intake *intake = context;
    struct verdict verdict = result->verdict;

    if (verdict.code == 0 && (!put_words(intake->message, result) ||
                              (result->fields.len > 0 && !put_fields(intake->message, result))))
        verdict = intake_out_of_memory();
    signing_free(&intake->signing);
    intake_count_memory(intake);
    if (verdict.code == 0)
        intake_give(intake);
    else
        intake_refuse(intake, verdict);
}

void intake_sign(struct intake *intake)
{
    if (intake->signing == NULL) {
        intake_give(intake);
        return;
    }
    intake_count_memory(intake);
    signing_finish(intake->signing, intake->message->prefix, on_signed, intake);
}
