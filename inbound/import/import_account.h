/*
 * import_account.h - takes what a source tells into an account's Maildir: each message once, with
 * its date, its flags and its folder, whatever happens meanwhile.
 *
 *   tmp/import.ID --> synced --> ringpost.importing --> cur/NAME:2,FS --> ringpost.imported
 *
 * Messages go in batches. Before any of a batch gets its name, ringpost.importing says durably
 * which names they get; who opens the account next gives those names that were not given. What lies
 * in tmp/ then has none yet; what does not has had its name, wherever its reader moved it since. So
 * a message is in the account once, or not yet.
 *
 * A daemon may serve the account meanwhile: files that come with flags in their names are what it
 * takes from other programs (inbound/mailbox). Index and UIDs are its own.
 *
 * Blocks; one thread. Errors are -errno, told in `why`.
 */
#pragma once

#include "inbound/import/import_taker.h"

struct import_rename {
    struct bytes from; /* of the source's; "" is not used */
    struct bytes to;   /* "": left out */
};

struct import_settings {
    const char *directory; /* state_dir/mail */
    struct bytes domain, local;
    uint64_t quota;      /* bytes, 0: none */
    struct bytes source; /* the same for each run: what ids are made of */
    bool is_dry;         /* nothing is written */
    size_t rename_count;
    const struct import_rename *renames;
    void *context;
    /* A sentence for people: of a message, a folder. */
    void (*told)(void *context, const char *text);
    /* After each message. Not 0: stop in order. */
    int (*went)(void *context);
};

struct import_counts {
    uint64_t folders, messages, bytes; /* imported */
    uint64_t waiting, waiting_bytes;   /* for the end of their batch */
    uint64_t known;                    /* imported before */
    uint64_t bad;
    uint64_t keywords; /* that had no letter, or were none */
};

struct import_account;

/* NULL with *error_out (-EBUSY: another import into the account) and a sentence. What an import
 * before left half done is finished. */
struct import_account *import_account_open(const struct import_settings *settings, int *error_out,
                                           char why[static IMPORT_WHY_MAX]);
struct import_taker *import_account_taker(struct import_account *account);
struct import_counts import_account_counts(const struct import_account *account);
/* What was taken becomes durable. 0, or why the import ended: -EDQUOT over the quota, -ENOSPC and
 * others the disk, -ECANCELED went() said so. `why`: a sentence. */
must_use int import_account_finish(struct import_account *account, char why[static IMPORT_WHY_MAX]);
/* Also after an error; what was not finished is dropped and will be imported again. */
void import_account_close(struct import_account **account);

/* A source's folder as a mailbox of ours: a part's "." becomes "_". False: it cannot be one. */
must_use bool import_folder_name(struct bytes name, char out[static 1024]);
