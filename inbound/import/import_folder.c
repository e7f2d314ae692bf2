/* import_folder.c - folders: their names, their keywords, that they are subscribed to. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "inbound/import/import_private.h"
#include "inbound/mailbox/file_read.h"
#include "inbound/mailbox/small_file.h"
#include "inbound/mailbox/subscriptions.h"
#include "inbound/store/mail_file.h"

enum {
    KEYWORDS_FILE_MAX = 64 << 10,
    SUBSCRIPTIONS_MAX = 4 << 20,
    SUBSCRIBED_MAX = 4 << 20,
};

static const char keywords_name[] = "dovecot-keywords";
static const char subscriptions_name[] = "subscriptions";

bool import_folder_name(struct bytes name, char out[static 1024])
{
    char folder[MAIL_FOLDER_MAX + 1];

    if (name.len == 0 || name.len >= 1024 || memchr(name.ptr, 0, name.len) != NULL)
        return false;
    memcpy(out, name.ptr, name.len);
    out[name.len] = '\0';
    for (size_t i = 0; i < name.len; i++)
        if (out[i] == '.')
            out[i] = '_';
    return mail_folder_encode(bytes_of(out), folder);
}

/* As the settings rename it; NULL: it is left out. */
static const char *renamed(struct import_account *account, struct bytes name, char out[static 1024])
{
    const struct import_settings *settings = &account->settings;
    struct bytes to = name;

    for (size_t i = 0; i < settings->rename_count; i++) {
        const struct import_rename *rename = &settings->renames[i];

        if (!bytes_equal(rename->from, name) &&
            !(bytes_equal_nocase(rename->from, BYTES("INBOX")) &&
              bytes_equal_nocase(name, BYTES("INBOX"))))
            continue;
        if (i < 64)
            account->renames_used |= UINT64_C(1) << i;
        to = rename->to;
        if (to.len == 0)
            return NULL;
        break;
    }
    if (import_folder_name(to, out))
        return out;
    account->counts.bad++;
    import_tell(account,
                "folder %.*s: no folder of ours can be called so; --folder gives another "
                "name",
                BYTES_ARG(name));
    return NULL;
}

static int read_keywords(struct import_folder *folder)
{
    struct buf text;

    folder->keywords = (struct keyword_list){0};
    folder->keywords_changed = false;
    buf_init(&text, KEYWORDS_FILE_MAX);
    int error = file_read(folder->fd, keywords_name, &text);

    if (error == 0)
        keyword_parse(&folder->keywords, buf_bytes(&text));
    buf_free(&text);
    return error == -ENOENT ? 0 : error;
}

static int open_files(struct import_account *account)
{
    static const char *const names[] = {"maildirfolder", "tmp", "new", "cur"};
    struct import_folder *folder = &account->folder;
    bool is_inbox = folder->to[0] == '\0';

    folder->cur_fd = maildir_open_folder(&account->maildir, folder->to, "cur");
    if (folder->cur_fd < 0)
        return folder->cur_fd;
    folder->fd = mail_file_open_directory(account->maildir.fd, is_inbox ? "." : folder->to);
    if (folder->fd < 0)
        return folder->fd;
    import_give(account, account->maildir.fd, is_inbox ? "." : folder->to);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        import_give(account, folder->fd, names[i]);
    return read_keywords(folder);
}

void import_folder_close(struct import_account *account)
{
    struct import_folder *folder = &account->folder;

    if (folder->is_open && folder->cur_fd >= 0)
        mail_file_close(folder->cur_fd);
    if (folder->is_open && folder->fd >= 0)
        mail_file_close(folder->fd);
    folder->is_open = false;
    folder->fd = folder->cur_fd = -1;
}

