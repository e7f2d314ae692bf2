/* mail_batch.c - a batch: into tmp/, synced, remembered, named, synced. mail_store.h has why. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "inbound/store/mail_file.h"
#include "inbound/store/mail_store_private.h"
#include "inbound/store/maildir_size.h"
#include "inbound/store/special_folder.h"

enum {
    BOUNDED_STEP = 64,
    SYNC_EACH_MAX = 3, /* files: more are cheaper in one sync of the file system */
    FLAGS_ROOM = sizeof((struct filing_target){0}.flags) + 3, /* ":2," and the flags */
};

/* How far a message has come. */
enum {
    STEP_BEGUN,
    STEP_WRITTEN,    /* stands in tmp/ */
    STEP_REMEMBERED, /* and in the log */
    STEP_NAMED,
    STEP_OVER, /* has its result */
};

static void end(struct filing *filing, enum filing_result result)
{
    filing->result = result;
    filing->step = STEP_OVER;
}

/* `what`: what could not be done. */
static void fail(struct filing *filing, const char *what, int error)
{
    bool is_full = error == -ENOSPC || error == -EDQUOT;

    filing->error = error;
    filing->account->is_durable = false;
    snprintf(filing->why, sizeof(filing->why), "the store could not %s: %s", what,
             strerrordesc_np(-error));
    end(filing, is_full ? FILING_NO_SPACE : FILING_FAILED);
}

static size_t target_count(const struct filing *filing)
{
    return MAX(filing->target_count, (size_t)1);
}

/* --- accounts --------------------------------------------------------------------------------- */

/* The directory of a domain, for as long as accounts of it follow one another. */
static void turn_to_domain(const struct batch *batch, size_t number, int *domain_fd)
{
    const char *domain = batch->accounts[number]->domain;

    if (number > 0 && strcmp(batch->accounts[number - 1]->domain, domain) == 0)
        return;
    if (*domain_fd >= 0)
        mail_file_close(*domain_fd);
    *domain_fd = maildir_open_domain(batch->store->fd, domain);
}

static void open_accounts(struct batch *batch)
{
    int domain_fd = -1;

    for (size_t i = 0; i < batch->account_count; i++) {
        struct mail_account *account = batch->accounts[i];

        turn_to_domain(batch, i, &domain_fd);
        account->has_quota = false;
        account->error = domain_fd < 0
                             ? domain_fd
                             : maildir_open_in(domain_fd, account->local, &account->maildir);
        if (account->error < 0)
            log_limited(LOG_LEVEL_WARN, "account=%s what=\"its mail directory cannot be used: %s\"",
                        LOG_TEXT(account->node.key), strerrordesc_np(-account->error));
    }
    if (domain_fd >= 0)
        mail_file_close(domain_fd);
}

static void close_accounts(struct batch *batch)
{
    for (size_t i = 0; i < batch->account_count; i++)
        if (batch->accounts[i]->error == 0)
            maildir_close(&batch->accounts[i]->maildir);
}

/* False: it has its result. */
static bool find_room(struct filing *filing)
{
    struct mail_account *account = filing->account;
    uint64_t size = filing->size * target_count(filing); /* as Maildir++ counts links */
    int error;

    if (filing->quota == 0) {
        if (account->maildir.is_new || account->has_quota)
            return true;
        error = maildir_size_drop(&account->maildir);
        if (error < 0)
            fail(filing, "remove maildirsize", error);
        account->has_quota = error == 0;
        return error == 0;
    }
    if (size > filing->quota) {
        snprintf(filing->why, sizeof(filing->why),
                 "the message has %llu bytes, and the quota of the account is %llu",
                 (unsigned long long)size, (unsigned long long)filing->quota);
        end(filing, FILING_TOO_LARGE);
        return false;
    }
    if (!account->has_quota) {
        error = maildir_size_read(&account->maildir, filing->quota, account->is_in_doubt, size,
                                  &account->usage);
        if (error < 0) {
            fail(filing, "count what lies in the account", error);
            return false;
        }
        account->has_quota = account->has_use = true;
        account->is_in_doubt = false;
    }
    if (account->usage.bytes + size > filing->quota) {
        snprintf(filing->why, sizeof(filing->why),
                 "the account is full: it holds %llu bytes, and its quota is %llu",
                 (unsigned long long)account->usage.bytes, (unsigned long long)filing->quota);
        end(filing, FILING_OVER_QUOTA);
        return false;
    }
    account->usage.bytes += size;
    return true;
}

