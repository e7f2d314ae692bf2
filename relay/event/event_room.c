/* event_room.c - preallocation behind the end of the event file. */
#include "event/event_room.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    PART_OF_FILE_SYSTEM = 16,
    STAT_BLOCK = 512, /* of st_blocks */
    OWN_BLOCKS_MAX = 64 * 1024,
    PIECE_MIN = 64 * 1024, /* smaller pieces than that are not looked for on a full disk */
};

void event_room_init(struct event_room *room, int fd)
{
    struct statvfs status;
    uint64_t size = UINT64_MAX;

    if (fstatvfs(fd, &status) == 0)
        size = (uint64_t)status.f_blocks * status.f_frsize;
    *room = (struct event_room){
        .wanted = MIN(MAX(size / PART_OF_FILE_SYSTEM, (uint64_t)EVENT_ROOM_MIN),
                      (uint64_t)EVENT_ROOM_MAX),
    };
}

static uint64_t left(const struct event_room *room, uint64_t len)
{
    return room->end - MIN(room->end, len);
}

/* A full XFS refuses to set room aside even where it is set aside already. The file has no holes,
 * so what its blocks hold beyond its end is room; a few of them may be the file system's own. */
static void count_blocks(struct event_room *room, int fd)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return;
    uint64_t held = (uint64_t)status.st_blocks * STAT_BLOCK;

    room->end = MAX(room->end, held - MIN(held, (uint64_t)OWN_BLOCKS_MAX));
}

void event_room_keep(struct event_room *room, int fd, uint64_t len)
{
    if (room->is_unsupported || left(room, len) >= room->wanted - room->wanted / 4)
        return;
    /* From the end of the file on: what is there already costs nothing, and what an earlier run
     * left there counts. */
    for (uint64_t piece = room->wanted; piece >= PIECE_MIN && piece > left(room, len); piece /= 2) {
        if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)len, (off_t)piece) == 0) {
            room->end = len + piece;
            return;
        }
        if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == ENODEV) {
            room->is_unsupported = true;
            return;
        }
        if (errno != ENOSPC && errno != EDQUOT)
            return; /* the next write says what it is */
    }
    count_blocks(room, fd);
}

bool event_room_is_enough(const struct event_room *room, uint64_t len)
{
    return room->is_unsupported || left(room, len) >= room->wanted / 2;
}

void event_room_release(int fd, uint64_t len)
{
    /* To the size that it has: that is what frees blocks behind the end. Should it fail, they go
     * with the file when it has been compressed. */
    (void)!ftruncate(fd, (off_t)len);
}
