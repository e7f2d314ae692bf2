/*
 * http_pool.h - requests of many at once, by one multi handle of libcurl on one thread.
 *
 * So many may be under way, and so many of them may look for an address, each of which is a thread
 * of libcurl's for a moment: who is beyond that waits for a place, in order. Half of the places,
 * and of those that look, are for those whose last request was answered soon, so that whoever
 * hangs keeps nobody waiting but such as hang themselves. Those come last, but an eighth of the
 * places is for them when they wait: else they would never answer soon again.
 *
 * Private to relay/webhook. Thread: one, except http_pool_wake().
 */
#pragma once

#include <curl/curl.h>

#include "base/list.h"

struct http_pool;

enum http_place { HTTP_NO_PLACE, HTTP_WAITS, HTTP_CALLED, HTTP_UNDER_WAY };

/* One request at a time. */
struct http_transfer {
    struct list_node node;
    enum http_place place;
    bool is_slow;      /* its last one was, or failed: of the other half */
    bool counts_slow;  /* the one that has a place now */
    bool is_resolving; /* no address was looked at yet */
    CURL *easy;        /* while under way */
    /* There is a place: http_pool_has_place() says so once it is asked, and not for long. */
    void (*called)(struct http_transfer *transfer);
    void (*ended)(struct http_transfer *transfer, CURLcode code);
};

struct http_pool *http_pool_open(void);
void http_pool_close(struct http_pool **pool); /* nothing may be under way */
void http_transfer_init(struct http_transfer *transfer);
/* True: http_pool_begin() follows at once. False: it waits, and is called. */
must_use bool http_pool_has_place(struct http_pool *pool, struct http_transfer *transfer);
void http_pool_begin(struct http_pool *pool, struct http_transfer *transfer, CURL *easy);
/* It looks for no address any more. */
void http_pool_resolved(struct http_pool *pool, struct http_transfer *transfer);
/* Breaks off what is under way, or waits; the easy handle is the caller's again. */
void http_pool_leave(struct http_pool *pool, struct http_transfer *transfer);
/* Does what there is to do, or waits for it, at most wait_ms, until woken; ended() is called for
 * what has ended. */
void http_pool_work(struct http_pool *pool, int64_t wait_ms);
void http_pool_wake(struct http_pool *pool); /* any thread */
