/*
 * mail_store.h - accounts' mail in Maildirs: messages are filed in batches, each exactly once.
 *
 * A batch, on one of the store's threads, of messages for any accounts:
 *
 *   each into tmp/ --> sync --> record in the log (filed_log.h) --> sync --> each gets its name in
 *   new/ or cur/ (rename) --> sync of these directories --> answers
 *
 * So an answer FILING_DONE is a promise: the message survives a power cut. Whoever asks again for
 * the same message and recipient, because the answer was lost with the program, is answered
 * without a second copy, also where the first one was moved or deleted since. A batch of a few
 * syncs each file; a larger one syncs the file system once, as most of the time goes into waiting
 * for the disk.
 *
 * An account is in one batch at a time; one that was slow is in it alone, so that others do not
 * wait for it. Its quota is looked at before a message is written. docs/store.md has the layout.
 *
 * Thread: any. Answers come as letters to the engine that asked.
 */
#pragma once

#include "base/list.h"
#include "inbound/store/mail_bounds.h"
#include "io/engine.h"

struct blocking_pool;
struct mail_store;
struct mail_account;

enum filing_result {
    FILING_DONE,
    FILING_OVER_QUOTA, /* no room in the account now */
    FILING_TOO_LARGE,  /* more than its quota: it will never fit */
    FILING_NO_SPACE,   /* the disk is full */
    FILING_BUSY,       /* the account is slow, and enough waits for it already */
    FILING_FAILED,     /* `why` says it */
};

enum { FILING_TARGETS_MAX = 16, FILING_WHY_MAX = 192 };

/* Where a message goes: as mail_folder_encode() makes it, and flags of Maildir ("FS"), which an
 * unread one has not. */
struct filing_target {
    char folder[MAIL_FOLDER_MAX + 1];
    char flags[8];
};

/* One message for one account. What it points to stays until the answer. */
struct filing {
    struct letter answer; /* open() is the caller's; posted to `engine` once */
    struct engine *engine;
    struct bytes domain, local; /* of the account, as the directory has them */
    uint64_t quota;             /* bytes; 0: none */
    int64_t time_s;             /* wall, of the message's acceptance: part of the name */
    uint64_t message;
    uint32_t recipient;
    bool may_be_filed; /* it was tried before, or found at the start */
    struct bytes head, prefix, content;
    /* On the store's thread, before anything is looked at or written: may set targets, and with
     * is_dropped that there is nothing to file. NULL: as it is. */
    void (*sort)(struct filing *filing);
    size_t target_count; /* 0: the inbox alone */
    struct filing_target *targets;
    const char *use; /* "Sent": the only target is the account's folder for it; NULL: as it is */
    bool is_dropped;
    const struct mail_bounds *bounds; /* of its target, which is the only one; NULL: none */
    /* the answer */
    enum filing_result result;
    bool was_filed; /* FILING_DONE: by an earlier try */
    char why[FILING_WHY_MAX];
    /* the store's */
    struct list_node node;
    struct mail_account *account;
    uint8_t step;
    uint16_t named; /* targets that have it from an earlier try: bits */
    int error;
    uint64_t size; /* of the file */
    char name[MAIL_NAME_MAX + 1];
};

struct mail_store_settings {
    const char *directory; /* state_dir/mail; made where it is missing */
    const char *host;      /* in the names of files */
    uint16_t node;
    unsigned threads;      /* batches at a time */
    int64_t open_again_ms; /* after it could not be opened; 0: default */
    /* A message has its name in a folder, durable; all encoded. On the store's threads, quick.
     * NULL: nobody wants to know. */
    void (*filed)(void *context, const char *domain, const char *local, const char *folder);
    void *context;
};

struct mail_store_status {
    uint64_t waiting, running; /* messages */
    uint64_t accounts;         /* in memory */
    uint64_t batches, filed, failed;
    int64_t oldest_ms; /* the longest that one waits or runs; 0: none does */
};

/* NULL, with errno: there are no threads. A directory that cannot be used fails what is to be
 * filed, and is tried again with it. Strings of `settings` outlive the store. */
struct mail_store *mail_store_open(const struct mail_store_settings *settings);
/* After every answer was taken. */
void mail_store_close(struct mail_store **store);
/* False: FILING_BUSY, and nothing was begun. */
must_use bool mail_store_file(struct mail_store *store, struct filing *filing);
/* How many bytes the account, which has that quota, was lately seen to hold; false: not known. At
 * once; where that was long ago, it is counted by the store's threads for who asks later. */
must_use bool mail_store_use(struct mail_store *store, struct bytes domain, struct bytes local,
                             uint64_t quota, uint64_t *bytes_out);
/* Where batches are written; its own as long as it is open. */
struct blocking_pool *mail_store_pool(const struct mail_store *store);
void mail_store_status(struct mail_store *store, struct mail_store_status *out);
