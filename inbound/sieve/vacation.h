/*
 * vacation.h - whether a message is answered by itself, and with what (RFC 5230, RFC 3834).
 *
 * Machines, lists and whoever wrote to somebody else get no answer. What was answered lately is
 * not known here: vacation_key() is what to remember it by.
 *
 * Pure; any thread.
 */
#pragma once

#include "inbound/sieve/sieve.h"

enum { VACATION_SUBJECT_MAX = 250 /* bytes of UTF-8; what is beyond is cut */ };

struct vacation_question {
    const struct sieve_message *message;
    const struct sieve_vacation *vacation;
    struct bytes account; /* its address, normalised */
    /* Another address that means the account and nobody else, in any form: empty: none. Without
     * its detail, as all addresses here. */
    struct bytes alias;
};

/* NULL: it is to be answered. Else why it is not, in a few words; a constant. */
const char *vacation_refusal(const struct vacation_question *question);

/* One sender and one of the things to be told (RFC 5230 section 4.2): by its handle, or by all that
 * would be said. */
uint64_t vacation_key(const struct sieve_message *message, const struct sieve_vacation *vacation);

struct vacation_names {
    struct bytes id;  /* the Message-ID, with its brackets */
    const char *date; /* RFC 5322 */
};

/*
 * Appends the whole answer, header and body, with CRLF; *from_out is its author's address, a slice
 * of the question. False: the buffer is full, or what :mime tells of cannot be sent (a NUL, a CR or
 * LF alone, a line of more than 998 bytes, no header).
 */
must_use bool vacation_write(const struct vacation_question *question,
                             const struct vacation_names *names, struct buf *out,
                             struct bytes *from_out);
