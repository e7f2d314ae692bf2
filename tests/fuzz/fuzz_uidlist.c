/* modules: mailbox */
/*
 * fuzz_uidlist.c - any bytes as the files that Dovecot keeps in a Maildir: dovecot-uidlist,
 * dovecot-keywords, subscriptions, and as a name of a message's file. What is read can be written,
 * and reads back as the same.
 */
#include "inbound/mailbox/keyword_list.h"
#include "inbound/mailbox/special_use.h"
#include "inbound/mailbox/subscriptions.h"
#include "inbound/mailbox/uidlist.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

struct seen {
    struct buf text;
    uint32_t last;
    size_t count;
};

static void on_line(void *context, const struct uidlist_line *line)
{
    struct seen *seen = context;

    check(line->uid > seen->last && line->base.len > 0);
    seen->last = line->uid;
    seen->count++;
    uidlist_put_line(&seen->text, line);
}

static void try_uidlist(struct bytes text)
{
    struct uidlist_header header, again;
    struct seen seen = {0}, seen_again = {0};
    struct buf whole;

    buf_init(&seen.text, SIZE_MAX / 2);
    buf_init(&seen_again.text, SIZE_MAX / 2);
    buf_init(&whole, SIZE_MAX / 2);
    if (uidlist_parse(text, &header, on_line, &seen)) {
        check(header.uidnext > seen.last && header.uidvalidity != 0);
        uidlist_put_header(&whole, &header);
        check(buf_append(&whole, buf_bytes(&seen.text)));
        check(uidlist_parse(buf_bytes(&whole), &again, on_line, &seen_again));
        check(again.uidnext == header.uidnext && again.uidvalidity == header.uidvalidity);
        check(seen.count == seen_again.count);
        check(bytes_equal(buf_bytes(&seen.text), buf_bytes(&seen_again.text)));
    }
    buf_free(&whole);
    buf_free(&seen.text);
    buf_free(&seen_again.text);
}

static void try_keywords(struct bytes text)
{
    struct keyword_list list = {0}, again = {0};
    struct buf out;

    buf_init(&out, SIZE_MAX / 2);
    keyword_parse(&list, text);
    check(list.count <= MAILBOX_KEYWORDS_MAX);
    keyword_format(&list, &out);
    keyword_parse(&again, buf_bytes(&out));
    for (unsigned i = 0; i < LETTER_KEYWORD_COUNT; i++) {
        check((list.of_letter[i] == 0) == (again.of_letter[i] == 0));
        if (list.of_letter[i] != 0)
            check(strcmp(list.names[list.of_letter[i] - 1], again.names[again.of_letter[i] - 1]) ==
                  0);
    }
    buf_free(&out);
}

static void on_folder(void *context, const char *folder)
{
    check(folder[0] == '\0' || folder[0] == '.');
    check(strlen(folder) <= MAIL_FOLDER_MAX && strchr(folder, '/') == NULL);
    subscriptions_put(context, folder);
}

static void try_subscriptions(struct bytes text)
{
    struct buf once, twice;

    buf_init(&once, SIZE_MAX / 2);
    buf_init(&twice, SIZE_MAX / 2);
    subscriptions_put_head(&once);
    subscriptions_put_head(&twice);
    subscriptions_parse(text, on_folder, &once);
    subscriptions_parse(buf_bytes(&once), on_folder, &twice);
    check(bytes_equal(buf_bytes(&once), buf_bytes(&twice)));
    buf_free(&once);
    buf_free(&twice);
}

static void try_uses(struct bytes text)
{
    struct special_uses uses = {0}, again = {0};
    struct buf out;

    buf_init(&out, SIZE_MAX / 2);
    special_uses_parse(&uses, text);
    special_uses_format(&uses, &out);
    special_uses_parse(&again, buf_bytes(&out));
    for (unsigned use = 0; use < SPECIAL_COUNT; use++)
        check(strcmp(uses.folder[use], again.folder[use]) == 0);
    buf_free(&out);
}

static void try_name(struct bytes text)
{
    char name[MAIL_NAME_MAX + 1];
    struct file_name split, again;
    uint32_t lines;

    if (!file_name_split(text, false, &split))
        return;
    (void)!file_name_lines_lf(split.base, text.len, &lines);
    if (!file_name_format(split.base, split.letters, false, name))
        return;
    check(file_name_split(bytes_of(name), false, &again));
    check(bytes_equal(again.base, split.base) && again.letters == split.letters);
    check(split.base.len > FILE_BASE_MAX || again.is_plain);
    check(!split.is_plain || bytes_equal(bytes_of(name), text));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes text = {input, len};

    try_uidlist(text);
    try_keywords(text);
    try_subscriptions(text);
    try_uses(text);
    try_name(text);
    return 0;
}
