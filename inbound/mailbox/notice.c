/* notice.c - events of inotify to mailboxes. */
#include "inbound/mailbox/notice.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "inbound/store/mail_file.h"

struct watched {
    struct map_node node; /* key: the descriptor's number */
    struct mailbox *mailbox;
    int number;
    bool is_new;
};

struct notice {
    int fd, wake_fd;
    _Atomic bool is_draining;
    pthread_t thread;
    pthread_mutex_t reading; /* taken before it, until what was read is told */
    /* Of what is below, and the last of all locks: mailboxes are added while theirs are held. */
    pthread_mutex_t mutex;
    struct map watched;
    struct mailbox *told; /* is being told: it must not go */
    pthread_cond_t is_told;
};

static struct bytes key_of(const int *number)
{
    return bytes_range(number, sizeof(*number));
}

/* --- what is news ----------------------------------------------------------------------------- */

/* Our own renames come back as events, of names that are as the index has them. */
static bool is_known(struct mailbox *mailbox, bool is_in_new, const char *text)
{
    char now[MAIL_NAME_MAX + 1];
    struct file_name name;
    struct stat status;

    if (!file_name_split(bytes_of(text), is_in_new, &name))
        return true; /* nothing of ours */
    const struct message *message = messages_find_name(&mailbox->state.table, name.base);
    int directory = is_in_new ? mailbox->new_fd : mailbox->cur_fd;
    bool is_there = mail_file_stat(directory, text, &status) == 0;

    if (message == NULL)
        return !is_there;
    messages_file(&mailbox->state.table, message, now);
    bool is_same = ((message->bits & MESSAGE_IN_NEW) != 0) == is_in_new && strcmp(now, text) == 0;

    return is_same == is_there;
}

void mailbox_news(struct mailbox *mailbox, bool is_in_new, const char *name)
{
    if (name != NULL && (mailbox->news_all || is_known(mailbox, is_in_new, name)))
        return;
    if (name == NULL || mailbox->news_count == NEWS_MAX || strlen(name) > MAIL_NAME_MAX) {
        mailbox->news_all = true;
    } else {
        if (mailbox->news == NULL)
            mailbox->news = malloc(NEWS_MAX * sizeof(*mailbox->news));
        check(mailbox->news != NULL);
        struct news *news = &mailbox->news[mailbox->news_count++];

        news->is_in_new = is_in_new;
        memcpy(news->name, name, strlen(name) + 1);
    }
    mailbox_tell(mailbox);
}

/* --- events ----------------------------------------------------------------------------------- */

/* Under `reading`; `name` NULL: whatever. */
static void tell(struct notice *notice, int number, const char *name)
{
    pthread_mutex_lock(&notice->mutex);
    struct map_node *node = map_find(&notice->watched, key_of(&number));
    struct watched *watched = node == NULL ? NULL : container_of(node, struct watched, node);
    struct mailbox *mailbox = watched == NULL ? NULL : watched->mailbox;
    bool is_new = watched != NULL && watched->is_new;

    notice->told = mailbox;
    pthread_mutex_unlock(&notice->mutex);
    if (mailbox == NULL)
        return;
    pthread_mutex_lock(&mailbox->mutex);
    if (name == NULL || (mailbox->is_loaded && !mailbox->is_gone && !mailbox->is_broken))
        mailbox_news(mailbox, is_new, name);
    pthread_mutex_unlock(&mailbox->mutex);
    pthread_mutex_lock(&notice->mutex);
    notice->told = NULL;
    pthread_cond_broadcast(&notice->is_told);
    pthread_mutex_unlock(&notice->mutex);
}

struct numbers {
    size_t count;
    int *all;
};

static void take_number(void *context, struct map_node *node)
{
    struct numbers *numbers = context;

    numbers->all[numbers->count++] = container_of(node, struct watched, node)->number;
}

/* Events were lost: anything may have happened anywhere. */
static void tell_all(struct notice *notice)
{
    struct numbers numbers = {0};

    pthread_mutex_lock(&notice->mutex);
    numbers.all = calloc(notice->watched.count + 1, sizeof(*numbers.all));
    check(numbers.all != NULL);
    map_for_each(&notice->watched, take_number, &numbers);
    pthread_mutex_unlock(&notice->mutex);
    for (size_t i = 0; i < numbers.count; i++)
        tell(notice, numbers.all[i], NULL);
    free(numbers.all);
}

static void on_event(struct notice *notice, const struct inotify_event *event)
{
    if ((event->mask & IN_Q_OVERFLOW) != 0)
        tell_all(notice);
    else if (event->len > 0)
        tell(notice, event->wd, event->name);
}

