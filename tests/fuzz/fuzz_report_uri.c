/* modules: reporting base */
/*
 * fuzz_report_uri.c - where a stranger's DNS wants reports: the first byte says as what the rest is
 * read, a list of rua= or a record of TLSRPT.
 */
#include <stdint.h>
#include <string.h>

#include "reporting/report_uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

/* What stands in a header field and an envelope: one address, and no line end. */
static void check_mailto(const struct report_uri *uri)
{
    struct bytes domain = report_uri_domain(uri);

    check(domain.len > 0 && domain.len + 1 < uri->len);
    check(bytes_find(domain, '@', 0) == domain.len);
    for (size_t i = 0; i < uri->len; i++)
        check(uri->text[i] > ' ' && uri->text[i] < 127 &&
              strchr("<>\"\\,;:()", uri->text[i]) == NULL);
}

static void read_list(struct bytes list, bool may_post)
{
    struct report_uris uris;

    report_uris_read(list, may_post, &uris);
    check(uris.count <= REPORT_URIS_MAX);
    for (size_t i = 0; i < uris.count; i++) {
        check(uris.uris[i].len == strlen(uris.uris[i].text));
        check(uris.uris[i].len < REPORT_URI_MAX);
        check(may_post || !uris.uris[i].is_post);
        if (uris.uris[i].is_post)
            check(strncasecmp(uris.uris[i].text, "https://", 8) == 0);
        else
            check_mailto(&uris.uris[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes rua;

    if (len == 0)
        return 0;
    struct bytes rest = bytes_range(input + 1, len - 1);

    if (input[0] != 'r') {
        read_list(rest, input[0] == 'p');
    } else if (report_tls_record(rest, &rua)) {
        check(rua.len > 0 && rua.ptr >= rest.ptr && rua.ptr + rua.len <= rest.ptr + rest.len);
        read_list(rua, true);
    }
    return 0;
}
