/* import_batch.c - messages get their names: many at once, each once. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "inbound/import/import_private.h"
#include "inbound/mailbox/file_read.h"
#include "inbound/mailbox/small_file.h"
#include "inbound/store/mail_file.h"

enum { INTENT_MAX = BATCH_MESSAGES_MAX * (IMPORT_ID * 2 + MAIL_FOLDER_MAX + MAIL_NAME_MAX + 3) };

static const char intent_name[] = "ringpost.importing";

void import_tmp_name(const uint8_t id[static IMPORT_ID], char out[static TMP_NAME_MAX])
{
    int at = snprintf(out, TMP_NAME_MAX, "import.");

    for (size_t i = 0; i < IMPORT_ID; i++)
        at += snprintf(out + at, (size_t)(TMP_NAME_MAX - at), "%02x", id[i]);
}

/* --- an import before ------------------------------------------------------------------------- */

static bool read_id(struct bytes hex, uint8_t id[static IMPORT_ID])
{
    if (hex.len != IMPORT_ID * 2)
        return false;
    for (size_t i = 0; i < hex.len; i++) {
        int digit = byte_hex_value(hex.ptr[i]);

        if (digit < 0)
            return false;
        id[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : id[i / 2] | digit);
    }
    return true;
}

/* What still lies in tmp/ gets its name; what does not has had it. */
static int give_again(struct import_account *account, const uint8_t id[static IMPORT_ID],
                      const char *folder, const char *name)
{
    char tmp[TMP_NAME_MAX];
    struct stat status;

    import_tmp_name(id, tmp);
    if (mail_file_stat(account->maildir.tmp_fd, tmp, &status) == -ENOENT)
        return 0;
    int cur = maildir_open_folder(&account->maildir, folder, "cur");

    if (cur < 0)
        return cur;
    int error = mail_file_rename(account->maildir.tmp_fd, tmp, cur, name);

    if (error == 0)
        error = mail_file_sync(cur);
    mail_file_close(cur);
    return error;
}

static int recover_line(struct import_account *account, struct bytes line)
{
    uint8_t id[IMPORT_ID];
    struct bytes hex, folder;
    char to[MAIL_FOLDER_MAX + 1], name[MAIL_NAME_MAX + 1];

    if (!bytes_take_until(&line, '\t', &hex) || !read_id(hex, id) ||
        !bytes_take_until(&line, '\t', &folder) || folder.len > MAIL_FOLDER_MAX || line.len == 0 ||
        line.len > MAIL_NAME_MAX || memchr(line.ptr, '/', line.len) != NULL ||
        memchr(folder.ptr, '/', folder.len) != NULL)
        return -EBADMSG;
    memcpy(to, folder.ptr, folder.len);
    to[folder.len] = '\0';
    memcpy(name, line.ptr, line.len);
    name[line.len] = '\0';
    import_ids_add(&account->ids, id);
    return give_again(account, id, to, name);
}

int import_recover(struct import_account *account)
{
    struct bytes rest, line;
    struct buf text;

    buf_init(&text, INTENT_MAX);
    int error = file_read(account->maildir.fd, intent_name, &text);

    if (error == -ENOENT) {
        buf_free(&text);
        return 0;
    }
    rest = buf_bytes(&text);
    account->quota_in_doubt = rest.len > 0; /* it may have ended before it was counted */
    while (error == 0 && bytes_take_until(&rest, '\n', &line))
        error = recover_line(account, line);
    buf_free(&text);
    return error < 0 ? error : import_ids_sync(&account->ids);
}

/* --- the quota -------------------------------------------------------------------------------- */

int import_room(struct import_account *account, uint64_t size)
{
    uint64_t quota = account->settings.quota;
    struct maildir_usage usage;

    if (quota == 0 || account->settings.is_dry)
        return 0;
    uint64_t needed = account->batch_bytes + size;

    if (account->batch_count == 0 || account->usage + needed > quota) {
        int error =
            maildir_size_read(&account->maildir, quota, account->quota_in_doubt, needed, &usage);

        if (error < 0)
            return error;
        account->quota_in_doubt = false;
        account->usage = usage.bytes;
        import_give(account, account->maildir.fd, "maildirsize");
    }
    return account->usage + needed > quota ? -EDQUOT : 0;
}

static void count(struct import_account *account)
{
    if (account->settings.quota != 0 &&
        maildir_size_add(&account->maildir, (int64_t)account->batch_bytes,
                         (int64_t)account->batch_count) < 0)
        account->quota_in_doubt = true;
    account->counts.messages += account->batch_count;
    account->counts.bytes += account->batch_bytes;
    account->batch_count = 0;
    account->batch_bytes = 0;
    account->is_promised = false;
}

/* --- a batch ---------------------------------------------------------------------------------- */

static int write_intent(struct import_account *account)
{
    struct buf text;

    buf_init(&text, INTENT_MAX);
    for (size_t i = 0; i < account->batch_count; i++) {
        const struct import_waiting *waiting = &account->batch[i];
        bool fits = true;

        for (size_t k = 0; k < IMPORT_ID; k++)
            fits = fits && buf_printf(&text, "%02x", waiting->id[k]);
        fits = fits && buf_printf(&text, "\t%s\t%s\n", account->folder.to, waiting->name);
        check(fits);
    }
    int error = small_file_write(account->maildir.fd, intent_name, "ringpost.importing.new",
                                 buf_bytes(&text));

    buf_free(&text);
    import_give(account, account->maildir.fd, intent_name);
    return error;
}

static int give_names(struct import_account *account)
{
    int error = 0;

    for (size_t i = 0; i < account->batch_count && error == 0; i++) {
        const struct import_waiting *waiting = &account->batch[i];
        char tmp[TMP_NAME_MAX];

        import_tmp_name(waiting->id, tmp);
        error =
            mail_file_rename(account->maildir.tmp_fd, tmp, account->folder.cur_fd, waiting->name);
    }
    return error < 0 ? error : mail_file_sync(account->folder.cur_fd);
}

void import_drop_batch(struct import_account *account)
{
    for (size_t i = 0; i < account->batch_count && !account->is_promised; i++) {
        char tmp[TMP_NAME_MAX];

        import_tmp_name(account->batch[i].id, tmp);
        (void)!mail_file_unlink(account->maildir.tmp_fd, tmp);
    }
    account->batch_count = 0;
}

int import_commit(struct import_account *account)
{
    if (account->batch_count == 0)
        return 0;
    int error = mail_file_sync_all(account->maildir.tmp_fd);

    if (error == 0)
        error = import_write_keywords(account);
    account->is_promised = error == 0;
    if (error == 0)
        error = write_intent(account);
    if (error == 0)
        error = give_names(account);
    for (size_t i = 0; i < account->batch_count && error == 0; i++)
        import_ids_add(&account->ids, account->batch[i].id);
    if (error == 0)
        error = import_ids_sync(&account->ids);
    if (error < 0)
        return import_end(account, error, "the mail of the account cannot be written: %s",
                          strerrordesc_np(-error));
    count(account);
    return 0;
}
