/*
 * sts_private.h - what an engine asks of a thread of the pool. Private to this folder.
 *
 * A request is made by a lookup and freed on the lookup's engine once its letter was opened, or
 * with the store. Where the lookup is gone by then, only the store has learned something.
 */
#pragma once

#include "base/list.h"
#include "delivery/mta_sts/sts_fetch.h"
#include "io/blocking.h"

struct sts_lookup;

struct sts_request {
    struct chore chore; /* its engine: NULL; the store posts the letter itself */
    struct letter letter;
    struct list_node node; /* among the store's, under its lock */
    struct sts_store *store;
    struct engine *engine;
    struct sts_lookup *lookup; /* the engine's thread: NULL once nobody waits */
    struct sts_fetch fetch;
    char *authorities; /* fetch's */
    char id[MTA_STS_ID_MAX + 1];
    char domain[254];
    struct sts_policy *policy; /* fetched; one reference */
};

/* Fetches, stores, posts `letter`. False: there is no room, or the program ends; the request is the
 * caller's still. */
must_use bool sts_store_run(struct sts_store *store, struct sts_request *request);
/* The letter was opened. */
void sts_request_free(struct sts_request **request);
