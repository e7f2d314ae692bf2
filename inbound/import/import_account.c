/* import_account.c - the taker: a message from its first byte until it waits in tmp/. */
#include "inbound/import/import_account.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/owner.h"
#include "inbound/import/import_private.h"
#include "inbound/store/mail_file.h"

static const char incoming[] = "import.incoming"; /* in tmp/, until its id is known */

static struct import_account *of(struct import_taker *taker)
{
    return container_of(taker, struct import_account, taker);
}

/* --- the message that comes ------------------------------------------------------------------- */

static void drop(struct import_account *account)
{
    if (account->is_begun && account->tmp_fd >= 0) {
        mail_file_close(account->tmp_fd);
        (void)!mail_file_unlink(account->maildir.tmp_fd, incoming);
    }
    account->is_begun = false;
    account->tmp_fd = -1;
    buf_clear(&account->piece);
}

static int begin(struct import_taker *taker)
{
    struct import_account *account = of(taker);

    drop(account);
    account->size = account->written = 0;
    account->is_too_large = account->is_after_cr = false;
    account->is_begun = true;
    if (account->settings.is_dry)
        return 0;
    account->tmp_fd =
        mail_file_open(account->maildir.tmp_fd, incoming, O_WRONLY | O_CREAT | O_TRUNC);
    if (account->tmp_fd < 0)
        return import_end(account, account->tmp_fd, "no file can be made in tmp/: %s",
                          strerrordesc_np(-account->tmp_fd));
    (void)!owner_give(account->tmp_fd, account->settings.directory);
    return 0;
}

static int write_piece(struct import_account *account)
{
    struct bytes piece = buf_bytes(&account->piece);
    int error = mail_file_write_at(account->tmp_fd, piece, account->written);

    account->written += piece.len;
    buf_clear(&account->piece);
    return error == 0 ? 0
                      : import_end(account, error, "the mail of the account cannot be written: %s",
                                   strerrordesc_np(-error));
}

static int put(struct import_account *account, struct bytes b)
{
    account->size += b.len;
    while (b.len > 0 && account->tmp_fd >= 0) {
        struct bytes part = bytes_slice(b, 0, buf_room(&account->piece));
        bool fits = buf_append(&account->piece, part);

        check(fits);
        b = bytes_slice(b, part.len, b.len);
        int error = buf_room(&account->piece) == 0 ? write_piece(account) : 0;

        if (error < 0)
            return error;
    }
    return 0;
}

/* A LF alone ends a line as well, and becomes CRLF as IMAP would serve it. */
static int data(struct import_taker *taker, struct bytes b)
{
    struct import_account *account = of(taker);
    int error = 0;

    while (b.len > 0 && error == 0) {
        size_t end = bytes_find(b, '\n', 0);
        bool had_cr = end > 0 ? b.ptr[end - 1] == '\r' : account->is_after_cr;
        size_t len = MIN(end + 1, b.len);

        if (account->size > IMPORT_MESSAGE_MAX) {
            account->is_too_large = true;
            return 0;
        }
        account->is_after_cr = b.ptr[len - 1] == '\r';
        if (end == b.len || had_cr) {
            error = put(account, bytes_slice(b, 0, len));
        } else {
            error = put(account, bytes_slice(b, 0, end));
            if (error == 0)
                error = put(account, BYTES("\r\n"));
        }
        b = bytes_slice(b, len, b.len);
    }
    return error;
}

static void bad(struct import_taker *taker, const char *label, const char *why)
{
    struct import_account *account = of(taker);

    drop(account);
    account->counts.bad++;
    if (account->folder.from[0] == '\0')
        import_tell(account, "%s: %s", label, why);
    else
        import_tell(account, "%s in %s: %s", label, account->folder.from, why);
}

static void note(struct import_taker *taker, const char *text)
{
    import_tell(of(taker), "%s", text);
}

static int interrupted(struct import_account *account)
{
    return account->settings.went != NULL && account->settings.went(account->settings.context) != 0
               ? import_end(account, -ECANCELED, "it was interrupted")
               : 0;
}

static bool wants(struct import_taker *taker, struct bytes key)
{
    struct import_account *account = of(taker);
    uint8_t id[IMPORT_ID];

    import_id_of(account->settings.source, bytes_of(account->folder.from), key, id);
    if (!import_ids_have(&account->ids, id))
        return true;
    account->counts.known++;
    return false;
}

