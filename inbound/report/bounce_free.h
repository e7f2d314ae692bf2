/*
 * bounce_free.h - bounces in prose: what programs wrote and write that do not know RFC 3464.
 *
 * Two forms that many imitate. Exim names the addresses in X-Failed-Recipients and says why in the
 * text below each; qmail and its kin write paragraphs that begin with "<address>:". Anything else
 * is no bounce to us: guessing would call an answer by a person one. Pure; see bounce.h.
 */
#pragma once

#include "inbound/report/bounce.h"

/* Fills in what the prose says; `out->message_id` is looked for there only where it is empty. */
must_use bool bounce_read_free(struct mail_parts *parts, struct bounce *out);
/* The first enhanced status code (RFC 3463 section 2) that stands in the text by itself; empty:
 * none. */
struct bytes bounce_find_status(struct bytes text);
