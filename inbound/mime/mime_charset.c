/* mime_charset.c - iconv for charsets, GLib for cases. */
#include "inbound/mime/mime_charset.h"

#include <errno.h>
#include <glib.h>
#include <iconv.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_MAX_LEN = 64,
    STAGE_SIZE = 4096,
    PENDING_MAX = 64, /* bytes of one character, with what switches to its set */
    FOLD_KNOWN = 0x3000,
    FOLD_TEXT_MAX = 256 * 1024,
    FOLD_GROWTH = 20, /* U+FDFA, which is beyond FOLD_KNOWN, becomes 18 characters */
    FOLD_PIECE = 512, /* GLib sorts runs of combining marks in the square of their number */
};

struct mime_charset {
    iconv_t iconv; /* (iconv_t)-1: it is UTF-8 */
    size_t unit;   /* bytes that are passed over where there is no character */
    size_t pending_len;
    uint8_t pending[PENDING_MAX];
};

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* What senders call otherwise, or mean more than they say. */
static const struct {
    const char *name, *meant;
} aliases[] = {
    {"ks_c_5601-1987", "CP949"},    {"euc-kr", "CP949"},
    {"shift_jis", "CP932"},         {"x-sjis", "CP932"},
    {"gb2312", "GB18030"},          {"gbk", "GB18030"},
    {"iso-8859-8-i", "ISO-8859-8"}, {"iso-8859-8-e", "ISO-8859-8"},
    {"unicode-1-1-utf-7", "UTF-7"}, {"x-mac-roman", "MACINTOSH"},
    {"x-gbk", "GB18030"},           {"cp-850", "CP850"},
};

static bool is_utf8_name(struct bytes name)
{
    static const char *const names[] = {"", "utf-8", "utf8", "us-ascii", "ascii", "ansi_x3.4-1968"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (bytes_equal_nocase(name, bytes_of(names[i])))
            return true;
    return false;
}

static bool is_safe(struct bytes name)
{
    if (name.len == 0 || name.len > NAME_MAX_LEN)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] == 0 ||
            (!byte_is_alnum(name.ptr[i]) && strchr("-_.:+()", name.ptr[i]) == NULL))
            return false;
    return true;
}

static iconv_t open_iconv(struct bytes name)
{
    char text[NAME_MAX_LEN + 1];

    if (!is_safe(name))
        return (iconv_t)-1;
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
        if (bytes_equal_nocase(name, bytes_of(aliases[i].name)))
            return iconv_open("UTF-8", aliases[i].meant);
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    return iconv_open("UTF-8", text);
}

struct mime_charset *mime_charset_open(struct bytes name)
{
    struct mime_charset charset = {.iconv = (iconv_t)-1, .unit = 1};

    if (!is_utf8_name(name)) {
        charset.iconv = open_iconv(name);
        if (charset.iconv == (iconv_t)-1)
            return NULL;
        if (bytes_starts_nocase(name, BYTES("utf-16")) || bytes_starts_nocase(name, BYTES("ucs-2")))
            charset.unit = 2;
        if (bytes_starts_nocase(name, BYTES("utf-32")) || bytes_starts_nocase(name, BYTES("ucs-4")))
            charset.unit = 4;
    }
    struct mime_charset *copy = malloc(sizeof(*copy));

    check(copy != NULL);
    *copy = charset;
    return copy;
}

void mime_charset_close(struct mime_charset **charset)
{
    if (*charset != NULL && (*charset)->iconv != (iconv_t)-1)
        iconv_close((*charset)->iconv);
    free(*charset);
    *charset = NULL;
}

bool mime_charset_is_utf8(const struct mime_charset *charset)
{
    return charset->iconv == (iconv_t)-1;
}

bool mime_charset_is_known(struct bytes name)
{
    struct mime_charset *charset = name.len == 0 ? NULL : mime_charset_open(name);
    bool is_known = charset != NULL;

    mime_charset_close(&charset);
    return is_known;
}

/* --- UTF-8 ------------------------------------------------------------------------------------ */

/* How many bytes at the front are UTF-8 without NUL. */
static size_t valid_len(struct bytes text)
{
    const char *end = NULL;

    if (text.len == 0)
        return 0;
    g_utf8_validate_len((const char *)text.ptr, text.len, &end);
    return (size_t)(end - (const char *)text.ptr);
}

