/* account_change.c - mailboxes are made, deleted, renamed, subscribed to. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "inbound/mailbox/account_private.h"
#include "inbound/mailbox/annotation.h"
#include "inbound/mailbox/file_read.h"
#include "inbound/mailbox/mirror.h"
#include "inbound/mailbox/small_file.h"
#include "inbound/mailbox/special_use.h"
#include "inbound/mailbox/subscriptions.h"
#include "inbound/store/mail_file.h"

enum { SMALL_FILE_MAX = 4 << 20 };
static const char gone_prefix[] = "ringpost-gone.";

static int write_small(int account, const char *name, struct bytes text)
{
    char temporary[64];

    snprintf(temporary, sizeof(temporary), "%s.new", name);
    return small_file_write(account, name, temporary, text);
}

static int has_folder(const struct mail_account *account, const char *folder, bool *has_out)
{
    int fd = folder[0] == '\0' ? 0 : mail_file_open_directory(account->maildir.fd, folder);

    *has_out = fd != -ENOENT;
    if (fd == -ENOENT)
        return 0;
    if (fd > 0)
        mail_file_close(fd);
    return MIN(fd, 0);
}

/* --- special use ------------------------------------------------------------------------------ */

static int write_uses(struct mail_account *account, const struct special_uses *uses)
{
    struct buf text;

    buf_init(&text, SMALL_FILE_MAX);
    special_uses_format(uses, &text);
    int error = write_small(account->maildir.fd, "ringpost.special", buf_bytes(&text));

    buf_free(&text);
    return error;
}

static int set_use(struct mail_account *account, const char *folder, enum special_use use)
{
    struct special_uses uses;
    int error = account_read_uses(account, &uses);

    if (error < 0)
        return error;
    memcpy(uses.folder[use], folder, strlen(folder) + 1);
    return write_uses(account, &uses);
}

/* The folder is called otherwise, or (`to` NULL) gone. */
static int move_use(struct mail_account *account, const char *folder, const char *to)
{
    struct special_uses uses;
    int error = account_read_uses(account, &uses);
    bool is_changed = false;

    if (error < 0)
        return error;
    for (unsigned use = SPECIAL_NONE + 1; use < SPECIAL_COUNT; use++) {
        if (strcmp(uses.folder[use], folder) != 0 || folder[0] == '\0')
            continue;
        snprintf(uses.folder[use], sizeof(uses.folder[use]), "%s", to == NULL ? "" : to);
        is_changed = true;
    }
    return is_changed ? write_uses(account, &uses) : 0;
}

/* --- create ----------------------------------------------------------------------------------- */

static bool count_folder(void *context, const char *name)
{
    size_t *count = context;

    *count += name[0] == '.';
    return *count < ACCOUNT_MAILBOXES_MAX;
}

static int create(struct mail_account *account, const char *folder)
{
    size_t count = 0;
    bool has;
    int error = has_folder(account, folder, &has);

    if (error < 0 || has)
        return error < 0 ? error : -EEXIST;
    error = mail_file_list(account->maildir.fd, count_folder, &count);
    if (error < 0 || count >= ACCOUNT_MAILBOXES_MAX)
        return error < 0 ? error : -EMFILE;
    int fd = maildir_open_folder(&account->maildir, folder, "cur");

    if (fd < 0)
        return fd;
    mail_file_close(fd);
    return 0;
}

int mail_account_create(struct mail_account *account, struct bytes name, enum special_use use)
{
    char folder[MAIL_FOLDER_MAX + 1];

    if (!mail_folder_encode(name, folder))
        return -EINVAL;
    pthread_mutex_lock(&account->mutex);
    int error = create(account, folder);

    if (error == 0 && use != SPECIAL_NONE)
        error = set_use(account, folder, use);
    pthread_mutex_unlock(&account->mutex);
    return error;
}

/* --- delete ----------------------------------------------------------------------------------- */

struct removal {
    int parent;
    unsigned depth;
};

static bool remove_one(void *context, const char *name);

/* What does not go now goes with the next one that is deleted. */
static void remove_tree(int parent, const char *name, unsigned depth)
{
    enum { DEPTH_MAX = 8 };
    int fd = depth > DEPTH_MAX ? -ELOOP : mail_file_open_directory(parent, name);

    if (fd < 0)
        return;
    struct removal removal = {fd, depth};

    (void)!mail_file_list(fd, remove_one, &removal);
    mail_file_close(fd);
    (void)!mail_file_remove_directory(parent, name);
}

static bool remove_one(void *context, const char *name)
{
    const struct removal *removal = context;

    if (mail_file_unlink(removal->parent, name) < 0)
        remove_tree(removal->parent, name, removal->depth + 1);
    return true;
}

static bool remove_if_gone(void *context, const char *name)
{
    const struct mail_account *account = context;

    if (strncmp(name, gone_prefix, sizeof(gone_prefix) - 1) == 0)
        remove_tree(account->maildir.fd, name, 0);
    return true;
}

