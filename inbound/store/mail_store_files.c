/* mail_store_files.c - the directory and its log: opened at the start, or as soon as that works. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "inbound/store/mail_file.h"
#include "inbound/store/mail_store_private.h"

static int open_files(struct mail_store *store, mail_store_doubt_fn *doubt)
{
    int fd = mail_file_open_root(store->settings.directory);

    if (fd < 0)
        return fd;
    int error = filed_log_open(fd, doubt, store, &store->log);
    if (error < 0) {
        mail_file_close(fd);
        return error;
    }
    store->fd = fd;
    return 0;
}

static void tell(const struct mail_store *store, int error)
{
    if (error < 0)
        log_limited(
            LOG_LEVEL_ERROR,
            "store=%s what=\"it cannot be opened, and accounts' mail waits until it can be: "
            "%s\"",
            LOG_STRING(store->settings.directory), strerrordesc_np(-error));
    else if (store->open_error < 0)
        log_info("store=%s what=\"it is open now\"", LOG_STRING(store->settings.directory));
}

/* What is open is not what stands there any more: it was removed, or another took its place. */
static bool is_elsewhere(const struct mail_store *store)
{
    struct stat ours, there;

    return fstat(store->fd, &ours) == 0 &&
           (ours.st_nlink == 0 || (stat(store->settings.directory, &there) == 0 &&
                                   (ours.st_dev != there.st_dev || ours.st_ino != there.st_ino)));
}

/* Nobody would look for mail there. Batches that are under way end first. */
static void leave(struct mail_store *store)
{
    store->open_error = -ESTALE;
    log_limited(LOG_LEVEL_ERROR,
                "store=%s what=\"it was removed or replaced while it was open: accounts' mail goes "
                "into what is there now\"",
                LOG_STRING(store->settings.directory));
    if (store->users > 0)
        return;
    mail_store_close_files(store);
    store->open_again_ms = 0;
}

int mail_store_take_files(struct mail_store *store, mail_store_doubt_fn *doubt)
{
    int64_t now_ms = clock_monotonic_ms();

    pthread_mutex_lock(&store->opening);
    if (store->fd >= 0 && is_elsewhere(store))
        leave(store);
    else if (store->fd >= 0)
        store->open_error = 0;
    if (store->fd < 0 && now_ms >= store->open_again_ms) {
        int error = open_files(store, doubt);

        tell(store, error);
        store->open_error = error;
        store->open_again_ms = now_ms + store->settings.open_again_ms;
    }
    int error = store->open_error;
    if (error == 0)
        store->users++;
    pthread_mutex_unlock(&store->opening);
    return error;
}

void mail_store_give_files(struct mail_store *store)
{
    pthread_mutex_lock(&store->opening);
    check(store->users > 0);
    store->users--;
    pthread_mutex_unlock(&store->opening);
}

void mail_store_close_files(struct mail_store *store)
{
    filed_log_close(&store->log);
    if (store->fd >= 0)
        mail_file_close(store->fd);
    store->fd = -1;
}