/* A character that may go on behind the end of `text`. */
static bool is_incomplete(struct bytes text)
{
    uint8_t c = text.ptr[0];
    size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

    if (c < 0xc2 || c > 0xf4 || text.len >= len)
        return false;
    for (size_t i = 1; i < text.len; i++)
        if ((text.ptr[i] & 0xc0) != 0x80)
            return false;
    return true;
}

/* A byte that is no UTF-8: as ISO 8859-1 has it, which unlabelled text often is. */
static bool put_stray(uint8_t c, struct buf *out)
{
    uint8_t two[2] = {(uint8_t)(0xc0 | c >> 6), (uint8_t)(0x80 | (c & 0x3f))};

    if (c == 0)
        return buf_append_byte(out, ' ');
    if (c < 0xa0)
        return buf_append(out, BYTES(REPLACEMENT));
    return buf_append(out, bytes_range(two, sizeof(two)));
}

/* Appends what is whole; *rest_out is what may go on. */
static bool put_utf8(struct bytes text, bool is_last, struct buf *out, struct bytes *rest_out)
{
    while (text.len > 0) {
        size_t len = valid_len(text);

        if (!buf_append(out, bytes_slice(text, 0, len)))
            return false;
        text = bytes_slice(text, len, text.len);
        if (text.len == 0 || (!is_last && is_incomplete(text)))
            break;
        if (!put_stray(text.ptr[0], out))
            return false;
        text = bytes_slice(text, 1, text.len);
    }
    *rest_out = text;
    return true;
}

/* --- other charsets --------------------------------------------------------------------------- */

/* iconv gives U+0000 as NUL, which ends what GLib takes. */
static void blank_nuls(struct buf *out, size_t from)
{
    for (size_t i = out->start + from; i < out->end; i++)
        if (out->ptr[i] == 0)
            out->ptr[i] = ' ';
}

static bool put_iconv(struct mime_charset *charset, struct bytes text, struct buf *out,
                      struct bytes *rest_out)
{
    char *in = (char *)(uintptr_t)text.ptr;
    size_t in_len = text.len;

    while (in_len > 0) {
        char piece[STAGE_SIZE];
        char *at = piece;
        size_t room = sizeof(piece), before = buf_len(out);
        size_t done = iconv(charset->iconv, &in, &in_len, &at, &room);
        int error = done == (size_t)-1 ? errno : 0;

        if (!buf_append(out, bytes_range(piece, (size_t)(at - piece))))
            return false;
        blank_nuls(out, before);
        if (error == EINVAL)
            break;
        if (error != EILSEQ)
            continue;
        if (!buf_append(out, BYTES(REPLACEMENT)))
            return false;
        size_t skipped = MIN(charset->unit, in_len);

        in += skipped;
        in_len -= skipped;
    }
    *rest_out = bytes_range(in, in_len);
    return true;
}

bool mime_charset_feed(struct mime_charset *charset, struct bytes text, bool is_last,
                       struct buf *out)
{
    uint8_t stage[STAGE_SIZE];
    bool is_utf8 = charset->iconv == (iconv_t)-1;

    do {
        size_t taken = MIN(text.len, sizeof(stage) - charset->pending_len);
        size_t len = charset->pending_len + taken;
        bool is_end = is_last && taken == text.len;
        struct bytes rest = BYTES_NONE;

        memcpy(stage, charset->pending, charset->pending_len);
        if (taken > 0)
            memcpy(stage + charset->pending_len, text.ptr, taken);
        text = bytes_slice(text, taken, text.len);
        charset->pending_len = 0;
        if (is_utf8 ? !put_utf8(bytes_range(stage, len), is_end, out, &rest)
                    : !put_iconv(charset, bytes_range(stage, len), out, &rest))
            return false;
        if (rest.len > PENDING_MAX || (is_end && rest.len > 0)) {
            if (!buf_append(out, BYTES(REPLACEMENT)))
                return false;
            continue;
        }
        charset->pending_len = rest.len;
        if (rest.len > 0)
            memcpy(charset->pending, rest.ptr, rest.len);
    } while (text.len > 0);
    if (is_last && !is_utf8)
        iconv(charset->iconv, NULL, NULL, NULL, NULL); /* as it was opened */
    return true;
}

/* --- folding ---------------------------------------------------------------------------------- */

