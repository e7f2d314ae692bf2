/* http_client.c - requests by libcurl, which does not choose where it may connect to. */
#include "webhook/http_client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "io/address_scope.h"
#include "webhook/http_pool.h"

enum {
    CONNECT_MS = 10000,
    REDIRECTS_MAX = 3,
    CONNECTION_LIFE_S = 300, /* so that a change in DNS is noticed */
    ANSWER_MAX = 256 * 1024, /* what is read of an answer at all */
    HEADERS_MAX = 64 * 1024,
    SLOW_MS = 5000, /* of a request, from when on it keeps to the places of the slow */
};

struct http_client {
    struct http_transfer transfer;
    struct http_pool *pool;
    struct http_rules rules;
    const struct http_client_calls *calls;
    void *context;
    /* of the request */
    CURL *easy;
    struct curl_slist *headers;
    int64_t began_ms; /* monotonic */
    size_t body_len;
    bool is_encrypted;
    bool is_refused, is_connected;
    char refused[ADDRESS_TEXT_MAX];
    bool is_cut; /* the answer was longer than is read */
    size_t answer_bytes, header_bytes;
    struct buf body;
    char error[CURL_ERROR_SIZE];
};

_Static_assert(offsetof(struct http_client, transfer) == 0, "a transfer is its client");

/* --- URLs ------------------------------------------------------------------------------------- */

bool http_url_is_encrypted(const char *url)
{
    return bytes_starts_nocase(bytes_of(url), BYTES("https:"));
}

static bool has_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;

    if (curl_url_get(url, part, &text, 0) != CURLUE_OK)
        return false;
    curl_free(text);
    return true;
}

bool http_url_is_good(const char *url, char why[static HTTP_TEXT_MAX])
{
    struct bytes text = bytes_of(url);

    if (text.len > HTTP_URL_MAX ||
        (!http_url_is_encrypted(url) && !bytes_starts_nocase(text, BYTES("http://")))) {
        snprintf(why, HTTP_TEXT_MAX, "expected https://HOST/PATH of up to %d bytes", HTTP_URL_MAX);
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] > ' ' && text.ptr[i] < 0x7f)
            continue;
        snprintf(why, HTTP_TEXT_MAX, "a URL has printable ASCII only");
        return false;
    }
    CURLU *parsed = curl_url();
    check(parsed != NULL);
    CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url, 0);
    bool has_user = code == CURLUE_OK &&
                    (has_part(parsed, CURLUPART_USER) || has_part(parsed, CURLUPART_PASSWORD));
    curl_url_cleanup(parsed);
    if (code != CURLUE_OK)
        snprintf(why, HTTP_TEXT_MAX, "no URL: %s", curl_url_strerror(code));
    else if (has_user)
        snprintf(why, HTTP_TEXT_MAX, "user and password have keys of their own");
    return code == CURLUE_OK && !has_user;
}

/* --- what libcurl asks ------------------------------------------------------------------------ */

bool http_address_is_good(const struct http_rules *rules, bool is_encrypted,
                          const struct address *address)
{
    return networks_contain(rules->allow, rules->allow_count, address) ||
           (is_encrypted && !address_is_forbidden(address, NULL, 0));
}

/* Notes what is refused. */
static bool may_connect(struct http_client *client, const struct address *address)
{
    http_pool_resolved(client->pool, &client->transfer);
    if (http_address_is_good(&client->rules, client->is_encrypted, address))
        return true;
    client->is_refused = true;
    (void)address_format(address, client->refused);
    return false;
}

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *peer)
{
    struct http_client *client = context;
    struct address address;

    if (purpose == CURLSOCKTYPE_IPCXN && address_from(&peer->addr, &address) &&
        may_connect(client, &address))
        return socket(peer->family, peer->socktype | SOCK_CLOEXEC, peer->protocol);
    client->is_refused = true;
    return CURL_SOCKET_BAD;
}

/* A connection may be one that another webhook made, which may go to where this one may not. */
static int before_request(void *context, char *primary_ip, char *local_ip, int primary_port,
                          int local_port)
{
    struct http_client *client = context;
    struct address address;

    (void)local_ip, (void)local_port;
    client->is_connected = true;
    if (address_parse(bytes_of(primary_ip), (uint16_t)primary_port, &address) &&
        may_connect(client, &address))
        return CURL_PREREQFUNC_OK;
    client->is_refused = true;
    return CURL_PREREQFUNC_ABORT;
}

static size_t take_body(char *text, size_t size, size_t count, void *context)
{
    struct http_client *client = context;
    size_t len = size * count;

    client->answer_bytes += len;
    if (client->answer_bytes > ANSWER_MAX) {
        client->is_cut = true;
        return CURL_WRITEFUNC_ERROR;
    }
    (void)!buf_append(&client->body,
                      bytes_slice(bytes_range(text, len), 0, buf_room(&client->body)));
    return len;
}

static size_t take_header(char *text, size_t size, size_t count, void *context)
{
    struct http_client *client = context;

    (void)text;
    client->header_bytes += size * count;
    return client->header_bytes > HEADERS_MAX ? 0 : size * count;
}

/* --- the client ------------------------------------------------------------------------------- */

static void forget_request(struct http_client *client)
{
    if (client->easy != NULL)
        curl_easy_cleanup(client->easy);
    client->easy = NULL;
    curl_slist_free_all(client->headers);
    client->headers = NULL;
    buf_free(&client->body);
}

static void on_called(struct http_transfer *transfer)
{
    struct http_client *client = (struct http_client *)(void *)transfer;

    client->calls->called(client->context);
}