/* --- into tmp/ -------------------------------------------------------------------------------- */

static struct iovec piece_of(struct bytes b)
{
    return (struct iovec){(void *)(uintptr_t)b.ptr, b.len};
}

static void write_file(struct filing *filing, bool syncs)
{
    struct maildir *maildir = &filing->account->maildir;
    struct iovec pieces[] = {piece_of(filing->head), piece_of(filing->prefix),
                             piece_of(filing->content)};
    int fd = mail_file_open(maildir->tmp_fd, filing->name, O_WRONLY | O_CREAT | O_EXCL);

    if (fd == -EEXIST) { /* of an earlier try, which nobody remembers: it may be half of it */
        int error = mail_file_unlink(maildir->tmp_fd, filing->name);

        fd = error < 0 ? error
                       : mail_file_open(maildir->tmp_fd, filing->name, O_WRONLY | O_CREAT | O_EXCL);
    }
    if (fd < 0) {
        fail(filing, "make a file in tmp", fd);
        return;
    }
    int error = mail_file_write(fd, pieces, ARRAY_LEN(pieces));

    if (error == 0 && syncs)
        error = mail_file_sync(fd);
    mail_file_close(fd);
    if (error < 0) {
        (void)!mail_file_unlink(maildir->tmp_fd, filing->name);
        fail(filing, "write the message", error);
        return;
    }
    filing->step = STEP_WRITTEN;
}

/* --- names ------------------------------------------------------------------------------------ */

static void name(const struct mail_store *store, struct filing *filing)
{
    struct mail_file_name parts = {
        .time_s = filing->time_s,
        .node = store->settings.node,
        .message = filing->message,
        .recipient = filing->recipient,
        .host = store->settings.host,
    };

    filing->size = filing->head.len + filing->prefix.len + filing->content.len;
    parts.size = filing->size;
    mail_file_name_format(&parts, filing->name);
}

static const struct filing_target inbox = {.folder = ""};

static const struct filing_target *target_at(const struct filing *filing, size_t number)
{
    return filing->target_count == 0 ? &inbox : &filing->targets[number];
}

static const char *part_of(const struct filing_target *target)
{
    return target->flags[0] == '\0' ? "new" : "cur";
}

static void name_at(const struct filing *filing, const struct filing_target *target,
                    char out[static MAIL_NAME_MAX + 1])
{
    if (target->flags[0] == '\0')
        snprintf(out, MAIL_NAME_MAX + 1, "%s", filing->name);
    else
        /* The name is ours and far shorter: nothing is cut. */
        snprintf(out, MAIL_NAME_MAX + 1, "%.*s:2,%s", MAIL_NAME_MAX - FLAGS_ROOM, filing->name,
                 target->flags);
}

/* The folders that a batch puts something into. */
struct folders {
    size_t count;
    struct open_folder {
        const struct mail_account *account;
        const struct filing_target *target; /* the first that meant it */
        int fd;
        int error; /* of its sync */
    } of[BATCH_MAX];
};

static struct open_folder *find_folder(struct folders *folders, const struct filing *filing,
                                       const struct filing_target *target)
{
    for (size_t i = folders->count; i-- > 0;) {
        struct open_folder *folder = &folders->of[i];

        if (folder->account == filing->account &&
            strcmp(folder->target->folder, target->folder) == 0 &&
            strcmp(part_of(folder->target), part_of(target)) == 0)
            return folder;
    }
    return NULL;
}