static bool fold_ascii(struct bytes text, struct buf *out)
{
    uint8_t *place = buf_reserve(out, text.len);

    if (place == NULL)
        return false;
    for (size_t i = 0; i < text.len; i++)
        place[i] = byte_lower(text.ptr[i]);
    buf_extend(out, text.len);
    return true;
}

/* What GLib makes of each character below FOLD_KNOWN, once for all: it takes 50 ns a byte. Where
 * none combines with the one before, a text is folded as its characters are. */
static struct {
    pthread_once_t once;
    uint8_t text[FOLD_TEXT_MAX];
    uint32_t start[FOLD_KNOWN + 1]; /* equal to the next: it combines, or is no character */
} known = {.once = PTHREAD_ONCE_INIT};

static char *fold_by_glib(struct bytes text)
{
    char *plain = g_utf8_normalize((const char *)text.ptr, (gssize)text.len, G_NORMALIZE_ALL);
    char *folded = plain == NULL ? NULL : g_utf8_casefold(plain, -1);

    g_free(plain);
    return folded;
}

static void make_known(void)
{
    uint32_t len = 0;

    for (gunichar c = 0; c < FOLD_KNOWN; c++) {
        char utf8[6];
        int utf8_len = g_unichar_to_utf8(c, utf8);

        known.start[c] = len;
        char *folded = c < 0x80 ? NULL : fold_by_glib(bytes_range(utf8, (size_t)utf8_len));

        if (folded != NULL && g_unichar_combining_class(g_utf8_get_char(folded)) == 0) {
            size_t folded_len = strlen(folded);

            check(len + folded_len <= FOLD_TEXT_MAX);
            memcpy(known.text + len, folded, folded_len);
            len += (uint32_t)folded_len;
        }
        g_free(folded);
    }
    known.start[FOLD_KNOWN] = len;
}

/* The character at the front, of two or three bytes; its length. 0: another. */
static size_t short_character(struct bytes text, uint32_t *out)
{
    const uint8_t *c = text.ptr;

    if (text.len >= 2 && c[0] >= 0xc2 && c[0] < 0xe0) {
        *out = (uint32_t)(c[0] & 0x1f) << 6 | (c[1] & 0x3f);
        return 2;
    }
    if (text.len < 3 || (c[0] & 0xf0) != 0xe0)
        return 0;
    *out = (uint32_t)(c[0] & 0x0f) << 12 | (uint32_t)(c[1] & 0x3f) << 6 | (c[2] & 0x3f);
    return 3;
}

/* False: one of its characters is not known, and nothing was appended; or `out` is full. */
static bool fold_known(struct bytes text, struct buf *out)
{
    uint8_t room[FOLD_PIECE * FOLD_GROWTH];
    size_t len = 0;

    pthread_once(&known.once, make_known);
    while (text.len > 0) {
        uint32_t c;
        size_t taken = 1;

        if (text.ptr[0] < 0x80) {
            room[len++] = byte_lower(text.ptr[0]);
        } else {
            taken = short_character(text, &c);
            if (taken == 0 || c >= FOLD_KNOWN || known.start[c] == known.start[c + 1])
                return false;
            size_t folded_len = known.start[c + 1] - known.start[c];

            memcpy(room + len, known.text + known.start[c], folded_len);
            len += folded_len;
        }
        text = bytes_slice(text, taken, text.len);
    }
    return buf_append(out, bytes_range(room, len));
}

static bool fold_piece(struct bytes text, struct buf *out)
{
    if (!bytes_has_8bit(text))
        return fold_ascii(text, out);
    if (fold_known(text, out))
        return true;
    char *folded = fold_by_glib(text);

    if (folded == NULL) /* no UTF-8: not of a charset of ours */
        return fold_ascii(text, out);
    bool fits = buf_append(out, bytes_of(folded));

    g_free(folded);
    return fits;
}

bool mime_charset_fold(struct bytes text, struct buf *out)
{
    while (text.len > 0) {
        size_t len = MIN(text.len, FOLD_PIECE);

        /* Not inside a character. */
        while (len < text.len && len > FOLD_PIECE - 4 && (text.ptr[len] & 0xc0) == 0x80)
            len--;
        if (!fold_piece(bytes_slice(text, 0, len), out))
            return false;
        text = bytes_slice(text, len, text.len);
    }
    return true;
}
