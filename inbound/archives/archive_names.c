/* archive_names.c - a walk over headers; what is an archive by its name is walked over in turn. */
#include "inbound/archives/archive_names.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#include "inbound/archives/archive_kind.h"

enum { PIECE = 64 * 1024 };

struct walk {
    archive_member_fn *take;
    void *context;
    unsigned left; /* members that may be told */
    size_t unpacked;
    enum archive_result result;
};

static void walk_archive(struct walk *walk, struct bytes bytes, struct bytes path, unsigned depth);

static void worsen(struct walk *walk, enum archive_result result)
{
    walk->result = MAX(walk->result, result);
}

/* What needs a program beside us, or reads other files, is left out. */
static bool support(struct archive *a)
{
    return archive_read_support_filter_gzip(a) == ARCHIVE_OK &&
           archive_read_support_filter_bzip2(a) == ARCHIVE_OK &&
           archive_read_support_filter_xz(a) == ARCHIVE_OK &&
           archive_read_support_filter_lzma(a) == ARCHIVE_OK &&
           archive_read_support_filter_lzip(a) == ARCHIVE_OK &&
           archive_read_support_filter_compress(a) == ARCHIVE_OK &&
           archive_read_support_filter_zstd(a) == ARCHIVE_OK &&
           archive_read_support_filter_lz4(a) == ARCHIVE_OK &&
           archive_read_support_format_tar(a) == ARCHIVE_OK &&
           archive_read_support_format_7zip(a) == ARCHIVE_OK &&
           archive_read_support_format_rar(a) == ARCHIVE_OK &&
           archive_read_support_format_rar5(a) == ARCHIVE_OK &&
           archive_read_support_format_cab(a) == ARCHIVE_OK &&
           archive_read_support_format_cpio(a) == ARCHIVE_OK &&
           archive_read_support_format_lha(a) == ARCHIVE_OK &&
           archive_read_support_format_iso9660(a) == ARCHIVE_OK &&
           archive_read_support_format_zip(a) == ARCHIVE_OK &&
           archive_read_support_format_raw(a) == ARCHIVE_OK;
}

static void tell(struct walk *walk, struct bytes path, unsigned depth, bool is_encrypted,
                 bool is_nested)
{
    size_t from = path.len > ARCHIVE_PATH_MAX ? path.len - ARCHIVE_PATH_MAX : 0;

    if (walk->left == 0) {
        worsen(walk, ARCHIVE_CROWDED);
        return;
    }
    walk->left--;
    walk->take(walk->context, &(struct archive_member){
                                  .path = bytes_slice(path, from, path.len),
                                  .depth = depth,
                                  .is_encrypted = is_encrypted,
                                  .is_nested = is_nested,
                              });
}

/* --- one in another --------------------------------------------------------------------------- */

/* False: not all of it. */
static bool unpack(struct walk *walk, struct archive *a, struct buf *out)
{
    for (;;) {
        uint8_t *piece = buf_reserve(out, PIECE);
        la_ssize_t got = piece == NULL ? -1 : archive_read_data(a, piece, PIECE);

        if (got <= 0)
            return got == 0;
        buf_extend(out, (size_t)got);
        walk->unpacked += (size_t)got;
    }
}

static void walk_nested(struct walk *walk, struct archive *a, struct bytes path, unsigned depth)
{
    struct buf content;

    if (depth >= ARCHIVE_DEPTH || walk->unpacked >= ARCHIVE_UNPACKED) {
        worsen(walk, ARCHIVE_UNREAD);
        return;
    }
    buf_init(&content, ARCHIVE_UNPACKED - walk->unpacked);
    if (!unpack(walk, a, &content))
        worsen(walk, ARCHIVE_UNREAD);
    walk_archive(walk, buf_bytes(&content), path, depth + 1);
    buf_free(&content);
}

/* --- members ---------------------------------------------------------------------------------- */

/* The name in a gzip header (RFC 1952 section 2.3); empty: there is none. */
static struct bytes gzip_name(struct bytes bytes)
{
    enum { HEADER = 10, EXTRA = 1 << 2, NAME = 1 << 3 };

