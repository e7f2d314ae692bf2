/* log_text.c - text from outside as one quoted word of a log line. */
#include "base/log.h"

#include <string.h>

#include "base/eight.h"
#include "base/utf8.h"

enum {
    TEXT_MAX = 255,
    TEXT_BUFFERS = 4,
    ESCAPE_MAX = 4, /* \xff */
};

static char *put_escaped(char *out, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    const char *named = c == '\r' ? "\\r" : c == '\n' ? "\\n" : c == '\t' ? "\\t" : NULL;

    if (named != NULL) {
        *out++ = named[0];
        *out++ = named[1];
    } else if (c < ' ' || c >= 0x7f) {
        *out++ = '\\';
        *out++ = 'x';
        *out++ = hex[c >> 4];
        *out++ = hex[c & 15];
    } else {
        if (c == '"' || c == '\\')
            *out++ = '\\';
        *out++ = (char)c;
    }
    return out;
}

static inline bool is_plain(uint8_t c)
{
    return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

const char *log_text(struct bytes text)
{
    static _Thread_local char buffers[TEXT_BUFFERS][TEXT_MAX * ESCAPE_MAX + sizeof("\"\"...")];
    static _Thread_local unsigned next;
    char *buffer = buffers[next++ % TEXT_BUFFERS];
    char *out = buffer;
    size_t at = 0;

    *out++ = '"';
    while (at < text.len && at < TEXT_MAX) {
        uint8_t c = text.ptr[at];

        if (MIN(text.len, (size_t)TEXT_MAX) - at >= 8 &&
            eight_is_quotable(eight_load(text.ptr + at))) {
            memcpy(out, text.ptr + at, 8);
            out += 8;
            at += 8;
            continue;
        }
        if (is_plain(c)) {
            *out++ = (char)c;
            at++;
            continue;
        }
        size_t len = c < 0x80 ? 0 : utf8_character(bytes_slice(text, at, text.len));

        if (len > 0 && at + len > TEXT_MAX)
            break; /* a character is not cut in two */
        if (len > 0) {
            memcpy(out, text.ptr + at, len);
            out += len;
            at += len;
        } else {
            out = put_escaped(out, c);
            at++;
        }
    }
    *out++ = '"';
    for (int i = 0; i < 3 && at < text.len; i++)
        *out++ = '.';
    *out = '\0';
    return buffer;
}