int import_folder_open(struct import_account *account, struct bytes name)
{
    struct import_folder *folder = &account->folder;
    char to[1024];

    if (name.len >= sizeof(folder->from))
        return import_end(account, -ENAMETOOLONG, "a folder's name is too long");
    import_folder_close(account);
    const char *mailbox = renamed(account, name, to);

    if (mailbox == NULL)
        return IMPORT_PASS;
    memcpy(folder->from, name.ptr, name.len);
    folder->from[name.len] = '\0';
    bool is_name = mail_folder_encode(bytes_of(mailbox), folder->to);

    check(is_name);
    folder->is_open = true;
    folder->fd = folder->cur_fd = -1;
    folder->keywords = (struct keyword_list){0};
    account->counts.folders++;
    if (account->settings.is_dry)
        return IMPORT_TAKE;
    int error = open_files(account);

    if (error < 0)
        return import_end(account, error, "folder %s: %s", mailbox, strerrordesc_np(-error));
    bool fits = folder->to[0] == '\0' ||
                buf_append(&account->subscribed, bytes_range(folder->to, strlen(folder->to) + 1));

    return fits ? IMPORT_TAKE : import_end(account, -EMFILE, "too many folders");
}

static bool has_letter(const struct keyword_list *list, int number)
{
    for (unsigned i = 0; i < LETTER_KEYWORD_COUNT; i++)
        if (list->of_letter[i] == number + 1)
            return true;
    return false;
}

uint32_t import_letters(struct import_account *account, const struct import_message *message)
{
    struct keyword_list *list = &account->folder.keywords;
    uint64_t flags = message->flags;

    for (size_t i = 0; i < message->keyword_count; i++) {
        int number = keyword_find(list, message->keywords[i]);
        bool had_letter = number >= 0 && has_letter(list, number);

        if (!had_letter)
            number = keyword_make(list, message->keywords[i]);
        if (number < 0 || !has_letter(list, number)) {
            account->counts.keywords++;
            continue;
        }
        account->folder.keywords_changed |= !had_letter;
        flags |= MAIL_KEYWORD(number);
    }
    return keyword_letters(list, flags, message->is_passed ? LETTER_P : 0);
}

int import_write_keywords(struct import_account *account)
{
    struct import_folder *folder = &account->folder;
    struct buf text;

    if (!folder->keywords_changed)
        return 0;
    buf_init(&text, KEYWORDS_FILE_MAX);
    keyword_format(&folder->keywords, &text);
    int error =
        small_file_write(folder->fd, keywords_name, "dovecot-keywords.import", buf_bytes(&text));

    buf_free(&text);
    import_give(account, folder->fd, keywords_name);
    folder->keywords_changed = error < 0;
    return error;
}

/* --- subscriptions ---------------------------------------------------------------------------- */

struct subscriber {
    struct buf *text;
    struct buf seen; /* names with NUL behind each */
};

static bool is_seen(struct bytes seen, const char *folder)
{
    struct bytes name;

    while (bytes_take_until(&seen, '\0', &name))
        if (bytes_equal(name, bytes_of(folder)))
            return true;
    return false;
}

static void keep(void *context, const char *folder)
{
    struct subscriber *s = context;

    if (is_seen(buf_bytes(&s->seen), folder))
        return;
    bool fits = buf_append(&s->seen, bytes_range(folder, strlen(folder) + 1));

    check(fits);
    subscriptions_put(s->text, folder);
}

int import_subscribe(struct import_account *account)
{
    struct bytes rest = buf_bytes(&account->subscribed), name;
    struct buf before, text;
    struct subscriber s = {.text = &text};

    if (rest.len == 0 || account->settings.is_dry)
        return 0;
    buf_init(&before, SUBSCRIPTIONS_MAX);
    buf_init(&text, SIZE_MAX / 2);
    buf_init(&s.seen, SIZE_MAX / 2);
    int error = file_read(account->maildir.fd, subscriptions_name, &before);

    if (error == 0 || error == -ENOENT) {
        subscriptions_put_head(&text);
        subscriptions_parse(buf_bytes(&before), keep, &s);
        while (bytes_take_until(&rest, '\0', &name))
            keep(&s, (const char *)name.ptr);
        error = small_file_write(account->maildir.fd, subscriptions_name, "subscriptions.import",
                                 buf_bytes(&text));
        import_give(account, account->maildir.fd, subscriptions_name);
    }
    buf_free(&before);
    buf_free(&text);
    buf_free(&s.seen);
    return error;
}