/* Its date and its place in the batch; all of it is written. */
static int take(struct import_account *account, const struct import_message *message,
                const uint8_t id[static IMPORT_ID])
{
    struct import_waiting *waiting = &account->batch[account->batch_count];
    char tmp[TMP_NAME_MAX], base[MAIL_NAME_MAX + 1];
    uint64_t number = account->ids.count + account->batch_count;

    if (message->has_date) {
        int error = mail_file_set_time(account->tmp_fd, MAX(message->date_s, (int64_t)0));

        if (error < 0)
            return import_end(account, error, "a date cannot be set: %s", strerrordesc_np(-error));
    }
    import_tmp_name(id, tmp);
    int error = mail_file_rename(account->maildir.tmp_fd, incoming, account->maildir.tmp_fd, tmp);

    if (error < 0)
        return import_end(account, error, "tmp/ cannot be written: %s", strerrordesc_np(-error));
    mail_file_close(account->tmp_fd);
    account->tmp_fd = -1;
    account->is_begun = false;
    (void)snprintf(base, sizeof(base),
                   "%" PRId64 ".I%010" PRIu64 "Q%.16s.import,S=%" PRIu64 ",W=%" PRIu64,
                   account->start_s, number, tmp + sizeof("import.") - 1, account->size,
                   account->size);
    bool fits =
        file_name_format(bytes_of(base), import_letters(account, message), false, waiting->name);

    check(fits);
    memcpy(waiting->id, id, IMPORT_ID);
    waiting->size = account->size;
    account->batch_count++;
    account->batch_bytes += account->size;
    return account->batch_count == BATCH_MESSAGES_MAX || account->batch_bytes >= BATCH_BYTES_MAX
               ? import_commit(account)
               : 0;
}

static bool is_waiting(const struct import_account *account, const uint8_t id[static IMPORT_ID])
{
    for (size_t i = 0; i < account->batch_count; i++)
        if (memcmp(account->batch[i].id, id, IMPORT_ID) == 0)
            return true;
    return false;
}

static int end_dry(struct import_account *account, const struct import_message *message,
                   const uint8_t id[static IMPORT_ID])
{
    account->is_begun = false;
    import_ids_add(&account->ids, id);
    account->counts.messages++;
    account->counts.bytes += MAX(account->size, message->size);
    return interrupted(account);
}

static int end(struct import_taker *taker, const struct import_message *message)
{
    struct import_account *account = of(taker);
    uint64_t quota = account->settings.quota;
    uint8_t id[IMPORT_ID];

    check(account->is_begun && account->folder.is_open);
    import_id_of(account->settings.source, bytes_of(account->folder.from), message->key, id);
    if (import_ids_have(&account->ids, id) || is_waiting(account, id)) {
        account->counts.known++;
        drop(account);
        return interrupted(account);
    }
    const char *why = account->is_too_large                      ? "it is larger than 1 GiB"
                      : account->size == 0 && message->size == 0 ? "it is empty"
                      : quota != 0 && account->size > quota ? "it is larger than the whole quota"
                                                            : NULL;

    if (why != NULL) {
        bad(taker, message->label, why);
        return interrupted(account);
    }
    if (account->settings.is_dry)
        return end_dry(account, message, id);
    int error = write_piece(account);

    if (error == 0)
        error = import_room(account, account->size);
    if (error == -EDQUOT)
        return import_end(account, error, "the account's quota of %.1f MiB is full",
                          (double)quota / 1048576);
    if (error < 0)
        return import_end(account, error, "the account's mail cannot be counted: %s",
                          strerrordesc_np(-error));
    error = take(account, message, id);
    return error < 0 ? error : interrupted(account);
}

static int folder(struct import_taker *taker, struct bytes name)
{
    struct import_account *account = of(taker);

    drop(account);
    int error = import_commit(account);

    return error < 0 ? error : import_folder_open(account, name);
}

/* --- the account ------------------------------------------------------------------------------ */

