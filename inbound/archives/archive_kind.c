/* archive_kind.c - signatures and ends of names. */
#include "inbound/archives/archive_kind.h"

static const struct {
    size_t at;
    struct bytes bytes;
} signatures[] = {
    {0, BYTES("\x1f\x8b")}, /* gzip */
    {0, BYTES("\x1f\x9d")}, /* compress */
    {0, BYTES("BZh")},      /* bzip2 */
    {0, BYTES("\xfd"
              "7zXZ\0")},             /* xz */
    {0, BYTES("\x5d\0\0")},           /* lzma */
    {0, BYTES("LZIP")},               /* lzip */
    {0, BYTES("\x28\xb5\x2f\xfd")},   /* zstd */
    {0, BYTES("\x04\x22\x4d\x18")},   /* lz4 */
    {0, BYTES("7z\xbc\xaf\x27\x1c")}, /* 7z */
    {0, BYTES("Rar!\x1a\x07")},       /* rar, of both forms */
    {0, BYTES("MSCF\0\0\0\0")},       /* cab */
    {0, BYTES("07070")},              /* cpio */
    {2, BYTES("-lh")},                /* lha */
    {257, BYTES("ustar")},            /* tar */
};

enum archive_kind archive_kind(struct bytes start)
{
    if (bytes_equal(bytes_slice(start, 0, 4), BYTES("PK\3\4")))
        return ARCHIVE_ZIP;
    for (size_t i = 0; i < ARRAY_LEN(signatures); i++) {
        struct bytes is = signatures[i].bytes;

        if (bytes_equal(bytes_slice(start, signatures[i].at, is.len), is))
            return ARCHIVE_OTHER;
    }
    return ARCHIVE_NONE;
}

/* Of what holds one file and no name, or a name that some readers pass over. */
static const char *const packed[] = {".gz", ".bz2", ".xz", ".zst", ".lzma", ".lz", ".lz4", ".z"};

bool archive_kind_has_name(struct bytes name)
{
    static const char *const ends[] = {
        ".zip", ".zipx", ".7z",  ".rar", ".tar", ".tgz", ".tbz2", ".txz", ".tzst", ".cpio",
        ".lzh", ".lha",  ".arj", ".ace", ".cab", ".iso", ".img",  ".vhd", ".vhdx", ".wim",
    };

    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (bytes_ends_nocase(name, bytes_of(ends[i])))
            return true;
    return archive_kind_unpacked(name).len < name.len;
}

struct bytes archive_kind_unpacked(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(packed); i++) {
        struct bytes end = bytes_of(packed[i]);

        if (bytes_ends_nocase(name, end))
            return bytes_slice(name, 0, name.len - end.len);
    }
    return name;
}
