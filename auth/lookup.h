/*
 * lookup.h - what a check of received mail asks of DNS, and what it is told.
 *
 * The checks of auth (SPF, DKIM keys, DMARC, ARC) touch no socket and no clock. Each is a machine
 * with three calls: start, then run until it is done; where run returns CHECK_ASKS it has one
 * question, and goes on once its driver called answer. A driver owns DNS, the deadline and the sum
 * of questions a message may cause; several checks of a message can ask side by side, each for
 * itself. Tests answer from tables, which is how the suites of the RFCs run without a network.
 *
 * Thread: any one at a time a check. Memory: a question is valid until it is answered; an answer
 * and all it points to only during the call that gives it.
 */
#pragma once

#include "base/bytes.h"

enum check_step {
    CHECK_ASKS, /* a struct lookup is out; run again after it was answered */
    CHECK_DONE, /* the result is out */
};

enum lookup_type { LOOKUP_TXT, LOOKUP_A, LOOKUP_AAAA, LOOKUP_MX, LOOKUP_PTR };

struct lookup {
    enum lookup_type type;
    struct bytes name; /* A-labels in presentation form, no final dot; "4.3.2.1.in-addr.arpa" */
};

enum lookup_result {
    LOOKUP_FOUND,   /* at least one record */
    LOOKUP_NO_DATA, /* the name exists, with no record of this type */
    LOOKUP_NO_NAME, /* NXDOMAIN; also a name that cannot be in DNS (a label over 63, over 253) */
    LOOKUP_FAILED, /* for now: SERVFAIL, silence, a broken answer, the driver's budget is used up */
};

struct lookup_record {
    struct bytes text; /* TXT: its strings joined; MX, PTR: a host name, no final dot, "" the root;
                        * A, AAAA: 4 or 16 bytes in network order */
    uint16_t preference; /* MX */
};

struct lookup_answer {
    enum lookup_result result;
    size_t count; /* 0 unless found */
    const struct lookup_record *records;
};
