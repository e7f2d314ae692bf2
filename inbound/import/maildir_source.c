/* maildir_source.c - a Maildir of another program, folder by folder. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "inbound/import/import_source.h"
#include "inbound/mailbox/file_read.h"
#include "inbound/mailbox/folder_name.h"
#include "inbound/mailbox/keyword_list.h"
#include "inbound/store/mail_file.h"

enum {
    READ_PIECE = 64 << 10,
    NAMES_MAX = 1 << 30, /* bytes of the names of one folder */
    KEYWORDS_FILE_MAX = 64 << 10,
};

struct names {
    struct buf text; /* 'n' or 'c', the name, NUL */
    char part;
    size_t count;
    const char **sorted;
};

struct maildir_source {
    struct import_taker *taker;
    char *why;
    int folder_fd, new_fd, cur_fd;
    struct keyword_list keywords;
};

static int fail(struct maildir_source *source, const char *what, int error)
{
    snprintf(source->why, IMPORT_WHY_MAX, "%.160s: %s", what, strerrordesc_np(-error));
    return IMPORT_FAILED;
}

/* --- one message ------------------------------------------------------------------------------ */

static int copy(struct maildir_source *source, int fd, int *error_out)
{
    uint8_t *piece = malloc(READ_PIECE);
    uint64_t at = 0;
    int result = 0;

    check(piece != NULL);
    while (result == 0) {
        int64_t len = mail_file_read_at(fd, piece, READ_PIECE, at);

        *error_out = (int)MIN(len, (int64_t)0);
        if (len <= 0)
            break;
        at += (uint64_t)len;
        result = source->taker->data(source->taker, bytes_range(piece, (size_t)len));
    }
    free(piece);
    return result;
}

static void put_keywords(const struct maildir_source *source, uint32_t letters,
                         struct import_message *message)
{
    uint64_t flags = keyword_flags(&source->keywords, letters);

    message->flags = file_flags_of_letters(letters);
    message->is_passed = (letters & LETTER_P) != 0;
    for (unsigned i = 0; i < source->keywords.count; i++)
        if ((flags & MAIL_KEYWORD(i)) != 0)
            message->keywords[message->keyword_count++] = bytes_of(source->keywords.names[i]);
}

static int read_message(struct maildir_source *source, const char *name, bool is_in_new, int fd)
{
    struct import_taker *taker = source->taker;
    struct file_name split;
    struct stat status;
    char key[MAIL_NAME_MAX + 32];
    int error = 0;

    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        taker->bad(taker, name, "it is no file");
        return 0;
    }
    if (!file_name_split(bytes_of(name), is_in_new, &split))
        return 0;
    int len =
        snprintf(key, sizeof(key), "%.*s/%lld", BYTES_ARG(split.base), (long long)status.st_size);
    struct import_message message = {
        .key = bytes_range(key, (size_t)len),
        .label = name,
        .has_date = true,
        .date_s = status.st_mtime,
        .size = (uint64_t)status.st_size,
    };

    put_keywords(source, split.letters, &message);
    if (!taker->wants(taker, message.key))
        return 0;
    int result = taker->begin(taker);

    if (result == 0 && taker->wants_content)
        result = copy(source, fd, &error);
    if (result != 0)
        return result;
    if (error == 0)
        return taker->end(taker, &message);
    taker->bad(taker, name, strerrordesc_np(-error));
    return 0;
}

static int take_file(struct maildir_source *source, const char *entry)
{
    bool is_in_new = entry[0] == 'n';
    const char *name = entry + 1;
    struct file_name split;

    if (!file_name_split(bytes_of(name), is_in_new, &split)) {
        source->taker->bad(source->taker, name, "a message's file is not called so");
        return 0;
    }
    int fd = mail_file_open(is_in_new ? source->new_fd : source->cur_fd, name, O_RDONLY);

    if (fd < 0) {
        source->taker->bad(source->taker, name, strerrordesc_np(-fd));
        return 0;
    }
    int result = read_message(source, name, is_in_new, fd);

    mail_file_close(fd);
    return result;
}

/* --- a folder --------------------------------------------------------------------------------- */

static bool add_name(void *context, const char *name)
{
    struct names *names = context;

    if (name[0] == '.')
        return true;
    names->count++;
    return buf_append_byte(&names->text, (uint8_t)names->part) &&
           buf_append(&names->text, bytes_range(name, strlen(name) + 1));
}

/* As they came: names begin with the second. */
static int compare(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    uint64_t m = strtoull(x + 1, NULL, 10), n = strtoull(y + 1, NULL, 10);

    return m != n ? (m > n) - (m < n) : strcmp(x + 1, y + 1);
}

static int list_part(struct names *names, int folder, const char *part, int *fd_out)
{
    int fd = mail_file_open_directory(folder, part);

    *fd_out = fd;
    names->part = part[0];
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    return mail_file_list(fd, add_name, names);
}

