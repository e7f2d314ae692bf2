/*
 * event_ledger.h - adds up what the events say of each message, against what still waits.
 *
 *   accepted = delivered (or filed) + bounced + expired + cancelled + suppressed + queued
 *
 * It is given every event in the order of the files, then once more: the first reading finds which
 * messages do not add up, the second says what it is. In between it learns what waits:
 *
 *   ledger_event()...  ledger_cut()  ledger_queued()...  ledger_event()...  ledger_judge()
 *   ledger_recount()...  ledger_tell()
 *
 * The queue may change while it is read, between the cut and the last event: what was accepted
 * before the cut must be queued or have ended by that last event, and what is queued and was not
 * accepted before the cut must have been accepted since. Messages that were accepted behind the cut
 * are left to the next audit.
 *
 * Of each message must hold: its events have the seqs 0, 1, 2, ...; each accepted recipient has one
 * final event, or none while it is queued. Recipients are summed up by a hash of their address, so
 * that a message costs the same memory whatever number it has; finished ones cost none.
 *
 * Pure; one thread.
 */
#pragma once

#include "event/event_head.h"

struct ledger_settings {
    bool is_whole;    /* no event file was ever removed: every message's beginning is there */
    int64_t since_us; /* since 1970; messages with earlier ids do not count; 0: all do */
};

struct ledger;

struct ledger *ledger_create(const struct ledger_settings *settings);
void ledger_free(struct ledger **ledger);

void ledger_event(struct ledger *ledger, const struct event_head *head);
void ledger_cut(struct ledger *ledger);
/* So many recipients of the message are unfinished. Once a message. */
void ledger_queued(struct ledger *ledger, struct message_id id, uint32_t recipients);
/* All was said: what is wrong is known, though not yet named. */
void ledger_judge(struct ledger *ledger);

enum { LEDGER_NAMED_MAX = 1000 /* messages that are named; the rest is counted */ };
/* The second reading, of the same events. */
void ledger_recount(struct ledger *ledger, const struct event_head *head);
/* A sentence for each thing that is wrong. */
void ledger_tell(struct ledger *ledger,
                 void (*line)(void *context, struct message_id id, const char *text),
                 void *context);

enum ledger_final {
    LEDGER_DELIVERED,
    LEDGER_BOUNCED,
    LEDGER_EXPIRED,
    LEDGER_CANCELLED,
    LEDGER_SUPPRESSED,
    LEDGER_FINALS
};

/* Recipients of messages that were accepted before the cut. */
struct ledger_sum {
    uint64_t accepted;
    uint64_t ended[LEDGER_FINALS];
    uint64_t queued;
};

struct ledger_totals {
    struct ledger_sum sum;
    uint64_t events;         /* with a message */
    uint64_t messages;       /* that the sum is of */
    uint64_t wrong_messages; /* that do not add up, in the sum or not */
    uint64_t later_messages; /* accepted behind the cut */
    uint64_t early_messages; /* unfinished at the cut or later; their first events are removed */
    uint64_t early_queued;   /* recipients of these */
};

bool ledger_sum_adds_up(const struct ledger_sum *sum);
void ledger_totals(const struct ledger *ledger, struct ledger_totals *out);
/* By tenant, in no order; the name as it stands in JSON between the quotes, empty for none. */
void ledger_for_each_tenant(struct ledger *ledger,
                            void (*tenant)(void *context, struct bytes name,
                                           const struct ledger_sum *sum),
                            void *context);
