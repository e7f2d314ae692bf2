/*
 * http_client.h - one POST at a time by libcurl's multi interface, to where one may connect.
 *
 * Names are resolved by libcurl, and each address is looked at when a socket for it is made, and
 * when a request goes out on a connection that is there already: of a redirect as of the first
 * request. What is not public is refused unless allowed, and what is not
 * encrypted goes to what is allowed alone. Certificates are verified. Of an answer a part is kept;
 * an endless one is cut off.
 *
 * Private to relay/webhook. Thread: that of its pool.
 */
#pragma once

#include "base/bytes.h"
#include "io/address.h"

enum { HTTP_URL_MAX = 2048, HTTP_BODY_MAX = 16384, HTTP_TEXT_MAX = 200 };

struct http_rules {
    const char *ca_file; /* NULL: the system's */
    unsigned timeout_s;  /* of a request as a whole */
    size_t allow_count;  /* networks that are not public and may be connected to */
    const struct network *allow;
};

struct http_request {
    const char *url;
    const char *content_type;
    const char *const *headers;  /* "Name: value"; ends with NULL; or NULL */
    struct bytes body;           /* lives until the answer */
    const char *user, *password; /* basic authentication; user NULL: none */
    const char *bearer;          /* a token instead; NULL: none */
};

enum http_end {
    HTTP_ANSWERED,  /* with `status` */
    HTTP_REFUSED,   /* by us: the address */
    HTTP_TLS,       /* no handshake, or no certificate that holds */
    HTTP_TIMED_OUT, /* connected, and no answer in time */
    HTTP_FAILED,    /* not connected, or the connection broke */
};

struct http_answer {
    enum http_end end;
    bool is_sent; /* all of the request: whoever it was for may have taken it */
    unsigned status;
    int64_t retry_after_s;    /* 0: not said */
    struct bytes body;        /* the beginning; dead after the call */
    char text[HTTP_TEXT_MAX]; /* what happened, without secrets; "" when answered */
};

struct http_pool;
struct http_client;

/* May it stand as a URL: http or https, with a host, without user and password. Else a sentence. */
must_use bool http_url_is_good(const char *url, char why[static HTTP_TEXT_MAX]);
bool http_url_is_encrypted(const char *url);

/* May be connected to: public and encrypted, or allowed. */
bool http_address_is_good(const struct http_rules *rules, bool is_encrypted,
                          const struct address *address);

/* What a client tells its owner. */
struct http_client_calls {
    void (*called)(void *context); /* http_client_may_post() may be asked again */
    void (*answered)(void *context, const struct http_answer *answer); /* of the request */
};

/* The rules' memory, and the calls, live as long. */
struct http_client *http_client_open(struct http_pool *pool, const struct http_rules *rules,
                                     const struct http_client_calls *calls, void *context);
void http_client_close(struct http_client **client);
/* False: too many requests of others are under way; it is called when one has ended. */
must_use bool http_client_may_post(struct http_client *client);
/* It does not want to post after all. */
void http_client_rest(struct http_client *client);
/* After http_client_may_post(). */
void http_client_post(struct http_client *client, const struct http_request *request);

/* One alone, until it is answered or *stop is true: then false. The answer has no body. */
must_use bool http_post_alone(const struct http_rules *rules, const struct http_request *request,
                              const _Atomic bool *stop, struct http_answer *answer_out);
