/* account.c - accounts and mailboxes in memory: opened, shared, closed when nobody needs them. */
#include "inbound/mailbox/account.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "inbound/mailbox/account_event.h"
#include "inbound/mailbox/account_private.h"
#include "inbound/mailbox/folder_name.h"
#include "inbound/mailbox/notice.h"
#include "inbound/store/mail_file.h"

/* --- the process's ---------------------------------------------------------------------------- */

static void *tidy_again_and_again(void *context)
{
    struct mail_accounts *accounts = context;

    pthread_mutex_lock(&accounts->mutex);
    while (!accounts->is_stopping) {
        struct timespec until;

        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += LAZY_MS / 1000;
        pthread_cond_timedwait(&accounts->stop, &accounts->mutex, &until);
        if (accounts->is_stopping)
            break;
        pthread_mutex_unlock(&accounts->mutex);
        mail_accounts_tidy(accounts, false);
        pthread_mutex_lock(&accounts->mutex);
    }
    pthread_mutex_unlock(&accounts->mutex);
    return NULL;
}

static int open_directory(const char *path)
{
    int fd = mail_file_open_directory(AT_FDCWD, path);

    if (fd != -ENOENT)
        return fd;
    int error = mail_file_make_directory(AT_FDCWD, path);

    return error < 0 && error != -EEXIST ? error : mail_file_open_directory(AT_FDCWD, path);
}

struct mail_accounts *mail_accounts_open(const struct mail_accounts_settings *settings,
                                         char why_out[static ACCOUNTS_WHY_MAX])
{
    struct mail_accounts *accounts = calloc(1, sizeof(*accounts));
    pthread_condattr_t attributes;

    check(accounts != NULL);
    accounts->fd = open_directory(settings->directory);
    if (accounts->fd < 0) {
        snprintf(why_out, ACCOUNTS_WHY_MAX, "%.120s: %s", settings->directory,
                 strerrordesc_np(-accounts->fd));
        free(accounts);
        return NULL;
    }
    snprintf(accounts->host, sizeof(accounts->host), "%.100s", settings->host);
    for (char *at = accounts->host; *at != '\0'; at++)
        if (!byte_is_alnum((uint8_t)*at) && *at != '-' && *at != '.')
            *at = '_';
    accounts->idle_max = settings->idle_max != 0 ? settings->idle_max : IDLE_DEFAULT;
    pthread_mutex_init(&accounts->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&accounts->stop, &attributes);
    pthread_condattr_destroy(&attributes);
    map_init(&accounts->accounts);
    accounts->notice = notice_start();
    if (pthread_create(&accounts->tidier, NULL, tidy_again_and_again, accounts) != 0) {
        snprintf(why_out, ACCOUNTS_WHY_MAX, "there is no thread to be had");
        mail_accounts_close(&accounts);
        return NULL;
    }
    accounts->has_tidier = true;
    pthread_setname_np(accounts->tidier, "mail-tidy");
    return accounts;
}

void mail_accounts_close(struct mail_accounts **accounts_ref)
{
    struct mail_accounts *accounts = *accounts_ref;

    if (accounts == NULL)
        return;
    *accounts_ref = NULL;
    pthread_mutex_lock(&accounts->mutex);
    accounts->is_stopping = true;
    pthread_cond_signal(&accounts->stop);
    pthread_mutex_unlock(&accounts->mutex);
    if (accounts->has_tidier)
        pthread_join(accounts->tidier, NULL);
    mail_accounts_tidy(accounts, true);
    check(accounts->accounts.count == 0);
    notice_stop(&accounts->notice);
    mail_file_close(accounts->fd);
    map_free(&accounts->accounts);
    pthread_cond_destroy(&accounts->stop);
    pthread_mutex_destroy(&accounts->mutex);
    free(accounts);
}

/* --- accounts --------------------------------------------------------------------------------- */

static struct mail_account *make_account(struct mail_accounts *accounts, struct bytes key)
{
    struct mail_account *account = calloc(1, sizeof(*account) + key.len + 1);

