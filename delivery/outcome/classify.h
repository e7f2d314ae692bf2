/*
 * classify.h - what kind of answer a reply is, for events, statistics and suppression.
 *
 * The enhanced code says it best (RFC 3463, IANA registry); where it is missing or means only
 * "other", words of the text decide; else the code. Pure.
 */
#pragma once

#include "smtp/reply.h"

struct classification {
    const char *class; /* "invalid-recipient" */
    const char *rule;  /* "enhanced-5.1.1", "text-spam", "reply-5xx" : the row that matched */
};

/* The peer takes recipients of fewer domains in one transaction. */
#define CLASS_TOO_MANY_DOMAINS "too-many-domains"

struct classification classify_reply(unsigned code, struct smtp_enhanced enhanced,
                                     struct bytes text);
