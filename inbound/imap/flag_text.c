/* flag_text.c - a text for each set of flags: a FETCH of all says one for each message. */
#include "inbound/imap/flag_text.h"

#include <pthread.h>
#include <string.h>

#include "base/buf.h"

static const struct {
    uint64_t flag;
    const char *name;
} system_flags[] = {
    {MAIL_ANSWERED, "\\Answered"}, {MAIL_FLAGGED, "\\Flagged"}, {MAIL_DELETED, "\\Deleted"},
    {MAIL_SEEN, "\\Seen"},         {MAIL_DRAFT, "\\Draft"},
};

static struct flag_text texts[FLAG_TEXT_ALL + 1];
static pthread_once_t texts_made = PTHREAD_ONCE_INIT;

static void make_texts(void)
{
    for (uint64_t flags = 0; flags <= FLAG_TEXT_ALL; flags++) {
        struct buf text;
        const char *space = "";

        buf_init(&text, sizeof(texts[flags].bytes));
        check(buf_append(&text, BYTES("FLAGS (")));
        for (size_t i = 0; i < ARRAY_LEN(system_flags); i++)
            if ((flags & system_flags[i].flag) != 0) {
                check(buf_printf(&text, "%s%s", space, system_flags[i].name));
                space = " ";
            }
        texts[flags].len = (uint8_t)buf_len(&text);
        memcpy(texts[flags].bytes, buf_bytes(&text).ptr, buf_len(&text));
        buf_free(&text);
    }
}

const struct flag_text *flag_texts(void)
{
    pthread_once(&texts_made, make_texts);
    return texts;
}
