/*
 * families.h - the labelled families of the process, and what is counted in each.
 *
 * Like metric.h these are one set for the whole process; family.h says how they are counted and
 * told. Thread: any.
 */
#pragma once

#include "base/family.h"

/* What becomes of recipients. */
enum recipient_value {
    RECIPIENTS_DELIVERED,
    RECIPIENTS_DEFERRED,
    RECIPIENTS_BOUNCED,
    RECIPIENTS_EXPIRED,
    RECIPIENTS_OF_CLASSES, /* so many; sites have more */
    RECIPIENTS_WAITING = RECIPIENTS_OF_CLASSES,
    RECIPIENTS_OF_SITES, /* so many; the rest only tenants have */
    RECIPIENTS_CANCELLED = RECIPIENTS_OF_SITES,
    RECIPIENTS_ACCEPTED,
    RECIPIENTS_RECOVERED, /* unfinished when the program started, or its tenant got a name */
    RECIPIENTS_NAMED,     /* unfinished, and counted in "other", when their tenant got a name */
    RECIPIENTS_OF_RECEIVED,
    RECIPIENTS_THROTTLED = RECIPIENTS_OF_RECEIVED, /* wait for their tenant's rates */
};
extern struct family family_sites;   /* a provider, else an MX set; empty: none was known */
extern struct family family_classes; /* of replies and failures */
/* Empty: mail without one. Of tenants the spool counts what is durable, each change whole, so that
 * accepted + recovered = delivered + bounced + expired + cancelled + named + waiting, always. */
extern struct family family_tenants;

/* The part of it that no tenant submitted: what came from the world for its domains, and was made
 * of that. The same sum holds. */
extern struct family family_received;

enum source_value { SOURCE_OPENED, SOURCE_OPEN };
extern struct family family_sources;

void families_tell(struct exposition *exposition, int64_t now_ms);
