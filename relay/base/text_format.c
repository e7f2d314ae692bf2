/* text_format.c - the conversions that lines for people and peers consist of. */
#include "base/text_format.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

enum { DIGITS_MAX = 20 };

struct output {
    char *at;
    char *end;
    size_t wanted;
};

/* One conversion: %[0][width][.*][length]type */
struct conversion {
    bool is_padded; /* with zeros */
    bool is_cut;    /* .* */
    unsigned width;
    unsigned longs; /* l, ll; z and j count as two: all are 64 bits here */
    char type;
};

_Static_assert(sizeof(size_t) == 8 && sizeof(intmax_t) == 8 && sizeof(long) == 8, "one long size");

static void put(struct output *out, const char *text, size_t len)
{
    size_t fits = MIN(len, (size_t)(out->end - out->at));

    memcpy(out->at, text, fits);
    out->at += fits;
    out->wanted += len;
}

static void put_number(struct output *out, uint64_t number, unsigned base,
                       const struct conversion *c, bool is_negative)
{
    char digits[DIGITS_MAX];
    unsigned at = DIGITS_MAX;

    do {
        digits[--at] = base == 16 ? "0123456789abcdef"[number % 16] : (char)('0' + number % 10);
        number = base == 16 ? number / 16 : number / 10; /* not by a variable, which is dear */
    } while (number != 0);
    while (DIGITS_MAX - at < c->width)
        digits[--at] = '0';
    if (is_negative)
        put(out, "-", 1);
    put(out, digits + at, DIGITS_MAX - at);
}

/* Takes what stands behind a '%' off the format; false for what is left to vsnprintf(). */
static bool take_conversion(const char **format, struct conversion *c)
{
    const char *f = *format;

    *c = (struct conversion){0};
    if (*f == '0') {
        c->is_padded = true;
        f++;
    }
    for (; *f >= '0' && *f <= '9' && c->width < DIGITS_MAX; f++)
        c->width = c->width * 10 + (unsigned)(*f - '0');
    if (f[0] == '.' && f[1] == '*') {
        c->is_cut = true;
        f += 2;
    }
    for (; *f == 'l' || *f == 'z' || *f == 'j'; f++)
        c->longs += *f == 'l' ? 1 : 2;
    c->type = *f;
    *format = f + 1;
    switch (c->type) {
    case 's':
        return !c->is_padded && c->width == 0 && c->longs == 0;
    case 'd':
        return !c->is_cut && !c->is_padded && c->width == 0;
    case 'u':
    case 'x':
        return !c->is_cut && c->is_padded == (c->width > 0) && c->width < DIGITS_MAX;
    default:
        return false;
    }
}

/* False at the first conversion that is not for here: `out` is to be written anew then. */
static bool format_plain(struct output *out, const char *format, va_list args)
{
    for (;;) {
        const char *percent = strchrnul(format, '%');
        struct conversion c;

        put(out, format, (size_t)(percent - format));
        if (*percent == '\0')
            return true;
        format = percent + 1;
        if (!take_conversion(&format, &c))
            return false;
        if (c.type == 's') {
            int len = c.is_cut ? va_arg(args, int) : -1;
            const char *text = va_arg(args, const char *);

            if (text == NULL) /* an empty slice may have no place */
                text = len >= 0 && len < 6 ? "" : "(null)";
            put(out, text, len < 0 ? strlen(text) : strnlen(text, (size_t)len));
        } else if (c.type == 'd') {
            int64_t number = c.longs > 0 ? va_arg(args, int64_t) : va_arg(args, int);

            put_number(out, number < 0 ? -(uint64_t)number : (uint64_t)number, 10, &c, number < 0);
        } else {
            uint64_t number = c.longs > 0 ? va_arg(args, uint64_t) : va_arg(args, unsigned);

            put_number(out, number, c.type == 'x' ? 16 : 10, &c, false);
        }
    }
}

size_t text_format(char *out, size_t room, const char *format, va_list args)
{
    struct output output = {.at = out, .end = out + room - 1};
    va_list again;

    check(room > 0);
    va_copy(again, args);
    if (!format_plain(&output, format, args)) {
        int wanted = vsnprintf(out, room, format, again);

        check(wanted >= 0);
        output.wanted = (size_t)wanted;
    }
    va_end(again);
    return output.wanted;
}

size_t text_put(char *out, size_t room, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    size_t wanted = text_format(out, room, format, args);
    va_end(args);
    out[MIN(wanted, room - 1)] = '\0';
    return wanted;
}