    check(account != NULL);
    memcpy(account->key, key.ptr, key.len);
    account->accounts = accounts;
    account->maildir = (struct maildir){.fd = -1, .tmp_fd = -1};
    account->quota_in_doubt = true;
    pthread_mutex_init(&account->mutex, NULL);
    pthread_mutex_init(&account->quota_mutex, NULL);
    pthread_mutex_init(&account->validity_mutex, NULL);
    pthread_mutex_init(&account->event_mutex, NULL);
    map_init(&account->mailboxes);
    map_insert(&accounts->accounts, &account->node, bytes_range(account->key, key.len));
    return account;
}

static void release_account(struct mail_account *account)
{
    struct mail_accounts *accounts = account->accounts;

    pthread_mutex_lock(&accounts->mutex);
    bool is_last = --account->refs == 0;

    if (is_last)
        map_remove(&accounts->accounts, &account->node);
    pthread_mutex_unlock(&accounts->mutex);
    if (!is_last)
        return;
    check(account->mailboxes.count == 0);
    if (account->maildir.fd >= 0)
        maildir_close(&account->maildir);
    map_free(&account->mailboxes);
    pthread_mutex_destroy(&account->mutex);
    pthread_mutex_destroy(&account->quota_mutex);
    pthread_mutex_destroy(&account->validity_mutex);
    pthread_mutex_destroy(&account->event_mutex);
    free(account);
}

static void hold_account(struct mail_account *account)
{
    pthread_mutex_lock(&account->accounts->mutex);
    account->refs++;
    pthread_mutex_unlock(&account->accounts->mutex);
}

int mail_account_open(struct mail_accounts *accounts, struct bytes domain, struct bytes local,
                      uint64_t quota, struct mail_account **account_out)
{
    char domain_name[MAIL_NAME_MAX + 1], local_name[MAIL_NAME_MAX + 1];
    char key[2 * MAIL_NAME_MAX + 2];

    if (!mail_name_encode(domain, domain_name) || !mail_name_encode(local, local_name))
        return -EINVAL;
    int len = snprintf(key, sizeof(key), "%s/%s", domain_name, local_name);

    pthread_mutex_lock(&accounts->mutex);
    struct map_node *node = map_find(&accounts->accounts, bytes_range(key, (size_t)len));
    struct mail_account *account = node != NULL
                                       ? container_of(node, struct mail_account, node)
                                       : make_account(accounts, bytes_range(key, (size_t)len));

    account->refs++;
    pthread_mutex_unlock(&accounts->mutex);
    pthread_mutex_lock(&account->mutex);
    int error = account->maildir.fd >= 0
                    ? 0
                    : maildir_open(accounts->fd, domain_name, local_name, &account->maildir);

    pthread_mutex_unlock(&account->mutex);
    if (error < 0) {
        release_account(account);
        return error;
    }
    pthread_mutex_lock(&account->quota_mutex);
    account->quota = quota;
    pthread_mutex_unlock(&account->quota_mutex);
    *account_out = account;
    return 0;
}

void mail_account_close(struct mail_account **account)
{
    if (*account != NULL)
        release_account(*account);
    *account = NULL;
}

/* --- mailboxes -------------------------------------------------------------------------------- */

static struct mailbox *make_mailbox(struct mail_account *account, const char *folder)
{
    struct mailbox *mailbox = calloc(1, sizeof(*mailbox));
    pthread_mutexattr_t attributes;

    check(mailbox != NULL);
    mailbox->account = account;
    snprintf(mailbox->folder, sizeof(mailbox->folder), "%s", folder);
    mailbox->folder_fd = mailbox->new_fd = mailbox->cur_fd = -1;
    mailbox->index_fd = mailbox->cache_fd = -1;
    mailbox->watch_new = mailbox->watch_cur = -1;
    buf_init(&mailbox->pending, SIZE_MAX / 2);
    buf_init(&mailbox->cache_tail, SIZE_MAX / 2);
    pthread_mutex_init(&mailbox->scan, NULL);
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE); /* mailbox_hold() */
    pthread_mutex_init(&mailbox->mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    pthread_cond_init(&mailbox->changed, NULL);
    hold_account(account);
    return mailbox;
}