/* NULL, with its result: it cannot be had. */
static struct open_folder *need_folder(struct folders *folders, struct filing *filing,
                                       const struct filing_target *target)
{
    struct open_folder *folder = find_folder(folders, filing, target);

    if (folder != NULL)
        return folder;
    if (folders->count == ARRAY_LEN(folders->of)) { /* so many folders in one batch */
        fail(filing, "open the folder", -EMFILE);
        return NULL;
    }
    int fd = maildir_open_folder(&filing->account->maildir, target->folder, part_of(target));

    if (fd < 0) {
        fail(filing, "open the folder", fd);
        return NULL;
    }
    folder = &folders->of[folders->count++];
    *folder = (struct open_folder){filing->account, target, fd, 0};
    return folder;
}

static bool is_named(const struct filing *filing, size_t target)
{
    return (filing->named & 1U << target) != 0;
}

/* In all of its folders but the last it is another name of the same file. */
static void give_name(struct folders *folders, struct filing *filing)
{
    size_t last = target_count(filing);

    while (last > 0 && is_named(filing, last - 1))
        last--;
    check(last > 0);
    for (size_t i = 0; i < last; i++) {
        const struct filing_target *target = target_at(filing, i);
        int tmp = filing->account->maildir.tmp_fd;
        char new_name[MAIL_NAME_MAX + 1];

        if (is_named(filing, i))
            continue;
        const struct open_folder *folder = need_folder(folders, filing, target);
        if (folder == NULL)
            return;
        name_at(filing, target, new_name);
        int error = i + 1 < last ? mail_file_link(tmp, filing->name, folder->fd, new_name)
                                 : mail_file_rename(tmp, filing->name, folder->fd, new_name);

        if (error < 0 && !(error == -EEXIST && i + 1 < last)) {
            fail(filing, "give the message its name", error);
            return;
        }
    }
    filing->step = STEP_NAMED;
}

/* --- what was begun before -------------------------------------------------------------------- */

static bool is_in_tmp(const struct filing *filing)
{
    struct stat status;

    return mail_file_stat(filing->account->maildir.tmp_fd, filing->name, &status) == 0;
}

/* In which of its folders it has its name, as it got it or (`whole`) as others renamed it. False:
 * it has its result. */
static bool find_names(struct folders *folders, struct filing *filing, bool whole)
{
    size_t base = bytes_find(bytes_of(filing->name), ',', 0);
    struct stat status;

    for (size_t i = 0; i < target_count(filing); i++) {
        const struct filing_target *target = target_at(filing, i);
        const struct open_folder *folder = need_folder(folders, filing, target);
        char new_name[MAIL_NAME_MAX + 1];

        if (folder == NULL)
            return false;
        name_at(filing, target, new_name);
        bool has = mail_file_stat(folder->fd, new_name, &status) == 0;
        int error = has || !whole ? 0
                                  : maildir_has(&filing->account->maildir, target->folder,
                                                bytes_range(filing->name, base + 1), &has);

        if (error < 0) {
            fail(filing, "look for the message", error);
            return false;
        }
        filing->named |= (uint16_t)(has ? 1U << i : 0);
    }
    return true;
}

/* It was tried before. It has its result, waits for its names, has them, or is to be written; then
 * for the folders that lack it. */
static void resume(struct mail_store *store, struct folders *folders, struct filing *filing)
{
    enum filed filed =
        filed_log_find(store->log, filing->message, filing->recipient, filing->account->node.key);
    size_t count = target_count(filing);
    bool waits = filed == FILED_SINCE && is_in_tmp(filing);
    bool has_all = filed == FILED_SINCE && !waits; /* its name in tmp/ goes with the last one */

    /* One that has but one name to come has none yet. */
    if (!has_all && !(waits && count == 1) && !find_names(folders, filing, filed != FILED_NOT))
        return;
    has_all = has_all || filing->named == (1U << count) - 1;
    if (!has_all) {
        /* The machine may have gone down before the bytes in tmp/ were on disk. */
        filing->step = waits ? STEP_REMEMBERED : STEP_BEGUN;
        return;
    }
    filing->was_filed = true;
    filing->step = STEP_NAMED; /* which may not be durable */
    for (size_t i = 0; i < count; i++)
        if (need_folder(folders, filing, target_at(filing, i)) == NULL)
            return;
}

