/*
 * signer.h - what an engine's signatures share: whose domains, which keys, and a turn's time.
 *
 * A signature of RSA takes up to a millisecond, so that making one is work under the budget of a
 * turn (io/turn_budget.h): who has to wait does so in one line, behind those that came before.
 *
 * Thread: the engine's.
 */
#pragma once

#include "auth/dkim/sign.h"
#include "directory/snapshot_feed.h"
#include "signing/key_cache.h"

enum { SIGNER_KEYS_DEFAULT = 1000 };

struct signer_settings {
    struct dkim_signer_options options;
    unsigned keys_max; /* kept in memory of this engine; 0: default */
};

struct signer_setup {
    struct engine *engine;
    struct snapshot_reader *reader; /* of the directory; lives as long as the signer */
    struct blocking_pool *pool;     /* where keys are read */
    const char *state_dir;          /* copied */
    struct signer_settings settings;
};

struct signer;

struct signer *signer_create(const struct signer_setup *setup);
/* Messages that begin from now on are signed so. */
void signer_configure(struct signer *signer, const struct signer_settings *settings);
/* Nothing is to be signed any more. stopped() is called, before this returns or later, once no key
 * is being read. */
void signer_stop(struct signer *signer, void (*stopped)(void *context), void *context);
void signer_free(struct signer **signer); /* stopped, or it never signed; NULL is fine */

struct engine *signer_engine(const struct signer *signer);
struct snapshot_reader *signer_reader(const struct signer *signer);
struct key_cache *signer_keys(const struct signer *signer);
const struct dkim_signer_options *signer_options(const struct signer *signer);

/* Work for which somebody waits; embedded in who has it. */
struct signer_work {
    struct list_node node;
    void (*run)(struct signer_work *work);  /* what counts as time of the turn */
    void (*done)(struct signer_work *work); /* directly behind it; may free who has the work */
};

/* Runs it, before this returns or in a later turn. */
void signer_run(struct signer *signer, struct signer_work *work);
/* It is not run any more; also where it was, or never given. */
void signer_cancel(struct signer_work *work);