void account_free_mailbox(struct mailbox *mailbox)
{
    struct mail_account *account = mailbox->account;

    mailbox_unload(mailbox);
    if (mailbox->kept != NULL)
        mailbox->kept->drop(mailbox->kept);
    pthread_mutex_destroy(&mailbox->scan);
    pthread_mutex_destroy(&mailbox->mutex);
    pthread_cond_destroy(&mailbox->changed);
    free(mailbox);
    release_account(account);
}

/* The account's lock is held; nobody has it open. */
static void evict(struct mailbox *mailbox)
{
    struct mail_account *account = mailbox->account;

    check(mailbox->refs == 0);
    if (!mailbox->is_out) {
        mailbox_cache_write(mailbox);
        int error = mailbox_finish(mailbox);

        if (error < 0)
            log_limited(LOG_LEVEL_WARN,
                        "account=%s folder=%s what=\"what is lazy in a mailbox "
                        "cannot be done: %s\"",
                        LOG_TEXT(account->node.key), LOG_STRING(mailbox->folder),
                        strerrordesc_np(-error));
        map_remove(&account->mailboxes, &mailbox->node);
        account->accounts->idle_count--;
    }
    account_free_mailbox(mailbox);
}

/* The account's lock is held. */
static int find_or_load(struct mail_account *account, const char *folder, struct mailbox **out)
{
    struct map_node *node = map_find(&account->mailboxes, bytes_of(folder));

    if (node != NULL) {
        *out = container_of(node, struct mailbox, node);
        account->accounts->idle_count -= (*out)->refs == 0;
        (*out)->refs++;
        return 0;
    }
    struct mailbox *mailbox = make_mailbox(account, folder);

    pthread_mutex_lock(&mailbox->mutex);
    int error = mailbox_load(mailbox);

    if (error == 0)
        mailbox_cache_open(mailbox);
    mailbox->is_loaded = error == 0;
    pthread_mutex_unlock(&mailbox->mutex);
    if (error < 0) {
        account_free_mailbox(mailbox);
        return error;
    }
    mailbox->refs = 1;
    map_insert(&account->mailboxes, &mailbox->node, bytes_of(mailbox->folder));
    *out = mailbox;
    return 0;
}

int account_open_folder(struct mail_account *account, const char *folder, struct mailbox **out)
{
    struct mailbox *mailbox;

    pthread_mutex_lock(&account->mutex);
    int error = find_or_load(account, folder, &mailbox);

    pthread_mutex_unlock(&account->mutex);
    if (error < 0)
        return error;
    error = mailbox_look(mailbox);
    if (error < 0) {
        mailbox_close(&mailbox);
        return error;
    }
    *out = mailbox;
    return 0;
}

int mailbox_open(struct mail_account *account, struct bytes name, struct mailbox **mailbox_out)
{
    char folder[MAIL_FOLDER_MAX + 1];

    if (!mail_folder_encode(name, folder))
        return -EINVAL;
    return account_open_folder(account, folder, mailbox_out);
}

void mailbox_close(struct mailbox **mailbox_ref)
{
    struct mailbox *mailbox = *mailbox_ref;

    if (mailbox == NULL)
        return;
    *mailbox_ref = NULL;
    struct mail_account *account = mailbox->account;

    hold_account(account); /* it may be the last that holds it */
    pthread_mutex_lock(&account->mutex);
    check(mailbox->refs > 0);
    if (--mailbox->refs == 0) {
        mailbox->idle_since_ms = clock_monotonic_ms();
        if (!mailbox->is_out)
            account->accounts->idle_count++;
        if (mailbox->is_out || account->accounts->idle_count > account->accounts->idle_max)
            evict(mailbox);
    }
    pthread_mutex_unlock(&account->mutex);
    release_account(account);
}

/* --- lazy ------------------------------------------------------------------------------------- */

struct collection {
    size_t count, capacity;
    void **of;
};

static void collect(struct collection *collection, void *object)
{
    if (collection->count == collection->capacity) {
        collection->capacity = MAX(collection->capacity * 2, (size_t)64);
        collection->of = realloc(collection->of, collection->capacity * sizeof(void *));
        check(collection->of != NULL);
    }
    collection->of[collection->count++] = object;
}

