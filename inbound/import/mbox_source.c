/* mbox_source.c - files of mbox, one or a tree of them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"
#include "inbound/import/import_ids.h"
#include "inbound/import/import_source.h"
#include "inbound/import/mbox_reader.h"

enum {
    READ_PIECE = 64 << 10,
    DEPTH_MAX = 16,
    FOLDER_NAME_MAX = 1000,
    DIGEST = 32,
};

struct mbox_source {
    struct import_taker *taker;
    char *why;
    EVP_MD_CTX *digest;     /* of the message */
    struct import_ids seen; /* messages of the file, the same ones by their number */
};

static int fail(struct mbox_source *source, const char *what, int error)
{
    snprintf(source->why, IMPORT_WHY_MAX, "%.160s: %s", what,
             error == -EILSEQ ? "it is no mbox: it does not begin with a From_ line"
                              : strerrordesc_np(-error));
    return IMPORT_FAILED;
}

/* --- a file ----------------------------------------------------------------------------------- */

static int begin(void *context)
{
    struct mbox_source *source = context;

    check(EVP_DigestInit_ex(source->digest, EVP_sha256(), NULL) == 1);
    return source->taker->begin(source->taker) < 0 ? IMPORT_STOPPED : 0;
}

static int data(void *context, struct bytes b)
{
    struct mbox_source *source = context;

    check(EVP_DigestUpdate(source->digest, b.ptr, b.len) == 1);
    return source->taker->data(source->taker, b) < 0 ? IMPORT_STOPPED : 0;
}

/* A message is known by its content, whatever becomes of the file around it; the same one twice in
 * a file by which of them it is. */
static struct bytes make_key(struct mbox_source *source, uint8_t key[static IMPORT_ID])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    uint64_t number = 0;

    check(EVP_DigestFinal_ex(source->digest, digest, NULL) == 1);
    do {
        import_id_of(bytes_range(&number, sizeof(number)), BYTES_NONE, bytes_range(digest, DIGEST),
                     key);
        number++;
    } while (import_ids_have(&source->seen, key));
    import_ids_add(&source->seen, key);
    return bytes_range(key, IMPORT_ID);
}

static int end(void *context, const struct mbox_message *read)
{
    struct mbox_source *source = context;
    uint8_t key[IMPORT_ID];
    char label[48];
    struct import_message message = {
        .key = make_key(source, key),
        .label = label,
        .flags = read->flags,
        .keyword_count = read->keyword_count,
        .has_date = read->has_date,
        .date_s = read->date_s,
    };

    if (read->is_internal)
        return 0;
    memcpy(message.keywords, read->keywords, sizeof(message.keywords));
    snprintf(label, sizeof(label), "message %llu", (unsigned long long)read->number);
    return source->taker->end(source->taker, &message) < 0 ? IMPORT_STOPPED : 0;
}

static int read_file(struct mbox_source *source, int fd)
{
    struct mbox_events events = {source, begin, data, end};
    struct mbox_reader reader;
    uint8_t *piece = malloc(READ_PIECE);
    int result = 0;

    check(piece != NULL);
    mbox_begin(&reader, &events);
    while (result == 0) {
        ssize_t len = read(fd, piece, READ_PIECE);

        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            result = -errno;
        if (len <= 0)
            break;
        result = mbox_feed(&reader, bytes_range(piece, (size_t)len));
    }
    if (result == 0)
        result = mbox_finish(&reader);
    mbox_free(&reader);
    free(piece);
    return result;
}

/* 0, IMPORT_STOPPED, or -errno below both. */
static int take_file(struct mbox_source *source, const char *path, struct bytes folder)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return -EILSEQ;
    }
    int result = source->taker->folder(source->taker, folder);

    if (result == IMPORT_TAKE) {
        int error = import_ids_open(&source->seen, -1, false);

        check(error == 0);
        result = read_file(source, fd);
        import_ids_close(&source->seen);
    } else {
        result = result == IMPORT_PASS ? 0 : IMPORT_STOPPED;
    }
    close(fd);
    return result;
}

