/* prepare.c - SASLprep by libidn; what is plain ASCII is not worth the trip. */
#include "auth/sasl/prepare.h"

#include <string.h>

#include <stringprep.h>

#include "base/utf8.h"

static bool is_utf8(struct bytes text)
{
    size_t len;

    for (size_t at = 0; at < text.len; at += len) {
        len = text.ptr[at] < 128 ? 1 : utf8_character(bytes_slice(text, at, text.len));
        if (len == 0)
            return false;
    }
    return true;
}

static bool has_control(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 32 || text.ptr[i] == 127)
            return true;
    return false;
}

bool sasl_prepare(struct bytes text, uint8_t *out, size_t out_size, size_t *len_out)
{
    if (text.len == 0 || text.len >= out_size || has_control(text) || !is_utf8(text))
        return false;
    memcpy(out, text.ptr, text.len);
    if (!bytes_has_8bit(text)) {
        *len_out = text.len;
        return true;
    }
    out[text.len] = '\0';
    if (stringprep((char *)out, out_size, 0, stringprep_saslprep) != STRINGPREP_OK)
        return false;
    size_t len = strlen((const char *)out);
    if (len == 0)
        return false;
    *len_out = len;
    return true;
}
