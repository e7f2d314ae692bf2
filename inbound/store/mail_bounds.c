/* mail_bounds.c - the oldest of a bounded folder go. */
#include "inbound/store/mail_bounds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inbound/store/mail_file.h"

enum {
    ID_DIGITS = 20,       /* of node and message */
    NAMES_MAX = 64 << 10, /* looked at; of more the rest is for the next time */
};

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool mail_bounds_may_go(struct bytes name, int64_t *time_s_out)
{
    uint64_t time_s;
    size_t flags = bytes_find_bytes(name, BYTES(":2,"), 0);

    if (bytes_find(bytes_slice(name, flags, name.len), 'F', 0) < name.len - flags ||
        !bytes_take_u64(&name, &time_s) || time_s > INT64_MAX ||
        !bytes_take_nocase(&name, BYTES(".R")) || name.len <= ID_DIGITS ||
        name.ptr[ID_DIGITS] != 'N')
        return false;
    for (size_t i = 0; i < ID_DIGITS; i++)
        if (!is_hex(name.ptr[i]))
            return false;
    *time_s_out = (int64_t)time_s;
    return true;
}

struct old_file {
    int64_t time_s;
    int directory;
    uint64_t size;
    char *name;
};

struct old_files {
    struct old_file *of;
    size_t count, room;
    int directory; /* the one being listed */
};

static bool add(void *context, const char *name)
{
    struct old_files *files = context;
    struct old_file file = {.directory = files->directory};

    if (!mail_bounds_may_go(bytes_of(name), &file.time_s))
        return true;
    if (files->count == files->room) {
        files->room = MAX(2 * files->room, (size_t)1024);
        files->of = realloc(files->of, files->room * sizeof(*files->of));
        check(files->of != NULL);
    }
    if (!mail_file_name_size(bytes_of(name), &file.size))
        file.size = 0;
    file.name = strdup(name);
    check(file.name != NULL);
    files->of[files->count++] = file;
    return files->count < NAMES_MAX;
}

static int by_age(const void *a, const void *b)
{
    const struct old_file *x = a, *y = b;

    if (x->time_s != y->time_s)
        return x->time_s < y->time_s ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int remove_oldest(const struct old_files *files, size_t count, struct maildir_usage *removed)
{
    for (size_t i = 0; i < count; i++) {
        const struct old_file *file = &files->of[i];
        int error = mail_file_unlink(file->directory, file->name);

        if (error == -ENOENT) /* renamed or removed just now */
            continue;
        if (error < 0)
            return error;
        removed->bytes += file->size;
        removed->messages++;
    }
    return 0;
}

int mail_bounds_keep(const struct maildir *maildir, const char *folder,
                     const struct mail_bounds *bounds, struct maildir_usage *removed_out)
{
    static const char *const parts[] = {"new", "cur"};
    int fds[ARRAY_LEN(parts)] = {-1, -1}, error = 0;
    struct old_files files = {0};

    *removed_out = (struct maildir_usage){0};
    for (size_t i = 0; i < ARRAY_LEN(parts) && error >= 0; i++) {
        error = fds[i] = maildir_open_folder(maildir, folder, parts[i]);
        files.directory = fds[i];
        if (error >= 0)
            error = mail_file_list(fds[i], add, &files);
    }
    if (error >= 0 && files.count > bounds->messages_max) {
        qsort(files.of, files.count, sizeof(*files.of), by_age);
        error = remove_oldest(&files, files.count - bounds->messages_max, removed_out);
    }
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (fds[i] >= 0)
            mail_file_close(fds[i]);
    for (size_t i = 0; i < files.count; i++)
        free(files.of[i].name);
    free(files.of);
    return MIN(error, 0);
}
