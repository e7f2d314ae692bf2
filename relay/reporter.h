/*
 * reporter.h - the thread that counts what is to be reported to other domains, and sends it daily:
 * DMARC aggregate reports (RFC 9990) of mail received, TLS reports (RFC 8460) of mail sent.
 *
 *   event files --reporter_count.c--> tally (reporting/tally.h) --a day is over--> reporter_send.c
 *       --> DNS: who wants it, and may get it --> a mail by the first engine (reporter_desk.h),
 *                                                 or a POST
 *
 * It reads the event files as sinks do, so it costs engines nothing and counts each event once. A
 * mail is accepted under an idempotency key (intake/claims.h): a crash between its commit and the
 * note of it sends nothing twice within that key's life. What could not be sent is tried again for
 * about a day.
 *
 * Thread: main's, but where it says any.
 */
#pragma once

#include "reporting/tally.h"

struct config;
struct program;
struct reporter;

/* Once the workers run; NULL with errno: no thread. */
struct reporter *reporter_start(struct program *program, const char *events_directory);
/* From now on by this configuration, which it keeps. */
void reporter_configure(struct reporter *reporter, struct config *config);
/* Nothing is begun any more, and no worker is called: before they stop. */
void reporter_ask_stop(struct reporter *reporter);
/* After they have ended. NULL is fine. */
void reporter_join(struct reporter **reporter);
/* Any thread. Makes reports due at once (tally_hurry()); false with a sentence. */
must_use bool reporter_hurry(struct reporter *reporter, enum tally_kind kind, int64_t day,
                             struct bytes domain, uint64_t *count_out,
                             char why[static TALLY_WHY_MAX]);