/* Who has it open finds it gone. */
static struct mailbox *take_out(struct mail_account *account, const char *folder)
{
    struct map_node *node = map_find(&account->mailboxes, bytes_of(folder));

    if (node == NULL)
        return NULL;
    struct mailbox *mailbox = container_of(node, struct mailbox, node);

    pthread_mutex_lock(&mailbox->mutex);
    mailbox->is_gone = true;
    mailbox_tell(mailbox);
    pthread_mutex_unlock(&mailbox->mutex);
    map_remove(&account->mailboxes, node);
    mailbox->is_out = true;
    account->accounts->idle_count -= mailbox->refs == 0;
    return mailbox->refs == 0 ? mailbox : NULL;
}

static int delete_folder(struct mail_account *account, const char *folder)
{
    char gone[MAIL_NAME_MAX + 1], unique[MAIL_NAME_MAX + 1];
    int fd = account->maildir.fd;
    bool has;
    int error = has_folder(account, folder, &has);

    if (error < 0 || !has)
        return error < 0 ? error : -ENOENT;
    mailbox_unique_base(account, 0, 0, unique);
    unique[strcspn(unique, ",")] = '\0';
    snprintf(gone, sizeof(gone), "%s%.200s", gone_prefix, unique);
    error = mail_file_rename(fd, folder, fd, gone);
    if (error == 0)
        error = mail_file_sync(fd);
    if (error < 0)
        return error;
    return move_use(account, folder, NULL);
}

static int delete (struct mail_account *account, struct bytes name)
{
    char folder[MAIL_FOLDER_MAX + 1];
    struct mailbox *unused = NULL;

    if (!mail_folder_encode(name, folder) || folder[0] == '\0')
        return -EINVAL;
    pthread_mutex_lock(&account->mutex);
    int error = delete_folder(account, folder);

    if (error == 0)
        unused = take_out(account, folder);
    if (unused != NULL)
        account_free_mailbox(unused);
    pthread_mutex_unlock(&account->mutex);
    if (error < 0)
        return error;
    (void)!mail_file_list(account->maildir.fd, remove_if_gone, account);
    account_forget_usage(account);
    return 0;
}

int mail_account_delete(struct mail_account *account, struct bytes name)
{
    return mail_account_is_mirror(account, name) ? -EROFS : delete (account, name);
}

int mail_account_drop_mirror(struct mail_account *account, struct bytes name)
{
    return mail_account_is_mirror(account, name) ? delete (account, name) : 0;
}

/* --- rename ----------------------------------------------------------------------------------- */

struct family {
    const char *from, *to;
    size_t count, capacity;
    char (*members)[MAIL_FOLDER_MAX + 1]; /* the folder, and what is below it */
    bool is_too_long;
};

static bool add_member(void *context, const char *name)
{
    struct family *family = context;
    size_t len = strlen(family->from), name_len = strlen(name);

    if (strncmp(name, family->from, len) != 0 || (name[len] != '\0' && name[len] != '.') ||
        name_len > MAIL_FOLDER_MAX)
        return true;
    family->is_too_long |= name_len - len + strlen(family->to) > MAIL_FOLDER_MAX;
    if (family->count == family->capacity) {
        family->capacity = MAX(family->capacity * 2, (size_t)8);
        family->members = realloc(family->members, family->capacity * sizeof(*family->members));
        check(family->members != NULL);
    }
    memcpy(family->members[family->count++], name, name_len + 1);
    return true;
}

static void name_member(const struct family *family, size_t i, char out[static MAIL_FOLDER_MAX + 1])
{
    int len = snprintf(out, MAIL_FOLDER_MAX + 1, "%s%s", family->to,
                       family->members[i] + strlen(family->from));

    check(len > 0 && len <= MAIL_FOLDER_MAX);
}

static int check_family(const struct mail_account *account, const struct family *family)
{
    char to[MAIL_FOLDER_MAX + 1];

    if (family->count == 0)
        return -ENOENT;
    if (family->is_too_long)
        return -EINVAL;
    for (size_t i = 0; i < family->count; i++) {
        bool has;

        name_member(family, i, to);
        int error = has_folder(account, to, &has);

        if (error < 0 || has)
            return error < 0 ? error : -EEXIST;
    }
    return 0;
}

static int rename_member(struct mail_account *account, const char *from, const char *to)
{
    int error = mail_file_rename(account->maildir.fd, from, account->maildir.fd, to);
    struct map_node *node = map_find(&account->mailboxes, bytes_of(from));

    if (error < 0)
        return error;
    if (node != NULL) {
        struct mailbox *mailbox = container_of(node, struct mailbox, node);

        map_remove(&account->mailboxes, node);
        pthread_mutex_lock(&mailbox->mutex);
        memcpy(mailbox->folder, to, strlen(to) + 1);
        pthread_mutex_unlock(&mailbox->mutex);
        map_insert(&account->mailboxes, node, bytes_of(mailbox->folder));
    }
    return move_use(account, from, to);
}

