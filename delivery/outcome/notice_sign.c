/* notice_sign.c - one notification after the other. */
#include "delivery/outcome/notice_sign.h"

#include "queue/tail.h"
#include "signing/signing.h"

enum { WORDS_MAX = 1024 };

static void sign_next(struct settlement *s);

/* Without memory it leaves unsigned, as it was. */
static void put(struct message *notice, const struct signing_result *result)
{
    struct buf words;

    buf_init(&words, WORDS_MAX);
    if (result->fields.len > 0 && !arena_copy(&notice->arena, result->fields, &notice->prefix))
        notice->prefix = BYTES_NONE;
    else if (signing_put_words(result, &words))
        (void)!tail_add(&notice->arena, &notice->tail, TAIL_SIGNING, buf_bytes(&words));
    buf_free(&words);
}

static void on_signed(void *context, const struct signing_result *result)
{
    struct settlement *s = context;

    put(s->made[s->signed_count++], result);
    signing_free(&s->signing);
    sign_next(s);
}

static void sign_next(struct settlement *s)
{
    bool has_more = s->signed_count < s->made_count;

    if (has_more)
        s->signing = signing_begin(s->outcomes->signer, BYTES_NONE);
    if (!has_more || s->signing == NULL) {
        s->signed_all(s);
        return;
    }
    signing_content(s->signing, s->made[s->signed_count]->content.memory);
    signing_finish(s->signing, BYTES_NONE, on_signed, s);
}

void notice_sign(struct settlement *s)
{
    if (s->outcomes->signer == NULL) {
        s->signed_all(s);
        return;
    }
    sign_next(s);
}
