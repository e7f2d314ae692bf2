/* unpack.c - one file out of gzip or zip, by libarchive. */
#include "inbound/report/unpack.h"

#include <archive.h>
#include <archive_entry.h>

enum { PIECE = 64 * 1024 };

bool unpack_is_packed(struct bytes bytes)
{
    struct bytes start = bytes_slice(bytes, 0, 2);

    return bytes_equal(start, BYTES("\x1f\x8b")) || bytes_equal(start, BYTES("PK"));
}

static bool take_file(struct archive *archive, struct buf *out, const char **why_out)
{
    for (;;) {
        uint8_t *piece = buf_reserve(out, PIECE);

        if (piece == NULL) {
            *why_out = "it unpacks to more than a report may have";
            return false;
        }
        la_ssize_t got = archive_read_data(archive, piece, PIECE);
        if (got < 0) {
            *why_out = "what is packed in it is damaged";
            return false;
        }
        if (got == 0)
            return true;
        buf_extend(out, (size_t)got);
    }
}

/* False: there is no file in it. */
static bool find_file(struct archive *archive)
{
    struct archive_entry *entry;

    while (archive_read_next_header(archive, &entry) == ARCHIVE_OK) {
        /* gzip alone has no kind of file to tell */
        if (archive_entry_filetype(entry) == AE_IFREG || archive_entry_filetype(entry) == 0)
            return true;
    }
    return false;
}

bool unpack(struct bytes packed, struct buf *out, const char **why_out)
{
    struct archive *archive = archive_read_new();

    *why_out = "no memory to unpack it";
    if (archive == NULL)
        return false;
    archive_read_support_filter_gzip(archive);
    archive_read_support_format_zip(archive);
    archive_read_support_format_raw(archive);
    bool is_whole = false;
    if (archive_read_open_memory(archive, packed.ptr, packed.len) != ARCHIVE_OK ||
        !find_file(archive))
        *why_out = "it is neither gzip nor a zip archive with a file in it";
    else
        is_whole = take_file(archive, out, why_out);
    archive_read_free(archive);
    return is_whole;
}