static void on_ended(struct http_transfer *transfer, CURLcode code);

struct http_client *http_client_open(struct http_pool *pool, const struct http_rules *rules,
                                     const struct http_client_calls *calls, void *context)
{
    struct http_client *client = calloc(1, sizeof(*client));

    check(client != NULL);
    http_transfer_init(&client->transfer);
    client->transfer.called = on_called;
    client->transfer.ended = on_ended;
    client->pool = pool;
    client->rules = *rules;
    client->calls = calls;
    client->context = context;
    buf_init(&client->body, HTTP_BODY_MAX);
    return client;
}

void http_client_close(struct http_client **client)
{
    http_pool_leave((*client)->pool, &(*client)->transfer);
    forget_request(*client);
    free(*client);
    *client = NULL;
}

bool http_client_may_post(struct http_client *client)
{
    return http_pool_has_place(client->pool, &client->transfer);
}

void http_client_rest(struct http_client *client)
{
    http_pool_leave(client->pool, &client->transfer);
}

static void add_header(struct http_client *client, const char *line)
{
    struct curl_slist *longer = curl_slist_append(client->headers, line);

    check(longer != NULL);
    client->headers = longer;
}

static void set_headers(struct http_client *client, const struct http_request *request)
{
    char type[128];

    snprintf(type, sizeof(type), "Content-Type: %s", request->content_type);
    add_header(client, type);
    add_header(client, "Expect:"); /* no round trip before the body */
    for (const char *const *line = request->headers; line != NULL && *line != NULL; line++)
        add_header(client, *line);
}

static void set_authentication(CURL *easy, const struct http_request *request)
{
    if (request->bearer != NULL) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, request->bearer);
    } else if (request->user != NULL) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(easy, CURLOPT_USERNAME, request->user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, request->password);
    }
}

static void set_places(struct http_client *client)
{
    CURL *easy = client->easy;

    /* No proxy of the environment: it would connect where we must not. */
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, client);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, client);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, client->is_encrypted ? "https" : "http");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
    curl_easy_setopt(easy, CURLOPT_POSTREDIR, (long)CURL_REDIR_POST_ALL);
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR,
                     client->is_encrypted ? "https" : "http,https");
    curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, (long)CONNECTION_LIFE_S);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    if (client->rules.ca_file != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, client->rules.ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
}

void http_client_post(struct http_client *client, const struct http_request *request)
{
    CURL *easy = curl_easy_init();

    check(easy != NULL && client->easy == NULL);
    client->easy = easy;
    client->began_ms = clock_monotonic_ms();
    client->is_encrypted = http_url_is_encrypted(request->url);
    client->is_refused = client->is_connected = client->is_cut = false;
    client->answer_bytes = client->header_bytes = 0;
    client->error[0] = '\0';
    set_places(client);
    set_headers(client, request);
    set_authentication(easy, request);
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "ringpost/" RINGPOST_VERSION);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    client->body_len = request->body.len;
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.ptr);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, client->headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, client);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, client);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, client->error);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* Else libcurl waits for the thread that still looks up a name when the time is over. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     MIN(1000L * (long)client->rules.timeout_s, (long)CONNECT_MS));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 1000L * (long)client->rules.timeout_s);
    http_pool_begin(client->pool, &client->transfer, easy);
}

/* --- the answer ------------------------------------------------------------------------------- */

static enum http_end end_of(const struct http_client *client, CURLcode code)
{
    /* A default: the enumeration is libcurl's. */
    switch ((int)code) {
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return HTTP_TLS;
    case CURLE_OPERATION_TIMEDOUT:
        return client->is_connected ? HTTP_TIMED_OUT : HTTP_FAILED;
    default:
        return HTTP_FAILED;
    }
}

static void take_answer(struct http_client *client, CURLcode code, struct http_answer *answer)
{
    curl_off_t retry_after = 0, uploaded = 0;
    long status = 0;

    curl_easy_getinfo(client->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
    *answer = (struct http_answer){.body = buf_bytes(&client->body),
                                   .is_sent = uploaded >= (curl_off_t)client->body_len};
    curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &status);
    /* Who said 200 and then talks on and on has said it. */
    if (code == CURLE_OK || (client->is_cut && status != 0)) {
        curl_easy_getinfo(client->easy, CURLINFO_RETRY_AFTER, &retry_after);
        answer->status = (unsigned)status;
        answer->retry_after_s = retry_after;
        return;
    }
    answer->end = client->is_refused ? HTTP_REFUSED : end_of(client, code);
    if (client->is_refused)
        snprintf(answer->text, sizeof(answer->text), "its name leads to %s, which %s",
                 client->refused,
                 client->is_encrypted ? "is not public and not in allow"
                                      : "is not in allow, as plain HTTP asks for");
    else
        snprintf(answer->text, sizeof(answer->text), "%.*s", (int)sizeof(answer->text) - 1,
                 client->error[0] != '\0' ? client->error : curl_easy_strerror(code));
}

/* The owner may post again, or close it, when it is told. */
static void on_ended(struct http_transfer *transfer, CURLcode code)
{
    struct http_client *client = (struct http_client *)(void *)transfer;
    struct buf body = client->body;
    struct http_answer answer;

    take_answer(client, code, &answer);
    transfer->is_slow =
        answer.end != HTTP_ANSWERED || clock_monotonic_ms() - client->began_ms >= SLOW_MS;
    buf_init(&client->body, HTTP_BODY_MAX);
    forget_request(client);
    client->calls->answered(client->context, &answer);
    buf_free(&body);
}
