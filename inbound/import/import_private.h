/*
 * import_private.h - what the files of an import into an account share.
 */
#pragma once

#include "inbound/import/import_account.h"
#include "inbound/import/import_ids.h"
#include "inbound/mailbox/keyword_list.h"
#include "inbound/store/maildir_size.h"

enum {
    BATCH_MESSAGES_MAX = 256,
    BATCH_BYTES_MAX = 32 << 20,
    WRITE_PIECE = 64 << 10,
    TMP_NAME_MAX = 64,
    IMPORT_LABEL_MAX = 512,
};

/* One that waits in tmp/ for its batch. */
struct import_waiting {
    uint8_t id[IMPORT_ID];
    uint64_t size;
    char name[MAIL_NAME_MAX + 1]; /* in cur/ */
};

/* The folder that messages come of now. */
struct import_folder {
    bool is_open;
    char from[1024];              /* as the source calls it */
    char to[MAIL_FOLDER_MAX + 1]; /* of Maildir++ */
    int fd, cur_fd;               /* -1: dry */
    struct keyword_list keywords; /* by dovecot-keywords */
    bool keywords_changed;
};

struct import_account {
    struct import_taker taker;
    struct import_settings settings;
    struct import_counts counts;
    struct maildir maildir; /* fd -1: dry, and there is none */
    struct import_ids ids;
    int64_t start_s; /* wall: names begin so */
    int error;       /* why it ended */
    char why[IMPORT_WHY_MAX];
    struct import_folder folder;
    struct buf subscribed; /* folders, each with NUL behind it */
    uint64_t renames_used; /* a bit each, of the first 64 */

    /* the message that comes */
    bool is_begun, is_too_large, is_after_cr;
    int tmp_fd;
    uint64_t size, written; /* of the file; of that, on disk */
    struct buf piece;

    /* the batch */
    bool quota_in_doubt;
    uint64_t usage; /* when the batch began */
    uint64_t batch_bytes;
    size_t batch_count;
    bool is_promised; /* its names may stand in ringpost.importing */
    struct import_waiting batch[BATCH_MESSAGES_MAX];
};

/* --- import_told.c ---------------------------------------------------------------------------- */

/* Ends the import: `error` with a sentence. Returns `error`. */
int import_end(struct import_account *account, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void import_tell(struct import_account *account, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Root's files become the owner's of the store. */
void import_give(const struct import_account *account, int at_fd, const char *name);

/* --- import_batch.c --------------------------------------------------------------------------- */

void import_tmp_name(const uint8_t id[static IMPORT_ID], char out[static TMP_NAME_MAX]);

/* What an import before did not finish. 0 or -errno. */
must_use int import_recover(struct import_account *account);
/* Whether so many bytes more find room; 0, -EDQUOT (nothing was told) or -errno. */
must_use int import_room(struct import_account *account, uint64_t size);
/* The batch gets its names, durably; 0 or the error that ended the import. */
must_use int import_commit(struct import_account *account);
/* What waits is removed, for the disk may be full; not where its names may be promised. */
void import_drop_batch(struct import_account *account);

/* --- import_folder.c -------------------------------------------------------------------------- */

/* As import_taker.folder. */
int import_folder_open(struct import_account *account, struct bytes name);
void import_folder_close(struct import_account *account);
/* The letters of a message's flags and keywords; makes what is missing. */
uint32_t import_letters(struct import_account *account, const struct import_message *message);
/* Before a letter stands in a name it means something. */
must_use int import_write_keywords(struct import_account *account);
/* Folders that were imported into are subscribed to. */
must_use int import_subscribe(struct import_account *account);
