/*
 * verify.h - is what arrived what load sent?
 *
 * The content must name the id its recipients name, and its body must have the hash its header
 * says (bench/load/content.h). Headers added on the way do not matter. Pure functions.
 */
#pragma once

#include "base/buf.h"

enum verdict {
    VERDICT_SAME,
    VERDICT_CHANGED,  /* another body or another message */
    VERDICT_UNMARKED, /* no message of load's */
};

/* Takes the stuffing of DATA off `content`, which ends before the final dot; in place. */
void verify_unstuff(struct buf *content);
/* `recipient` as in RCPT, without brackets. */
enum verdict verify(struct bytes content, struct bytes recipient);
/* "<run>-<number>" of "<run>-<number>-<k>@domain"; empty if there is none. */
struct bytes verify_id(struct bytes recipient);
