/*
 * verdict.h - what a service answers to a step of a conversation: go on, or a refusal with its
 * reply (RFC 5321 section 4.2, RFC 3463).
 *
 * code 0: go on, the asker gives its own positive reply. `text` is one line of printable ASCII,
 * without what a client sent. All strings must live until the call that hands the verdict over has
 * returned; who keeps one longer (smtpd/policy.h, content_begin) says so.
 */
#pragma once

#include <stdbool.h>

struct verdict {
    unsigned code;
    const char *enhanced; /* "5.7.1" */
    const char *text;
    const char *rule; /* which rule decided: for the log and the rejected event */
    bool close;       /* say it and close: with 421, and where going on would be unsafe */
};
#define VERDICT_OK ((struct verdict){0})

/* A refusal; 421 closes (RFC 5321 section 3.8). */
static inline struct verdict verdict_refuse(unsigned code, const char *enhanced, const char *text,
                                            const char *rule)
{
    return (struct verdict){code, enhanced, text, rule, code == 421};
}
