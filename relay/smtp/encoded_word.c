/* encoded_word.c - the encoder. */
#include "smtp/encoded_word.h"

#include "base/base64.h"
#include "base/utf8.h"

enum { WORD_BYTES_MAX = 39 /* 52 characters of base64, and 12 around them */ };

/* As many whole characters as one word holds. */
static struct bytes take_word(struct bytes *text)
{
    size_t len = 0;

    while (len < text->len) {
        size_t character = utf8_character(bytes_slice(*text, len, text->len));

        character = MAX(character, (size_t)1);
        if (len + character > WORD_BYTES_MAX)
            break;
        len += character;
    }
    struct bytes word = bytes_slice(*text, 0, len);

    *text = bytes_slice(*text, len, text->len);
    return word;
}

bool encoded_words_write(struct bytes text, struct buf *out)
{
    bool ok = true;

    for (bool is_first = true; ok && text.len > 0; is_first = false)
        ok = buf_append(out, is_first ? BYTES("=?utf-8?B?") : BYTES("\r\n =?utf-8?B?")) &&
             base64_write(take_word(&text), out) && buf_append(out, BYTES("?="));
    return ok;
}
