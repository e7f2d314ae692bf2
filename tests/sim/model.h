/*
 * model.h - what a shard has promised so far, and what a disk may hold of it after a power cut.
 *
 * Each commit is in flight from shard_commit() to done(): until then all of it may be found after a
 * cut, or nothing. One that failed may be found until the next one stands, because what voids its
 * bytes goes down with that. Plain data: a copy is the state at a moment.
 */
#pragma once

#include "queue/shard.h"

enum {
    MODEL_MESSAGES = 48,
    MODEL_RECIPIENTS = 6,
    MODEL_EVENTS = 1024,
    MODEL_EXTRA = 256,
};

struct model_recipient {
    bool is_final, is_told, is_forwarded;
    unsigned attempts;
    int64_t due_ms; /* wall; 0: at once, or later for reasons that are not on disk */
    /* what is in flight for it: a commit, 0 none */
    uint32_t flying;
    enum event_kind kind;
    uint32_t seq;
    int64_t flying_due_ms;
};

enum model_state { MODEL_FREE, MODEL_FLYING, MODEL_DOUBTFUL, MODEL_STANDS };

struct model_message {
    enum model_state state;
    struct message_id id;
    unsigned seed, recipient_count;
    uint64_t size;
    enum mail_class class;
    char tenant[16];
    int64_t accepted_ms, not_before_ms; /* wall; not_before_ms: as asked for, 0 none */
    int64_t
        earliest_ms; /* of any attempt: of a start whose clock was set back, before not_before_ms */
    uint32_t flying; /* the commit that accepts it */
    uint32_t next_seq; /* of what stands */
    uint32_t seq_max;  /* with what is in flight */
    struct model_recipient recipients[MODEL_RECIPIENTS];
};

struct model_event {
    uint64_t position;
    struct message_id id;
    uint32_t seq;
    enum event_kind kind;
};

struct model {
    struct model_message messages[MODEL_MESSAGES];
    struct model_event events[MODEL_EVENTS]; /* journaled, not yet passed by the sink */
    size_t event_count;
    uint64_t sink_position;
    uint32_t last_commit;
    unsigned next_seed;
    int64_t wall_ms; /* not later than any clock of what comes */
};

struct model_message *model_free_slot(struct model *model); /* NULL: all are taken */
struct model_message *model_find(struct model *model, struct message_id id);
size_t model_count(const struct model *model, enum model_state state);

/* What is not on disk as it was given out, but must hold of the flows that memory has. */
void model_describe(struct model_message *message, const struct message *accepted, int64_t wall_ms);

/* The number of a commit that begins; its parts name it. */
uint32_t model_begin(struct model *model);
void model_begin_accept(struct model_message *message, uint32_t commit, struct message_id id);
void model_begin_outcome(struct model_message *message, uint32_t recipient, uint32_t commit,
                         enum event_kind kind, int64_t due_ms);
void model_end(struct model *model, uint32_t commit, bool stands);

/* Events that were just journaled; what the sink has taken. */
void model_journaled(struct model *model, unsigned shard, uint64_t position, struct bytes records);
void model_sink_passed(struct model *model, uint64_t position);

/* Compares a shard that was just opened (no turn yet) with what may be, and from then on takes
 * what it found for what stands. False with a sentence. */
must_use bool model_recovered(struct model *model, struct shard *shard, struct engine *engine,
                              char why[static 256]);
/* The same of its journal, read back from where the sink was; before model_recovered(). */
must_use bool model_journal_recovered(struct model *model, struct shard *shard,
                                      const char *directory, char why[static 256]);
