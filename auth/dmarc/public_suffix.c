/* public_suffix.c - libpsl, with slices. */
#include "auth/dmarc/public_suffix.h"

#include <libpsl.h>
#include <pthread.h>
#include <string.h>

#include "base/utf8.h"

enum { NAME_MAX_LEN = 1023 }; /* octets of UTF-8; a name of DNS has 253 */

static psl_ctx_t *list; /* NULL: there is none on this machine */

static void load(void)
{
    list = psl_latest(NULL);
}

/* The last labels of `domain`, as many as `like` has. */
static struct bytes last_labels(struct bytes domain, const char *like)
{
    size_t at = domain.len;

    for (const char *dot = strrchr(like, '.'); at > 0; at--) {
        if (domain.ptr[at - 1] != '.')
            continue;
        if (dot == NULL)
            break;
        dot = memrchr(like, '.', (size_t)(dot - like));
    }
    return bytes_slice(domain, at, domain.len);
}

static bool is_text(struct bytes domain)
{
    for (size_t at = 0, len; at < domain.len; at += len) {
        len = domain.ptr[at] < 128 ? 1 : utf8_character(bytes_slice(domain, at, domain.len));
        if (len == 0 || domain.ptr[at] == '\0')
            return false;
    }
    return true;
}

bool public_suffix_registrable(struct bytes domain, struct bytes *out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char text[NAME_MAX_LEN + 1];
    char *normal = NULL;

    pthread_once(&once, load);
    if (list == NULL || domain.len == 0 || domain.len > NAME_MAX_LEN || domain.ptr[0] == '.' ||
        !is_text(domain))
        return false;
    memcpy(text, domain.ptr, domain.len);
    text[domain.len] = '\0';
    if (psl_str_to_utf8lower(text, "utf-8", NULL, &normal) != PSL_SUCCESS)
        return false;
    const char *found = psl_registrable_domain(list, normal);

    if (found != NULL)
        *out = last_labels(domain, found);
    psl_free_string(normal);
    return found != NULL;
}