/* --- the batch -------------------------------------------------------------------------------- */

static void begin(struct mail_store *store, struct folders *folders, struct filing *filing,
                  bool syncs)
{
    filing->step = STEP_BEGUN;
    filing->is_dropped = false;
    filing->named = 0;
    if (filing->sort != NULL)
        filing->sort(filing);
    if (filing->is_dropped) {
        end(filing, FILING_DONE);
        return;
    }
    if (filing->account->error < 0) {
        fail(filing,
             filing->account->error == -ELOOP || filing->account->error == -ENOTDIR
                 ? "open the account: its directory is a link or a file"
                 : "open the account",
             filing->account->error);
        return;
    }
    if (filing->use != NULL)
        special_folder(&filing->account->maildir, filing->use, filing->targets[0].folder);
    name(store, filing);
    if (filing->may_be_filed)
        resume(store, folders, filing);
    if (filing->step == STEP_BEGUN && find_room(filing))
        write_file(filing, syncs);
}

static size_t count_at(const struct batch *batch, uint8_t step)
{
    size_t count = 0;

    for (size_t i = 0; i < batch->count; i++)
        count += batch->filings[i]->step == step;
    return count;
}

static void fail_all_at(struct batch *batch, uint8_t step, const char *what, int error)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->filings[i]->step == step)
            fail(batch->filings[i], what, error);
}

/* Those that were written before and by whom nobody knows: once more. */
static int sync_resumed(struct batch *batch)
{
    int error = 0;

    for (size_t i = 0; i < batch->count && error == 0; i++) {
        const struct filing *filing = batch->filings[i];

        if (filing->step != STEP_REMEMBERED)
            continue;
        int fd = mail_file_open(filing->account->maildir.tmp_fd, filing->name, O_RDONLY);

        error = fd < 0 ? fd : mail_file_sync(fd);
        if (fd >= 0)
            mail_file_close(fd);
    }
    return error;
}

static int remember(struct batch *batch)
{
    struct filed_record records[BATCH_MAX];
    uint32_t now_s = (uint32_t)(clock_wall_ms() / 1000);
    size_t count = 0;

    for (size_t i = 0; i < batch->count; i++) {
        const struct filing *filing = batch->filings[i];

        if (filing->step == STEP_WRITTEN)
            records[count++] = (struct filed_record){filing->message, filing->recipient, now_s,
                                                     filing->account->node.key};
    }
    return count == 0 ? 0 : filed_log_add(batch->store->log, count, records);
}

/* From here on a file in tmp/ stays where it is, whatever fails: the log may tell of it. */
static void make_durable(struct batch *batch, bool syncs_all)
{
    struct mail_store *store = batch->store;
    bool is_any = count_at(batch, STEP_WRITTEN) > 0;
    int error = remember(batch);

    if (error < 0) {
        fail_all_at(batch, STEP_WRITTEN, "remember the message", error);
        is_any = false;
    }
    error = !is_any ? 0 : syncs_all ? mail_file_sync_all(store->fd) : filed_log_sync(store->log);
    if (error < 0)
        fail_all_at(batch, STEP_WRITTEN, "make the message durable", error);
    error = sync_resumed(batch);
    if (error < 0)
        fail_all_at(batch, STEP_REMEMBERED, "make the message durable", error);
}

static void sync_folders(struct batch *batch, struct folders *folders, bool syncs_all)
{
    int of_all =
        syncs_all && count_at(batch, STEP_NAMED) > 0 ? mail_file_sync_all(batch->store->fd) : 0;

    for (size_t i = 0; i < folders->count; i++) {
        struct open_folder *folder = &folders->of[i];

        folder->error = syncs_all ? of_all : mail_file_sync(folder->fd);
        mail_file_close(folder->fd);
    }
}

