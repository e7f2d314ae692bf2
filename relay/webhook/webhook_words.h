/*
 * webhook_words.h - our kinds and classes in the words of other services, and their records.
 *
 * Private to relay/webhook. Pure functions; any thread.
 */
#pragma once

#include <jansson.h>

#include "base/bytes.h"

struct webhook_words {
    const char *kind;
    const char *sendgrid, *kumomta; /* NULL: it has no such thing */
};
/* NULL: nobody has a word for it. */
const struct webhook_words *webhook_words(struct bytes kind);

struct webhook_class {
    const char *class;    /* ours */
    const char *sendgrid; /* bounce_classification */
    bool is_blocked;      /* SendGrid's type is blocked, and not bounce */
    const char *kumomta;  /* bounce_classification */
};
/* Never NULL. */
const struct webhook_class *webhook_class(const char *class);

/* A new reference each. */
json_t *webhook_sendgrid(const struct webhook_words *words, const json_t *event);
json_t *webhook_kumomta(const struct webhook_words *words, const json_t *event);

/* What stands at "a.b", or NULL. */
json_t *webhook_at(const json_t *event, const char *object, const char *key);
/* Seconds since 1970 of an RFC 3339 time, 0 for null. */
json_int_t webhook_seconds(const json_t *time);
/* NULL and null: null; a new reference. */
json_t *webhook_or_null(json_t *value);
