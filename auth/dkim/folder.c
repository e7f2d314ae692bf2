/* folder.c - where lines of a signature field are broken. */
#include "auth/dkim/folder.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    COLUMNS = 76,   /* RFC 5322 section 2.1.1 asks for at most 78 */
    TAG_MAX = 1024, /* octets */
};

void folder_text(struct folder *folder, struct bytes text)
{
    folder->is_full = folder->is_full || !buf_append(folder->out, text);
    folder->column += text.len;
}

static void fold(struct folder *folder)
{
    folder_text(folder, BYTES("\r\n\t"));
    folder->column = 1;
}

/* Before a word of that many octets. */
static void begin_word(struct folder *folder, size_t len)
{
    if (folder->column + 1 + len > COLUMNS)
        fold(folder);
    else
        folder_text(folder, BYTES(" "));
}

void folder_word(struct folder *folder, struct bytes word)
{
    begin_word(folder, word.len);
    folder_text(folder, word);
}

void folder_value(struct folder *folder, struct bytes name, struct bytes value)
{
    begin_word(folder, name.len + value.len + 1);
    folder_text(folder, name);
    folder_text(folder, value);
    folder_text(folder, BYTES(";"));
}

void folder_tag(struct folder *folder, const char *format, ...)
{
    char text[TAG_MAX];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    check(len > 0 && (size_t)len < sizeof(text));
    folder_word(folder, bytes_range(text, (size_t)len));
}

static void add_part(struct folder *folder, struct bytes part)
{
    if (folder->column + part.len > COLUMNS && !folder->is_flat)
        fold(folder);
    folder_text(folder, part);
}

void folder_names(struct folder *folder, struct bytes names)
{
    struct bytes name;

    while (bytes_take_until(&names, ':', &name)) {
        name.len++; /* its colon */
        add_part(folder, name);
    }
    add_part(folder, names);
}

void folder_anywhere(struct folder *folder, struct bytes text)
{
    while (text.len > 0 && !folder->is_flat) {
        if (folder->column >= COLUMNS)
            fold(folder);
        struct bytes part = bytes_slice(text, 0, COLUMNS - folder->column);

        folder_text(folder, part);
        text = bytes_slice(text, part.len, text.len);
    }
    folder_text(folder, text);
}