/* What came into an account is counted; in doubt, where that fails. */
static void count_filed(struct filing *filing)
{
    struct mail_account *account = filing->account;

    if (filing->quota == 0 || filing->was_filed)
        return;
    for (size_t i = 0; i < target_count(filing); i++)
        if (!is_named(filing, i) &&
            maildir_size_add(&account->maildir, (int64_t)filing->size, 1) < 0)
            account->is_in_doubt = true;
}

/* At the first one and then at times, so that a folder holds a few more. That it fails is no
 * failure of the filing. */
static void keep_bounds(struct filing *filing)
{
    struct mail_account *account = filing->account;
    struct maildir_usage removed;

    if (filing->bounds == NULL || filing->target_count != 1 || account->bounded++ % BOUNDED_STEP)
        return;
    int error =
        mail_bounds_keep(&account->maildir, filing->targets[0].folder, filing->bounds, &removed);

    if (error < 0)
        log_limited(LOG_LEVEL_WARN,
                    "account=%s folder=%s what=\"its old messages cannot be removed: %s\"",
                    LOG_TEXT(account->node.key), LOG_STRING(filing->targets[0].folder),
                    strerrordesc_np(-error));
    if (removed.messages > 0 && filing->quota != 0 &&
        maildir_size_add(&account->maildir, -(int64_t)removed.bytes, -(int64_t)removed.messages) <
            0)
        account->is_in_doubt = true;
}

static void tell(const struct mail_store *store, const struct filing *filing)
{
    const struct mail_store_settings *settings = &store->settings;

    for (size_t i = 0; settings->filed != NULL && i < target_count(filing); i++)
        settings->filed(settings->context, filing->account->domain, filing->account->local,
                        target_at(filing, i)->folder);
}

static void finish(const struct mail_store *store, struct folders *folders, struct filing *filing,
                   bool syncs_all)
{
    int error = 0;

    if (filing->step != STEP_NAMED)
        return;
    for (size_t i = 0; i < target_count(filing) && error == 0; i++) {
        const struct open_folder *folder = find_folder(folders, filing, target_at(filing, i));

        error = folder != NULL ? folder->error : -EIO;
    }
    if (error < 0) {
        filing->account->is_in_doubt = true;
        fail(filing, "make the message's name durable", error);
        return;
    }
    filing->account->is_durable |= syncs_all;
    count_filed(filing);
    keep_bounds(filing);
    tell(store, filing);
    end(filing, FILING_DONE);
}

/* Directories that are there may have been made by a program that died before it synced them. */
static bool has_doubtful_directories(const struct batch *batch)
{
    for (size_t i = 0; i < batch->account_count; i++)
        if (!batch->accounts[i]->is_durable)
            return true;
    return false;
}

void batch_run(struct batch *batch)
{
    bool syncs_all = batch->count > SYNC_EACH_MAX || has_doubtful_directories(batch);
    struct folders folders;

    folders.count = 0;
    open_accounts(batch);
    for (size_t i = 0; i < batch->count; i++)
        begin(batch->store, &folders, batch->filings[i], !syncs_all);
    make_durable(batch, syncs_all);
    for (size_t i = 0; i < batch->count; i++)
        if (batch->filings[i]->step == STEP_WRITTEN || batch->filings[i]->step == STEP_REMEMBERED)
            give_name(&folders, batch->filings[i]);
    sync_folders(batch, &folders, syncs_all);
    for (size_t i = 0; i < batch->count; i++)
        finish(batch->store, &folders, batch->filings[i], syncs_all);
    close_accounts(batch);
}

void batch_fail(struct batch *batch, int error)
{
    for (size_t i = 0; i < batch->count; i++)
        fail(batch->filings[i], "be opened", error);
}