static void collect_account(void *context, struct map_node *node)
{
    struct mail_account *account = container_of(node, struct mail_account, node);

    account->refs++;
    collect(context, account);
}

static void collect_mailbox(void *context, struct map_node *node)
{
    collect(context, container_of(node, struct mailbox, node));
}

static bool wants_flush(struct mailbox *mailbox, bool all)
{
    pthread_mutex_lock(&mailbox->mutex);
    bool wants = mailbox->dirty_count > 0 &&
                 (all || clock_monotonic_ms() - mailbox->dirty_since_ms >= LAZY_MS);

    pthread_mutex_unlock(&mailbox->mutex);
    return wants;
}

static void tidy_account(struct mail_account *account, bool all)
{
    struct collection flushed = {0}, seen = {0};
    int64_t now_ms = clock_monotonic_ms();

    pthread_mutex_lock(&account->mutex);
    map_for_each(&account->mailboxes, collect_mailbox, &seen);
    for (size_t i = 0; i < seen.count; i++) {
        struct mailbox *mailbox = seen.of[i];

        if (mailbox->refs == 0 && (all || now_ms - mailbox->idle_since_ms >= IDLE_MS)) {
            evict(mailbox);
        } else if (wants_flush(mailbox, all)) {
            account->accounts->idle_count -= mailbox->refs == 0;
            mailbox->refs++;
            collect(&flushed, mailbox);
        }
    }
    pthread_mutex_unlock(&account->mutex);
    for (size_t i = 0; i < flushed.count; i++) {
        struct mailbox *mailbox = flushed.of[i];

        mailbox_flush(mailbox);
        mailbox_close(&mailbox);
    }
    free(flushed.of);
    free(seen.of);
}

void mail_accounts_tidy(struct mail_accounts *accounts, bool all)
{
    struct collection held = {0};

    pthread_mutex_lock(&accounts->mutex);
    map_for_each(&accounts->accounts, collect_account, &held);
    pthread_mutex_unlock(&accounts->mutex);
    for (size_t i = 0; i < held.count; i++) {
        tidy_account(held.of[i], all);
        release_account(held.of[i]);
    }
    free(held.of);
}

/* --- what filing did -------------------------------------------------------------------------- */

static void tell_filed(struct mail_account *account, const char *folder)
{
    struct account_event event = {.kind = ACCOUNT_FILED};
    uint8_t name[MAILBOX_NAME_MAX];
    size_t len = 0;

    if (folder[0] != '\0' && !folder_name_decode(bytes_of(folder), name, &len))
        return;
    event.name = folder[0] == '\0' ? BYTES("INBOX") : bytes_range(name, len);
    mail_account_tell(account, &event);
}

void mail_accounts_notice(struct mail_accounts *accounts, const char *domain, const char *local,
                          const char *folder)
{
    char key[2 * MAIL_NAME_MAX + 2];
    int len = snprintf(key, sizeof(key), "%.255s/%.255s", domain, local);

    pthread_mutex_lock(&accounts->mutex);
    struct map_node *node = map_find(&accounts->accounts, bytes_range(key, (size_t)len));
    struct mail_account *account =
        node == NULL ? NULL : container_of(node, struct mail_account, node);

    if (account != NULL)
        account->refs++;
    pthread_mutex_unlock(&accounts->mutex);
    if (account == NULL)
        return;
    pthread_mutex_lock(&account->mutex);
    node = map_find(&account->mailboxes, bytes_of(folder));
    if (node != NULL) {
        struct mailbox *mailbox = container_of(node, struct mailbox, node);

        pthread_mutex_lock(&mailbox->mutex);
        if (mailbox->watch_new < 0 || mailbox->watch_cur < 0) /* else inotify tells it */
            mailbox_news(mailbox, true, NULL);
        pthread_mutex_unlock(&mailbox->mutex);
    }
    pthread_mutex_unlock(&account->mutex);
    if (node == NULL)
        tell_filed(account, folder);
    release_account(account);
}