static void sort(struct names *names)
{
    struct bytes rest = buf_bytes(&names->text), name;
    size_t count = 0;

    names->sorted = calloc(MAX(names->count, (size_t)1), sizeof(*names->sorted));
    check(names->sorted != NULL);
    while (count < names->count && bytes_take_until(&rest, '\0', &name))
        names->sorted[count++] = (const char *)name.ptr;
    names->count = count;
    qsort(names->sorted, count, sizeof(*names->sorted), compare);
}

static void read_keywords(struct maildir_source *source)
{
    struct buf text;

    source->keywords = (struct keyword_list){0};
    buf_init(&text, KEYWORDS_FILE_MAX);
    if (file_read(source->folder_fd, "dovecot-keywords", &text) == 0)
        keyword_parse(&source->keywords, buf_bytes(&text));
    buf_free(&text);
}

static int take_messages(struct maildir_source *source, const char *name)
{
    struct names names = {0};
    int result = 0;

    buf_init(&names.text, NAMES_MAX);
    source->new_fd = source->cur_fd = -1;
    int error = list_part(&names, source->folder_fd, "new", &source->new_fd);

    if (error == 0)
        error = list_part(&names, source->folder_fd, "cur", &source->cur_fd);
    if (error < 0) {
        result = fail(source, name, error);
    } else {
        sort(&names);
        read_keywords(source);
    }
    for (size_t i = 0; i < names.count && result == 0; i++)
        result = take_file(source, names.sorted[i]);
    if (source->new_fd >= 0)
        mail_file_close(source->new_fd);
    if (source->cur_fd >= 0)
        mail_file_close(source->cur_fd);
    free(names.sorted);
    buf_free(&names.text);
    return result == 0 || result == IMPORT_FAILED ? result : IMPORT_STOPPED;
}

/* "INBOX", or ".Lists.c" as Lists/c; programs that write UTF-8 there are understood too. */
static bool folder_name(const char *folder, uint8_t out[static MAILBOX_NAME_MAX], size_t *len_out)
{
    struct bytes name = bytes_of(folder);

    if (folder_name_decode(name, out, len_out))
        return true;
    if (name.len < 2 || name.len > MAILBOX_NAME_MAX || !utf8_is_printable(name))
        return false;
    *len_out = name.len - 1;
    for (size_t i = 0; i < *len_out; i++)
        out[i] = name.ptr[i + 1] == '.' ? '/' : name.ptr[i + 1];
    return true;
}

static int take_folder(struct maildir_source *source, int root, const char *folder)
{
    uint8_t name[MAILBOX_NAME_MAX];
    size_t len = 5;
    struct stat status;
    bool is_inbox = strcmp(folder, ".") == 0;

    source->folder_fd = mail_file_open_directory(root, folder);
    if (source->folder_fd < 0)
        return source->folder_fd == -ENOTDIR || source->folder_fd == -ELOOP
                   ? 0
                   : fail(source, folder, source->folder_fd);
    int result = 0;

    if (mail_file_stat(source->folder_fd, "cur", &status) == 0 && S_ISDIR(status.st_mode)) {
        memcpy(name, "INBOX", len);
        if (!is_inbox && !folder_name(folder, name, &len)) {
            source->taker->bad(source->taker, folder, "its name cannot be read");
        } else {
            result = source->taker->folder(source->taker, bytes_range(name, len));
            if (result == IMPORT_PASS)
                result = 0;
            else
                result = result < 0 ? IMPORT_STOPPED : take_messages(source, folder);
        }
    }
    mail_file_close(source->folder_fd);
    return result;
}

/* --- all of it -------------------------------------------------------------------------------- */

static bool add_folder(void *context, const char *name)
{
    struct names *names = context;

    if (name[0] != '.')
        return true;
    names->count++;
    return buf_append_byte(&names->text, 'f') &&
           buf_append(&names->text, bytes_range(name, strlen(name) + 1));
}

int import_maildir(const char *path, struct import_taker *taker, char why[static IMPORT_WHY_MAX])
{
    struct maildir_source source = {.taker = taker, .why = why};
    struct names folders = {0};
    int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (root < 0)
        return fail(&source, path, -errno);
    buf_init(&folders.text, NAMES_MAX);
    int error = mail_file_list(root, add_folder, &folders);
    int result = error < 0 ? fail(&source, path, error) : take_folder(&source, root, ".");

    if (result == 0)
        sort(&folders);
    for (size_t i = 0; folders.sorted != NULL && i < folders.count && result == 0; i++)
        result = take_folder(&source, root, folders.sorted[i] + 1);
    free(folders.sorted);
    buf_free(&folders.text);
    close(root);
    return result;
}
