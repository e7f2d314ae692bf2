/* special_folder.c - one line of a small file: "Sent .Gesendet". */
#include "inbound/store/special_folder.h"

#include <fcntl.h>
#include <string.h>

#include "inbound/store/mail_file.h"

enum { FILE_MAX = 4096 }; /* five lines of a folder's name each */

static bool is_folder(struct bytes name)
{
    return name.len > 1 && name.len <= MAIL_FOLDER_MAX && name.ptr[0] == '.' &&
           name.ptr[1] != '.' && bytes_find(name, '/', 0) == name.len &&
           bytes_find(name, '\0', 0) == name.len;
}

bool special_folder_find(struct bytes text, const char *use,
                         char folder[static MAIL_FOLDER_MAX + 1])
{
    struct bytes line, word;
    bool is_found = false;

    while (bytes_take_until(&text, '\n', &line)) {
        if (!bytes_take_until(&line, ' ', &word) || !bytes_equal(word, bytes_of(use)) ||
            !is_folder(line))
            continue;
        memcpy(folder, line.ptr, line.len);
        folder[line.len] = '\0';
        is_found = true;
    }
    return is_found;
}

void special_folder(const struct maildir *maildir, const char *use,
                    char folder[static MAIL_FOLDER_MAX + 1])
{
    uint8_t text[FILE_MAX];
    int fd = mail_file_open(maildir->fd, "ringpost.special", O_RDONLY);

    if (fd < 0)
        return;
    int64_t len = mail_file_read_at(fd, text, sizeof(text), 0);

    mail_file_close(fd);
    (void)!special_folder_find(bytes_range(text, (size_t)MAX(len, (int64_t)0)), use, folder);
}
