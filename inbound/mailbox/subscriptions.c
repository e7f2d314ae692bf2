/* subscriptions.c - the file of subscriptions. */
#include "inbound/mailbox/subscriptions.h"

#include <string.h>

#include "inbound/mailbox/folder_name.h"

static bool to_folder(struct bytes line, bool has_tabs, char out[static MAIL_FOLDER_MAX + 1])
{
    uint8_t name[MAILBOX_NAME_MAX];
    size_t len;

    if (bytes_equal_nocase(line, BYTES("INBOX"))) {
        out[0] = '\0';
        return true;
    }
    if (line.len == 0 || line.len > MAIL_FOLDER_MAX - 1)
        return false;
    out[0] = '.';
    for (size_t i = 0; i < line.len; i++)
        out[i + 1] = (char)(has_tabs && line.ptr[i] == '\t' ? '.' : line.ptr[i]);
    out[line.len + 1] = '\0';
    return memchr(out, 0, line.len + 1) == NULL &&
           folder_name_decode(bytes_range(out, line.len + 1), name, &len);
}

void subscriptions_parse(struct bytes text, void (*visit)(void *context, const char *folder),
                         void *context)
{
    char folder[MAIL_FOLDER_MAX + 1];
    struct bytes line, rest = text;
    bool has_tabs = bytes_take_until(&rest, '\n', &line) && bytes_equal(line, BYTES("V\t2"));

    if (has_tabs)
        text = rest;
    while (bytes_take_until(&text, '\n', &line))
        if (to_folder(line, has_tabs, folder))
            visit(context, folder);
}

void subscriptions_put_head(struct buf *out)
{
    check(buf_append(out, BYTES("V\t2\n\n")));
}

void subscriptions_put(struct buf *out, const char *folder)
{
    struct bytes name = folder[0] == '\0' ? BYTES("INBOX") : bytes_of(folder + 1);

    for (size_t i = 0; i < name.len; i++)
        check(buf_append_byte(out, name.ptr[i] == '.' ? '\t' : name.ptr[i]));
    check(buf_append(out, BYTES("\n")));
}