static int open_maildir(struct import_account *account)
{
    const struct import_settings *settings = &account->settings;
    char domain[MAIL_NAME_MAX + 1], local[MAIL_NAME_MAX + 1];

    if (!mail_name_encode(settings->domain, domain) || !mail_name_encode(settings->local, local))
        return -ENAMETOOLONG;
    int fd = settings->is_dry ? open(settings->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                              : mail_file_open_root(settings->directory);

    if (fd < 0)
        return settings->is_dry ? 0 : fd;
    int error = settings->is_dry ? maildir_look(fd, domain, local, &account->maildir)
                                 : maildir_open(fd, domain, local, &account->maildir);

    if (error == 0 && !settings->is_dry) {
        int domain_fd = mail_file_open_directory(fd, domain);

        import_give(account, fd, domain);
        if (domain_fd >= 0) {
            import_give(account, domain_fd, local);
            mail_file_close(domain_fd);
        }
        import_give(account, account->maildir.fd, "tmp");
        import_give(account, account->maildir.fd, "new");
        import_give(account, account->maildir.fd, "cur");
    }
    mail_file_close(fd);
    return settings->is_dry && error == -ENOENT ? 0 : error;
}

static int open_account(struct import_account *account)
{
    int error = open_maildir(account);

    if (error == 0)
        error = import_ids_open(&account->ids, account->maildir.fd, !account->settings.is_dry);
    if (error < 0 || account->settings.is_dry)
        return error;
    import_give(account, account->maildir.fd, "ringpost.imported");
    return import_recover(account);
}

struct import_account *import_account_open(const struct import_settings *settings, int *error_out,
                                           char why[static IMPORT_WHY_MAX])
{
    struct import_account *account = calloc(1, sizeof(*account));

    check(account != NULL);
    account->settings = *settings;
    account->taker = (struct import_taker){
        .wants_content = !settings->is_dry,
        .folder = folder,
        .wants = wants,
        .begin = begin,
        .data = data,
        .end = end,
        .bad = bad,
        .note = note,
    };
    account->maildir = (struct maildir){.fd = -1, .tmp_fd = -1};
    account->ids.fd = account->tmp_fd = account->folder.fd = account->folder.cur_fd = -1;
    account->start_s = clock_wall_ms() / 1000;
    buf_init(&account->piece, WRITE_PIECE);
    buf_init(&account->subscribed, 4 << 20);
    int error = open_account(account);

    if (error == 0)
        return account;
    snprintf(why, IMPORT_WHY_MAX, "%s",
             error == -EBUSY ? "another import into the account is running"
                             : strerrordesc_np(-error));
    *error_out = error;
    import_account_close(&account);
    return NULL;
}

struct import_taker *import_account_taker(struct import_account *account)
{
    return &account->taker;
}

struct import_counts import_account_counts(const struct import_account *account)
{
    struct import_counts counts = account->counts;

    counts.waiting = account->batch_count;
    counts.waiting_bytes = account->batch_bytes;
    return counts;
}

static void tell_unused(struct import_account *account)
{
    for (size_t i = 0; i < account->settings.rename_count && i < 64; i++)
        if ((account->renames_used >> i & 1) == 0)
            import_tell(account, "--folder %.*s: the source has no such folder",
                        BYTES_ARG(account->settings.renames[i].from));
}

int import_account_finish(struct import_account *account, char why[static IMPORT_WHY_MAX])
{
    int error = account->error;

    drop(account);
    /* What came before a full quota or an interruption counts; a failed disk is left alone. */
    if (error == 0 || error == -EDQUOT || error == -ECANCELED) {
        int last = account->settings.is_dry ? 0 : import_commit(account);

        if (last == 0)
            last = import_subscribe(account);
        if (last < 0)
            (void)import_end(account, last, "the account cannot be written: %s",
                             strerrordesc_np(-last));
        error = last < 0 ? last : error;
    }
    if (error == 0)
        tell_unused(account);
    snprintf(why, IMPORT_WHY_MAX, "%s", account->why);
    return error;
}

void import_account_close(struct import_account **account)
{
    struct import_account *a = *account;

    if (a == NULL)
        return;
    drop(a);
    import_drop_batch(a);
    import_folder_close(a);
    import_ids_close(&a->ids);
    if (a->maildir.fd >= 0)
        maildir_close(&a->maildir);
    buf_free(&a->piece);
    buf_free(&a->subscribed);
    free(a);
    *account = NULL;
}