/* --- a tree of files -------------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *suffix)
{
    return bytes_ends_nocase(bytes_of(name), bytes_of(suffix));
}

/* The file is no mbox by its looks: it makes no folder. */
static bool looks_like_one(const char *path)
{
    uint8_t text[64];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text));

    if (fd >= 0)
        close(fd);
    if (len <= 0)
        return fd < 0 || len == 0; /* what cannot be read is told by who opens it */
    struct bytes rest = bytes_range(text, (size_t)len);

    while (rest.len > 0 && (rest.ptr[0] == '\n' || rest.ptr[0] == '\r'))
        rest = bytes_slice(rest, 1, rest.len);
    return rest.len == 0 || bytes_equal(bytes_slice(rest, 0, 5), BYTES("From "));
}

/* "Lists.sbd", "Lists.mbox" and "Lists" are all Lists; the file "mbox" in a directory is the
 * directory's. */
static bool child_name(struct bytes parent, const char *name, bool is_directory,
                       char out[static FOLDER_NAME_MAX + 1])
{
    struct bytes part = bytes_of(name);

    if (ends_with(name, ".sbd") && is_directory)
        part.len -= 4;
    else if (ends_with(name, ".mbox"))
        part.len -= 5;
    if (parent.len > 0 && !is_directory && strcmp(name, "mbox") == 0)
        part.len = 0;
    else if (part.len == 0)
        return false;
    int len = snprintf(out, FOLDER_NAME_MAX + 1, "%.*s%s%.*s", BYTES_ARG(parent),
                       parent.len > 0 && part.len > 0 ? "/" : "", BYTES_ARG(part));

    return len > 0 && len <= FOLDER_NAME_MAX && utf8_is_printable(bytes_of(out));
}

static int take_directory(struct mbox_source *source, const char *path, struct bytes folder,
                          unsigned depth);

static int take_entry(struct mbox_source *source, const char *path, const char *name,
                      struct bytes parent, unsigned depth)
{
    char folder[FOLDER_NAME_MAX + 1], text[IMPORT_WHY_MAX];
    struct stat status;

    if (lstat(path, &status) < 0)
        return 0; /* gone */
    bool is_directory = S_ISDIR(status.st_mode);

    if (name[0] == '.' || ends_with(name, ".msf") || (!is_directory && !S_ISREG(status.st_mode)))
        return 0;
    if (!child_name(parent, name, is_directory, folder) || depth == DEPTH_MAX) {
        source->taker->bad(source->taker, path, "no folder can be called so");
        return 0;
    }
    if (is_directory)
        return take_directory(source, path, bytes_of(folder), depth + 1);
    int result = looks_like_one(path) ? take_file(source, path, bytes_of(folder)) : -EILSEQ;

    if (result == -EILSEQ) {
        snprintf(text, sizeof(text), "%.200s: it is no mbox and is left out", path);
        source->taker->note(source->taker, text);
        return 0;
    }
    if (result == 0 || result == IMPORT_STOPPED)
        return result;
    source->taker->bad(source->taker, path, strerrordesc_np(-result));
    return 0;
}

static int take_directory(struct mbox_source *source, const char *path, struct bytes folder,
                          unsigned depth)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    int result = 0;

    if (count < 0 && depth > 0) {
        source->taker->bad(source->taker, path, strerrordesc_np(errno));
        return 0;
    }
    if (count < 0)
        return fail(source, path, -errno);
    for (int i = 0; i < count; i++) {
        char *child = NULL;

        check(asprintf(&child, "%s/%s", path, entries[i]->d_name) > 0);
        if (result == 0 && strcmp(entries[i]->d_name, ".") != 0 &&
            strcmp(entries[i]->d_name, "..") != 0)
            result = take_entry(source, child, entries[i]->d_name, folder, depth);
        free(child);
        free(entries[i]);
    }
    free(entries);
    return result;
}

int import_mbox(const char *path, struct import_taker *taker, char why[static IMPORT_WHY_MAX])
{
    struct mbox_source source = {.taker = taker, .why = why};
    struct stat status;
    int result;

    if (stat(path, &status) < 0)
        return fail(&source, path, -errno);
    source.digest = EVP_MD_CTX_new();
    check(source.digest != NULL);
    if (S_ISDIR(status.st_mode)) {
        result = take_directory(&source, path, BYTES_NONE, 0);
    } else {
        result = take_file(&source, path, BYTES("INBOX"));
        if (result != 0 && result != IMPORT_STOPPED)
            result = fail(&source, path, result);
    }
    EVP_MD_CTX_free(source.digest);
    return result;
}