void notice_drain(struct notice *notice)
{
    _Alignas(struct inotify_event) char buffer[16 << 10];
    ssize_t len;

    if (notice == NULL)
        return;
    pthread_mutex_lock(&notice->reading);
    atomic_store(&notice->is_draining, true);
    while ((len = read(notice->fd, buffer, sizeof(buffer))) > 0) {
        for (ssize_t at = 0; at < len;) {
            const struct inotify_event *event = (const void *)(buffer + at);

            on_event(notice, event);
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    }
    atomic_store(&notice->is_draining, false);
    pthread_mutex_unlock(&notice->reading);
}

bool notice_is_drained(struct notice *notice)
{
    int unread = 0;

    /* In this order: what was read is being told. */
    return notice != NULL && ioctl(notice->fd, FIONREAD, &unread) == 0 && unread == 0 &&
           !atomic_load(&notice->is_draining);
}

static void *run(void *context)
{
    struct notice *notice = context;
    struct pollfd polled[] = {{.fd = notice->fd, .events = POLLIN},
                              {.fd = notice->wake_fd, .events = POLLIN}};

    for (;;) {
        if (poll(polled, ARRAY_LEN(polled), -1) < 0 && errno != EINTR)
            break;
        if (polled[1].revents != 0)
            break;
        notice_drain(notice);
    }
    return NULL;
}

/* --- begin and end ---------------------------------------------------------------------------- */

struct notice *notice_start(void)
{
    struct notice *notice = calloc(1, sizeof(*notice));

    check(notice != NULL);
    notice->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    notice->wake_fd = eventfd(0, EFD_CLOEXEC);
    map_init(&notice->watched);
    pthread_mutex_init(&notice->reading, NULL);
    pthread_mutex_init(&notice->mutex, NULL);
    pthread_cond_init(&notice->is_told, NULL);
    if (notice->fd >= 0 && notice->wake_fd >= 0 &&
        pthread_create(&notice->thread, NULL, run, notice) == 0) {
        pthread_setname_np(notice->thread, "mail-notice");
        return notice;
    }
    log_warn("what=\"no inotify: what others do in mailboxes is seen when somebody looks\"");
    if (notice->fd >= 0)
        close(notice->fd);
    if (notice->wake_fd >= 0)
        close(notice->wake_fd);
    map_free(&notice->watched);
    pthread_mutex_destroy(&notice->reading);
    pthread_mutex_destroy(&notice->mutex);
    pthread_cond_destroy(&notice->is_told);
    free(notice);
    return NULL;
}

void notice_stop(struct notice **notice_ref)
{
    struct notice *notice = *notice_ref;
    uint64_t one = 1;

    if (notice == NULL)
        return;
    *notice_ref = NULL;
    (void)!write(notice->wake_fd, &one, sizeof(one));
    pthread_join(notice->thread, NULL);
    close(notice->fd);
    close(notice->wake_fd);
    check(notice->watched.count == 0);
    map_free(&notice->watched);
    pthread_mutex_destroy(&notice->reading);
    pthread_mutex_destroy(&notice->mutex);
    pthread_cond_destroy(&notice->is_told);
    free(notice);
}

static int add_one(struct notice *notice, struct mailbox *mailbox, int fd, bool is_new)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int number =
        inotify_add_watch(notice->fd, path,
                          IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR);

    /* The same directory again: a mailbox that is still being closed. */
    if (number < 0 || map_find(&notice->watched, key_of(&number)) != NULL)
        return -1;
    struct watched *watched = calloc(1, sizeof(*watched));

    check(watched != NULL);
    watched->mailbox = mailbox;
    watched->number = number;
    watched->is_new = is_new;
    map_insert(&notice->watched, &watched->node, key_of(&watched->number));
    return number;
}

static void remove_one(struct notice *notice, int *number)
{
    if (*number < 0)
        return;
    struct map_node *node = map_find(&notice->watched, key_of(number));

    check(node != NULL);
    inotify_rm_watch(notice->fd, *number);
    map_remove(&notice->watched, node);
    free(container_of(node, struct watched, node));
    *number = -1;
}

void notice_add(struct notice *notice, struct mailbox *mailbox)
{
    pthread_mutex_lock(&notice->mutex);
    mailbox->watch_new = add_one(notice, mailbox, mailbox->new_fd, true);
    mailbox->watch_cur = add_one(notice, mailbox, mailbox->cur_fd, false);
    pthread_mutex_unlock(&notice->mutex);
}

void notice_remove(struct notice *notice, struct mailbox *mailbox)
{
    pthread_mutex_lock(&notice->mutex);
    while (notice->told == mailbox)
        pthread_cond_wait(&notice->is_told, &notice->mutex);
    remove_one(notice, &mailbox->watch_new);
    remove_one(notice, &mailbox->watch_cur);
    pthread_mutex_unlock(&notice->mutex);
}
