/*
 * outcomes.h - what one engine's outcomes have in common: their rules, and the room for them.
 *
 * What is begun with a recipient must be able to end, in the spool and in the event files, also
 * should the disk be full meanwhile. Who takes recipients into an attempt asks for room first and
 * counts them in; they count until they are given back, their outcomes until these are durable.
 * While very many outcomes wait to be durable, as when the disk is full, nothing new is begun. What
 * notifications of them take in memory is bounded likewise: once it is much, and where the spool is
 * full, they return a kilobyte of the original, as much as the room for an outcome allows for.
 *
 * Nothing here knows who waits where: the hooks tell whoever does.
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/outcome/retry.h"
#include "queue/shard.h"

enum {
    SETTLEMENTS_FULL = 10000, /* that wait to be durable: nothing new is begun */
    CLEARINGS_FULL = 1000,    /* messages whose recipients are being told of a failure */
    /* Bytes of notifications that wait to be durable: nothing new is begun, and what those that are
     * still written return of the original is no more than NOTICE_RETURNED_MIN. */
    NOTICES_FULL = 16 * 1024 * 1024,
    NOTICE_RETURNED_MIN = 1024,
};

struct outcomes;
struct signer; /* signing/signer.h */

/* Who owns what is pointed to keeps it until other settings were given, or the end. */
struct outcome_settings {
    const char *hostname;
    size_t retry_count;
    const struct retry_rule *retries; /* at least one; the last is "*" */
    unsigned returned_max;            /* bytes of the original that a notification returns */
    unsigned notice_wait_s;           /* a failure waits for others of its message; 0: not at all */
};

struct outcome_hooks {
    /* There is room again, perhaps, for who was refused some. */
    void (*room)(void *context);
    /* A settlement or a clearing has been freed. */
    void (*ended)(void *context);
    void *context;
};

struct outcomes *outcomes_create(struct engine *engine, const struct outcome_settings *settings,
                                 const struct outcome_hooks *hooks);
/* Signs notifications; before the first one, and for as long as there are any. */
void outcomes_sign(struct outcomes *outcomes, struct signer *signer);
/* What was accepted since then (monotonic) is as old as its times say, also where a start found it.
 * Until it is told, nothing that was accepted before the outcomes were made is sure: its age is the
 * word of a wall clock that may have been set meanwhile, or stands wrong. */
void outcomes_trust_ages(struct outcomes *outcomes, int64_t sure_from_ms);
/* From when (monotonic) the age counts for who gives up on it. What is not sure to be as old as it
 * seems has retry_respite_ms() from the start on. */
int64_t outcomes_age_from_ms(const struct outcomes *outcomes, const struct retry_rule *rule,
                             const struct pending *pending);
/* Since when (monotonic) it surely waits, for who tells of delays; not sure: since the start. */
int64_t outcomes_waits_from_ms(const struct outcomes *outcomes, const struct pending *pending);
/* When outcomes_are_none(). */
void outcomes_free(struct outcomes **outcomes);
/* The engine's own shard, whose room is asked for before anything is begun. */
void outcomes_set_home(struct outcomes *outcomes, struct shard *home);
/* Judgements from now on are decided by these. */
void outcomes_configure(struct outcomes *outcomes, const struct outcome_settings *settings);
/* The program ends: what waits for others of its message is committed, what waits to be read stays
 * unfinished, and nothing waits from here on. */
void outcomes_stop(struct outcomes *outcomes);

/* Recipients that may get into attempts now, of mail in `shard`: as many as have room for what will
 * become of them. What other shards' attempts need is counted as if it were this one's. */
size_t outcomes_room(const struct outcomes *outcomes, const struct shard *shard);
/* Outcomes do not wait to be durable in such a number that more must not be made, and what they say
 * has room. */
bool outcomes_may_begin(const struct outcomes *outcomes);
/* Half of everything is free at least: enough that not all who wait for room wake for one that gets
 * on. */
bool outcomes_have_ample_room(const struct outcomes *outcomes);
/* What is not durable is what stands in the way, not the room on disk. */
bool outcomes_are_many(const struct outcomes *outcomes);

/* So many recipients get into an attempt, and out of it, whatever became of them. */
void outcomes_count_in(struct outcomes *outcomes, size_t recipients);
void outcomes_count_out(struct outcomes *outcomes, size_t recipients);

size_t outcomes_in_attempt(const struct outcomes *outcomes); /* recipients */
size_t outcomes_committing(const struct outcomes *outcomes); /* settlements */
/* Bytes of notifications that are not durable yet. */
size_t outcomes_notices(const struct outcomes *outcomes);
bool outcomes_are_none(const struct outcomes *outcomes); /* neither settlements nor clearings */

/* The rule that a recipient of this domain is tried again by. */
const struct retry_rule *outcomes_retry_rule(const struct outcomes *outcomes, struct bytes domain);
