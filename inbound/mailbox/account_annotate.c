/* account_annotate.c - files of annotations: one in each mailbox's folder, one of the account. */
#include <errno.h>

#include "inbound/mailbox/account_private.h"
#include "inbound/mailbox/annotation_list.h"
#include "inbound/mailbox/file_read.h"
#include "inbound/mailbox/small_file.h"
#include "inbound/mailbox/special_use.h"
#include "inbound/store/mail_file.h"

static const char of_mailbox[] = "ringpost.metadata", of_account[] = "ringpost.metadata-account";

/* Where they are. To be closed where opening it was no error. */
struct place {
    int fd; /* the account's own where folder is "" */
    const char *name;
    char folder[MAIL_FOLDER_MAX + 1];
};

static int place_open(const struct mail_account *account, struct bytes name, struct place *place)
{
    place->folder[0] = '\0';
    place->name = name.len == 0 ? of_account : of_mailbox;
    if (!mail_folder_encode(name, place->folder))
        return -EINVAL;
    place->fd = place->folder[0] == '\0'
                    ? account->maildir.fd
                    : mail_file_open_directory(account->maildir.fd, place->folder);
    return place->fd == -ENOTDIR ? -ENOENT : MIN(place->fd, 0);
}

static void place_close(const struct place *place)
{
    if (place->folder[0] != '\0')
        mail_file_close(place->fd);
}

static int read_list(const struct place *place, struct annotation_list *list)
{
    *list = (struct annotation_list){0};
    buf_init(&list->text, ANNOTATIONS_FILE_MAX);
    int error = file_read(place->fd, place->name, &list->text);

    if (error == -ENOENT)
        return 0;
    if (error == -EFBIG || (error == 0 && !annotation_list_parse(list)))
        error = -EBADMSG;
    if (error < 0)
        annotation_list_free(list);
    return error;
}

static int read_use(struct mail_account *account, const struct place *place,
                    enum special_use *use_out)
{
    struct special_uses uses;
    int error = account_read_uses(account, &uses);

    *use_out = SPECIAL_NONE;
    if (error == 0 && place->folder[0] != '\0')
        *use_out = special_use_of(&uses, place->folder);
    return error;
}

int mail_account_annotations(struct mail_account *account, struct bytes name,
                             struct annotation_list *list_out)
{
    struct place place;

    pthread_mutex_lock(&account->mutex);
    int error = place_open(account, name, &place);

    if (error == 0) {
        error = read_list(&place, list_out);
        place_close(&place);
    }
    if (error == 0) {
        error = read_use(account, &place, &list_out->use);
        if (error < 0)
            annotation_list_free(list_out);
    }
    pthread_mutex_unlock(&account->mutex);
    return error;
}

static int write_list(const struct place *place, const struct annotation_list *list)
{
    struct buf text;

    buf_init(&text, ANNOTATIONS_FILE_MAX);
    int error = annotation_list_format(list, &text);

    if (error == 0)
        error = small_file_write(place->fd, place->name, "ringpost.metadata.new", buf_bytes(&text));
    buf_free(&text);
    return error;
}

int mail_account_annotate(struct mail_account *account, struct bytes name,
                          const struct annotation *changes, size_t count)
{
    struct annotation_list list;
    struct place place;

    pthread_mutex_lock(&account->mutex);
    int error = place_open(account, name, &place);

    if (error == 0) {
        error = read_list(&place, &list);
        if (error == 0) {
            for (size_t i = 0; i < count && error == 0; i++)
                error = annotation_list_change(&list, &changes[i]);
            if (error == 0)
                error = write_list(&place, &list);
            annotation_list_free(&list);
        }
        place_close(&place);
    }
    pthread_mutex_unlock(&account->mutex);
    return error;
}