static int rename_family(struct mail_account *account, const char *from, const char *to)
{
    struct family family = {.from = from, .to = to};
    char name[MAIL_FOLDER_MAX + 1];
    bool has;
    int error = has_folder(account, to, &has);

    if (error == 0 && has)
        error = -EEXIST;
    if (error == 0)
        error = mail_file_list(account->maildir.fd, add_member, &family);
    if (error == 0)
        error = check_family(account, &family);
    for (size_t i = 0; error == 0 && i < family.count; i++) {
        name_member(&family, i, name);
        error = rename_member(account, family.members[i], name);
    }
    int synced = mail_file_sync(account->maildir.fd);

    free(family.members);
    return error < 0 ? error : synced;
}

/* RFC 5464 section 4.1: INBOX keeps its own. */
static int copy_inbox_annotations(struct mail_account *account, struct bytes name)
{
    struct annotation_list list;
    int error = mail_account_annotations(account, BYTES("INBOX"), &list);

    if (error < 0)
        return error;
    if (list.count > 0)
        error = mail_account_annotate(account, name, list.of, list.count);
    annotation_list_free(&list);
    return error;
}

/* RFC 9051 section 6.3.6: INBOX stays, and its messages go. */
static int move_inbox(struct mail_account *account, struct bytes name, const char *to)
{
    struct mailbox *inbox = NULL, *other = NULL;
    struct mailbox_message messages[SLICE];
    struct uid_pair pairs[SLICE];
    uint32_t uids[SLICE], next = 1;
    size_t moved;

    pthread_mutex_lock(&account->mutex);
    int error = create(account, to);

    pthread_mutex_unlock(&account->mutex);
    if (error == 0)
        error = account_open_folder(account, "", &inbox);
    if (error == 0)
        error = account_open_folder(account, to, &other);
    while (error == 0 && next != 0) {
        size_t count = mailbox_read(inbox, next, 0, messages, SLICE, &next);

        for (size_t i = 0; i < count; i++)
            uids[i] = messages[i].uid;
        error = mailbox_copy(inbox, other, uids, count, true, pairs, &moved);
    }
    mailbox_close(&inbox);
    mailbox_close(&other);
    return error < 0 ? error : copy_inbox_annotations(account, name);
}

int mail_account_rename(struct mail_account *account, struct bytes from, struct bytes to)
{
    char folder[MAIL_FOLDER_MAX + 1], other[MAIL_FOLDER_MAX + 1];

    if (!mail_folder_encode(from, folder) || !mail_folder_encode(to, other))
        return -EINVAL;
    if (other[0] == '\0')
        return -EEXIST;
    if (mail_account_is_mirror(account, from))
        return -EROFS;
    if (folder[0] == '\0')
        return move_inbox(account, to, other);
    size_t len = strlen(folder);

    if (strncmp(other, folder, len) == 0 && other[len] == '.')
        return -EINVAL;
    pthread_mutex_lock(&account->mutex);
    int error = rename_family(account, folder, other);

    pthread_mutex_unlock(&account->mutex);
    return error;
}

/* --- subscriptions ---------------------------------------------------------------------------- */

struct subscribing {
    const char *folder;
    bool was;
    struct buf text; /* without it */
};

static void keep_others(void *context, const char *folder)
{
    struct subscribing *s = context;

    if (strcmp(folder, s->folder) == 0)
        s->was = true;
    else
        subscriptions_put(&s->text, folder);
}

static int subscribe(struct mail_account *account, const char *folder, bool is_subscribed)
{
    struct subscribing s = {.folder = folder};
    struct buf before;

    buf_init(&before, SMALL_FILE_MAX);
    buf_init(&s.text, 2 * SMALL_FILE_MAX);
    int error = file_read(account->maildir.fd, "subscriptions", &before);

    subscriptions_put_head(&s.text);
    if (error == 0)
        subscriptions_parse(buf_bytes(&before), keep_others, &s);
    else if (error == -ENOENT)
        error = 0;
    if (is_subscribed)
        subscriptions_put(&s.text, folder);
    if (error == 0 && s.was != is_subscribed)
        error = buf_len(&s.text) > SMALL_FILE_MAX
                    ? -EMFILE
                    : write_small(account->maildir.fd, "subscriptions", buf_bytes(&s.text));
    buf_free(&before);
    buf_free(&s.text);
    return error;
}

int mail_account_subscribe(struct mail_account *account, struct bytes name, bool is_subscribed)
{
    char folder[MAIL_FOLDER_MAX + 1];

    if (!mail_folder_encode(name, folder))
        return -EINVAL;
    pthread_mutex_lock(&account->mutex);
    int error = subscribe(account, folder, is_subscribed);

    pthread_mutex_unlock(&account->mutex);
    return error;
}