    if (bytes.len < HEADER + 2 || bytes.ptr[0] != 0x1f || bytes.ptr[1] != 0x8b ||
        (bytes.ptr[3] & NAME) == 0)
        return BYTES_NONE;
    size_t at = HEADER, extra = (size_t)bytes.ptr[HEADER] | (size_t)bytes.ptr[HEADER + 1] << 8;

    if ((bytes.ptr[3] & EXTRA) != 0)
        at += 2 + extra;
    struct bytes rest = bytes_slice(bytes, at, bytes.len);

    return bytes_slice(rest, 0, MIN(bytes_find(rest, 0, 0), (size_t)ARCHIVE_PATH_MAX));
}

static struct bytes entry_name(struct archive_entry *entry)
{
    const char *name = archive_entry_pathname_utf8(entry);

    if (name == NULL)
        name = archive_entry_pathname(entry);
    return name == NULL ? BYTES_NONE : bytes_of(name);
}

static bool put_path(struct buf *out, struct bytes around, struct bytes name)
{
    buf_clear(out);
    return (around.len == 0 || (buf_append(out, around) && buf_append_byte(out, '/'))) &&
           buf_append(out, name);
}

/* `around`: the path of the archive. */
static void take_entry(struct walk *walk, struct archive *a, struct archive_entry *entry,
                       struct bytes around, unsigned depth)
{
    struct bytes name = entry_name(entry);
    bool is_encrypted = archive_entry_is_encrypted(entry) != 0;
    bool is_nested = archive_kind_has_name(name);
    struct buf path;

    if (archive_entry_filetype(entry) == AE_IFDIR)
        return;
    if (name.len == 0)
        worsen(walk, ARCHIVE_UNREAD); /* a name that cannot be told */
    buf_init(&path, around.len + name.len + 1);
    bool fits = put_path(&path, around, name);
    check(fits);
    tell(walk, buf_bytes(&path), depth, is_encrypted, is_nested);
    if (is_nested && is_encrypted)
        worsen(walk, ARCHIVE_UNREAD);
    else if (is_nested && walk->left > 0)
        walk_nested(walk, a, buf_bytes(&path), depth);
    buf_free(&path);
}

/* One file, packed and no more; or bytes of no known form. */
static void take_raw(struct walk *walk, struct archive *a, struct bytes bytes, struct bytes around,
                     unsigned depth)
{
    struct bytes name = gzip_name(bytes);
    struct buf path;

    if (archive_filter_count(a) <= 1) { /* there always is one, which does nothing */
        worsen(walk, ARCHIVE_UNREAD);
        return;
    }
    if (name.len == 0)
        return;
    buf_init(&path, around.len + name.len + 1);
    bool fits = put_path(&path, around, name);
    check(fits);
    tell(walk, buf_bytes(&path), depth, false, false);
    buf_free(&path);
}

static void walk_members(struct walk *walk, struct archive *a, struct bytes bytes,
                         struct bytes path, unsigned depth)
{
    struct archive_entry *entry;
    size_t count = 0;
    int code;

    while ((code = archive_read_next_header(a, &entry)) == ARCHIVE_OK || code == ARCHIVE_WARN) {
        if (archive_format(a) == ARCHIVE_FORMAT_RAW) {
            take_raw(walk, a, bytes, path, depth);
            return;
        }
        take_entry(walk, a, entry, path, depth);
        count++;
        if (walk->result == ARCHIVE_CROWDED)
            return;
    }
    /* Of some forms damage ends the list, without a word. */
    if (code == ARCHIVE_EOF && count > 0)
        return;
    worsen(walk, ARCHIVE_UNREAD);
    if (archive_read_has_encrypted_entries(a) > 0)
        tell(walk, path, depth, true, false);
}

static void walk_archive(struct walk *walk, struct bytes bytes, struct bytes path, unsigned depth)
{
    struct archive *a = archive_read_new();

    if (a == NULL || !support(a) || archive_read_open_memory(a, bytes.ptr, bytes.len) != ARCHIVE_OK)
        worsen(walk, ARCHIVE_UNREAD);
    else
        walk_members(walk, a, bytes, path, depth);
    archive_read_free(a);
}

enum archive_result archive_names(struct bytes archive, unsigned members_max,
                                  archive_member_fn *take, void *context)
{
    struct walk walk = {.take = take, .context = context, .left = members_max};

    walk_archive(&walk, archive, BYTES_NONE, 1);
    return walk.result;
}
