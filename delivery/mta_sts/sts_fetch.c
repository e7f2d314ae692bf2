/* sts_fetch.c - one transfer by libcurl. */
#include "delivery/mta_sts/sts_fetch.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"

enum { CONNECT_MS = 10000, RESOLVE_MAX = 1024, URL_MAX_LEN = 320 };

static const char policy_type[] = "text/plain";

static void library_open(void)
{
    check(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct sts_fetch *fetch = context;
    size_t len = size * count;

    if (len > sizeof(fetch->text) - fetch->text_len)
        return 0; /* the transfer fails */
    memcpy(fetch->text + fetch->text_len, bytes, len);
    fetch->text_len += len;
    return len;
}

static int on_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    const struct sts_fetch *fetch = context;

    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    return atomic_load(fetch->is_stopping) ? 1 : 0;
}

/* "mta-sts.bank.example:443:192.0.2.1,[2001:db8::1]": curl asks no DNS. */
static void write_resolve(const struct sts_fetch *fetch, char out[static RESOLVE_MAX])
{
    size_t len = (size_t)snprintf(out, RESOLVE_MAX, "mta-sts.%.*s:%u:", BYTES_ARG(fetch->domain),
                                  address_port(&fetch->addresses[0]));

    for (size_t i = 0; i < fetch->address_count; i++) {
        bool is_v6 = fetch->addresses[i].any.sa_family == AF_INET6;
        char text[ADDRESS_TEXT_MAX];

        address_format(&fetch->addresses[i], text);
        len += (size_t)snprintf(out + len, RESOLVE_MAX - len, "%s%s%s%s", i > 0 ? "," : "",
                                is_v6 ? "[" : "", text, is_v6 ? "]" : "");
        check(len < RESOLVE_MAX);
    }
}

static bool set_options(CURL *curl, struct sts_fetch *fetch, struct curl_slist *resolve)
{
    char url[URL_MAX_LEN];

    int len = snprintf(url, sizeof(url), "https://mta-sts.%.*s/.well-known/mta-sts.txt",
                       BYTES_ARG(fetch->domain));
    check(len > 0 && (size_t)len < sizeof(url));
    return curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_RESOLVE, resolve) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROXY, "") ==
               CURLE_OK && /* whatever the environment says */
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)STS_FETCH_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_MAXFILESIZE, (long)MTA_STS_TEXT_MAX) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           (fetch->authorities == NULL ||
            (curl_easy_setopt(curl, CURLOPT_CAINFO, fetch->authorities) == CURLE_OK &&
             curl_easy_setopt(curl, CURLOPT_CAPATH, NULL) == CURLE_OK)) &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "ringpost/" RINGPOST_VERSION) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, fetch) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFODATA, fetch) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK;
}

static void say(struct sts_fetch *fetch, enum sts_problem problem, const char *why)
{
    fetch->problem = problem;
    snprintf(fetch->why, sizeof(fetch->why), "%s", why);
}

static enum sts_problem problem_of(CURLcode code)
{
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return STS_WEBPKI_INVALID;
    default:
        return STS_FETCH_FAILED;
    }
}

/* A type with parameters behind it, in any case. */
static bool is_text(const char *type)
{
    size_t len = sizeof(policy_type) - 1;

    return type != NULL && strncasecmp(type, policy_type, len) == 0 &&
           (type[len] == '\0' || type[len] == ';' || type[len] == ' ');
}

static void judge(CURL *curl, struct sts_fetch *fetch)
{
    struct mta_sts_policy policy;
    char text[64];
    const char *type = NULL;
    const char *why = NULL;
    long status = 0;

    if (curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK ||
        curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type) != CURLE_OK)
        status = 0;
    if (status != 200) { /* redirects too: RFC 8461 section 3.3 */
        snprintf(text, sizeof(text), "the policy host answered %ld", status);
        say(fetch, STS_FETCH_FAILED, text);
    } else if (!is_text(type)) {
        say(fetch, STS_POLICY_INVALID, "the policy is not text/plain");
    } else if (!mta_sts_policy_parse(bytes_range(fetch->text, fetch->text_len), &policy, &why)) {
        say(fetch, STS_POLICY_INVALID, why);
    }
}

void sts_fetch_run(struct sts_fetch *fetch)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char resolve_text[RESOLVE_MAX];
    char error[CURL_ERROR_SIZE] = "";

    check(fetch->address_count > 0 && fetch->address_count <= STS_ADDRESSES_MAX);
    pthread_once(&once, library_open);
    fetch->problem = STS_FINE;
    fetch->text_len = 0;
    write_resolve(fetch, resolve_text);
    struct curl_slist *resolve = curl_slist_append(NULL, resolve_text);
    CURL *curl = curl_easy_init();

    if (curl == NULL || resolve == NULL || !set_options(curl, fetch, resolve) ||
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error) != CURLE_OK) {
        say(fetch, STS_FETCH_FAILED, "no memory for the request, or no such authorities");
    } else {
        CURLcode code = curl_easy_perform(curl);

        if (code == CURLE_OK)
            judge(curl, fetch);
        else
            say(fetch, problem_of(code), error[0] != '\0' ? error : curl_easy_strerror(code));
    }
    curl_easy_cleanup(curl);
    curl_slist_free_all(resolve);
}
