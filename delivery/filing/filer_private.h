/*
 * filer_private.h - what the files of this folder share. Private to them.
 */
#pragma once

#include "auth/mail_header.h"
#include "base/slab.h"
#include "delivery/filing/filer.h"
#include "delivery/filing/filing_answer.h"
#include "delivery/filing/forward.h"
#include "inbound/sorting/sorting.h"

enum filer_state {
    FILER_OPENING,
    FILER_READY,
    FILER_LOADING,
    FILER_READING,
    FILER_FILING,
    FILER_OVER, /* of no use any more */
};

struct filers {
    struct filers_setup setup;
    struct carrier_kind kind;
    struct slab slab;
    struct recipient_rules rules;
    struct arena names; /* of these */
    unsigned received_max;
    size_t reading_bytes; /* of content that is not the spool's any more */
    struct list reading;  /* filers that wait for room among these */
};

struct filed_recipient {
    struct pending *pending;
    uint32_t number;
    uint32_t copies, answered;
    bool is_settled;
    bool is_judged;        /* `judgement` holds: without the store, or by the worst answer */
    uint32_t target_count; /* whom it means */
    struct forward_target *forwards; /* where else it goes; newest first */
    uint32_t forward_count;
    struct forward *forward;       /* under way */
    struct filing_answer *answers; /* to its sender, with its end: filing_answer.h */
    unsigned answer_count;
    size_t answer_bytes;   /* their content */
    struct bytes refusals; /* of scripts: filing_refusal.c */
    unsigned refused_count;
    bool is_shown;      /* an account that is shown what came back: filing_shown.c */
    struct bytes alias; /* itself, where it means that by an alias; in the filer's arena */
    bool is_unsorted;   /* a script was not asked: who knows where else it goes */
    struct judgement judgement;
};

/* Where the message has been: read when somebody asks. */
struct passage {
    bool is_read;
    bool is_endless; /* more Delivered-To than are kept */
    size_t received;
    struct mail_header header; /* of prefix and content */
    size_t delivered_count;
    struct bytes *delivered; /* addresses, normalised, in the filer's arena */
};

/* One recipient for one account. */
struct filing_copy {
    struct filing filing;
    struct bytes from, to;      /* for the account's script */
    struct bytes answer_id;     /* Message-ID of what it may answer */
    struct filing_target usual; /* where it goes without one */
    struct sorting *sorting;    /* what that came to; NULL: nothing */
    struct filer *filer;
    struct filed_recipient *recipient;
};

struct filer {
    struct carrier carrier;
    struct filers *filers;
    struct turn_end turn_end;
    struct timeout idle;
    int64_t idle_since_ms;
    uint8_t state;
    bool is_leaving, is_aborted;
    unsigned messages_done;
    struct arena arena; /* the message's */
    struct shard *shard;
    struct stub *stub;
    struct message *message;
    struct load load;
    struct content_read read;
    bool is_read_begun, is_read_pending;
    struct buf content; /* of one that is not in memory */
    struct list_node in_reading;
    int64_t began_ms, began_wall_ms;
    int32_t wait_ms;
    uint32_t count, settled;
    struct filed_recipient *recipients;
    uint32_t outstanding; /* copies with the store, and forwards */
    struct bytes whole;   /* the content, while copies are made and forwards under way */
    struct passage passage;
};

static inline void filer_run_later(struct filer *filer)
{
    engine_at_turn_end(filer->carrier.engine, &filer->turn_end);
}

/* passage.c: the header of the message, read once; `whole` is set. */
const struct passage *filer_passage(struct filer *filer);
void passage_free(struct passage *passage);
/* filing_begin.c: asks the directory and the store for each recipient of the message, whose content
 * is in memory. What needs no store is judged at once. */
void filer_begin_copies(struct filer *filer, struct bytes content);
/* filing_copy.c: a copy for each of whom the recipient means. False: some account is slow, and the
 * recipient is to wait for it elsewhere. */
must_use bool filer_ask_copies(struct filer *filer, struct filed_recipient *r,
                               const struct recipient_found *found);
/* Out of its hands without an attempt, until then; or until who is busy may be less so. */
void filer_give_back(struct filer *filer, struct filed_recipient *r, int64_t after_ms);
void filer_give_back_busy(struct filer *filer, struct filed_recipient *r);
void filer_no_memory(struct filer *filer, struct filed_recipient *r);
/* Where else it goes, once all of its copies are answered: scripts of accounts may add addresses.
 */
void filer_forward_where_known(struct filer *filer, struct filed_recipient *r);
/* Of several judgements of a recipient the worst counts. `text` is copied. */
void filer_judge(struct filer *filer, struct filed_recipient *recipient, enum judgement_kind kind,
                 uint16_t subject, uint16_t detail, const char *class, const char *rule,
                 const char *text);
/* filing_return.c: has a report read, about mail of `tenant`. False: not now. */
must_use bool filer_ask_return(struct filer *filer, struct filed_recipient *r,
                               const struct recipient_found *found, struct bytes tenant,
                               struct bytes content);
/* filing_shown.c: has a report that came to recipient `of` read and filed for an account that is
 * shown it. False: not now. */
must_use bool filer_show(struct filer *filer, struct filed_recipient *r, uint32_t of,
                         const struct snapshot *snapshot, struct arena *arena,
                         struct bytes content);
/* filing_copy.c: files it in that folder of the account's, or gives the recipient back. `address`
 * stays. */
void filer_file_shown(struct filer *filer, struct filed_recipient *r, struct bytes address,
                      uint64_t quota, const char *folder);
/* filing_sort.c: has the account's script asked on the store's thread. */
void filing_copy_sort(struct filing_copy *copy);
/* Judges a copy that its script did away with; false: it did not. */
bool filing_copy_judge(const struct filing_copy *copy);
/* filing_refusal.c: the account's script refuses it. What is said of that, once all are heard. */
void filer_refuse(struct filer *filer, struct filed_recipient *r, const char *reason);
void filer_word_refusals(struct filer *filer, struct filed_recipient *r);
/* The answer was judged: where else the message goes is added. */
void filing_copy_sorted(struct filing_copy *copy);
/* Those that came to an end since the last time, in one commit. */
void filer_settle(struct filer *filer);
