/*
 * webhook.h - the sink that tells a URL: batches of events by POST, signed, in order.
 *
 * One batch is under way at a time, and it is told again, the same bytes, until it is answered by
 * 2xx: so the order holds, and whoever keeps the last ids sees each event once. What it does about
 * failures: pauses that double, up to a quarter of an hour, or what Retry-After asks for. When an
 * endpoint has failed for `retry_for_s`, what is older than that is given up and told as a gap.
 *
 * Thread: see sink.h; settings are constants.
 */
#pragma once

#include "io/address.h"
#include "sink/sink.h"
#include "webhook/webhook_format.h"

enum { WEBHOOK_WHY_MAX = 300, WEBHOOK_EVENTS_MAX = 1000 };

/* Of the bytes of a batch: room for any event, and not too much memory. */
#define WEBHOOK_BYTES_MIN (128u * 1024)
#define WEBHOOK_BYTES_MAX (4u * 1024 * 1024)

struct webhook_settings {
    const char *name;      /* as the sink's; its key is called so */
    const char *state_dir; /* where the key is */
    const char *url;
    unsigned format;    /* enum webhook_format */
    const char *tenant; /* whose events; NULL: all */
    size_t kind_count;  /* 0: all kinds */
    const char *const *kinds;
    size_t tag_count; /* 0: with or without; else one of these */
    const char *const *tags;
    unsigned batch_events; /* a batch is told when it has so many, */
    uint64_t batch_bytes;  /* so many, */
    unsigned batch_ms;     /* or its first event is so old */
    unsigned timeout_s;    /* of a request */
    unsigned retry_for_s;
    const char *ca_file;         /* NULL: the system's */
    const char *user, *password; /* basic authentication; NULL: none */
    struct {
        const char *token_url; /* NULL: none */
        const char *client_id, *client_secret;
        const char *scope; /* NULL: none is asked for */
    } oauth;
    size_t allow_count; /* networks that are not public and may be connected to */
    const struct network *allow;
};

extern const struct sink_kind webhook_kind;

/* All of them together, with the files they name; connects to nobody. Else a sentence. */
must_use bool webhook_settings_are_good(const struct webhook_settings *settings,
                                        char why[static WEBHOOK_WHY_MAX]);
