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

    put(s->signing_of, result);
    signing_free(&s->signing);
    sign_next(s);
}

/* The one behind `last`, NULL: the first. NULL: there is none any more. */
static struct message *next_of(const struct settlement *s, const struct message *last)
{
    struct message *const all[] = {s->failure, s->notice, s->answer};
    size_t i = 0;

    while (last != NULL && all[i++] != last)
        ;
    while (i < ARRAY_LEN(all) && all[i] == NULL)
        i++;
    return i < ARRAY_LEN(all) ? all[i] : NULL;
}

static void sign_next(struct settlement *s)
{
    struct message *notice = next_of(s, s->signing_of);

    s->signing_of = notice;
    if (notice != NULL)
        s->signing = signing_begin(s->outcomes->signer, BYTES_NONE);
    if (notice == NULL || s->signing == NULL) {
        s->signed_all(s);
        return;
    }
    signing_content(s->signing, notice->content.memory);
    signing_finish(s->signing, BYTES_NONE, on_signed, s);
}

void notice_sign(struct settlement *s)
{
    if (s->outcomes->signer == NULL || next_of(s, NULL) == NULL) {
        s->signed_all(s);
        return;
    }
    sign_next(s);
}
