/* mail_store_files.c - the directory and its log: opened at the start, or as soon as that works. */
#include <errno.h>
#include <string.h>

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

int mail_store_need_files(struct mail_store *store, mail_store_doubt_fn *doubt)
{
    int64_t now_ms = clock_monotonic_ms();

    pthread_mutex_lock(&store->opening);
    if (store->fd < 0 && now_ms >= store->open_again_ms) {
        int error = open_files(store, doubt);

        tell(store, error);
        store->open_error = error;
        store->open_again_ms = now_ms + store->settings.open_again_ms;
    }
    int error = store->open_error;
    pthread_mutex_unlock(&store->opening);
    return error;
}

void mail_store_close_files(struct mail_store *store)
{
    filed_log_close(&store->log);
    if (store->fd >= 0)
        mail_file_close(store->fd);
    store->fd = -1;
}
