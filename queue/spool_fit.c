/* spool_fit.c - whose segments a spool has, and of which format. */
#include "queue/spool_fit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "queue/record.h"

__attribute__((format(printf, 3, 4))) static int refuse(char *why_out, int error,
                                                        const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why_out, SPOOL_FIT_WHY_MAX, format, args);
    va_end(args);
    return error;
}

static int fit_segment(const char *path, int node, char *why_out)
{
    uint8_t block[SPOOL_BLOCK];
    struct segment_header header = {0};

    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) /* gone meanwhile */
        return 0;
    if (fd < 0)
        return refuse(why_out, -errno, "%s: %s", path, strerror(errno));
    ssize_t len = pread(fd, block, sizeof(block), 0);
    close(fd);
    if (len != sizeof(block))
        return 0;
    enum segment_header_verdict verdict = segment_header_decode(block, &header);
    if (verdict == SEGMENT_HEADER_NEWER)
        return refuse(why_out, -EPROTO, "%s was written by a newer version of ringpost", path);
    if (verdict == SEGMENT_HEADER_GOOD && header.node != node)
        return refuse(why_out, -EPROTO, "%s belongs to another node (see state_dir/node)", path);
    return 0;
}

static int fit_shard(const char *spool, unsigned shard, int node, char *why_out)
{
    char path[SPOOL_PATH_MAX];
    struct dirent *entry;
    uint32_t sequence;
    int error = 0;

    if (!shard_path(spool, shard, path))
        return -ENAMETOOLONG;
    DIR *directory = opendir(path);
    if (directory == NULL && errno == ENOENT)
        return 0;
    if (directory == NULL)
        return refuse(why_out, -errno, "%s: %s", path, strerror(errno));
    while (error == 0 && (entry = readdir(directory)) != NULL)
        if (segment_name_parse(entry->d_name, &sequence) &&
            segment_path(spool, shard, sequence, path))
            error = fit_segment(path, node, why_out);
    closedir(directory);
    return error;
}

int spool_fit(const char *spool, int node, char why_out[static SPOOL_FIT_WHY_MAX])
{
    int error = 0;

    for (unsigned shard = 0; shard < MESSAGE_ID_SHARDS_MAX && error == 0; shard++)
        error = fit_shard(spool, shard, node, why_out);
    return error;
}
