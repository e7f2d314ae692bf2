/*
 * arriving.c - moves what a message that still arrives has written out of the oldest segment.
 *
 * Segments die in order, and a client may take as long for its content as its service lets it: one
 * that drips would hold everything that was delivered behind it. So where little of the spool
 * lives, the pieces of such messages in the oldest segment are written once more at the head, one
 * at a time. Then the message pins the oldest segment that it still needs.
 *
 * On a full disk they take from what is kept for outcomes, as compaction does: there it is what
 * makes room again. But anybody's client may drip, with as much as it likes: so no more than a
 * quarter of it, and what is beyond stays where it is until its client's deadline.
 *
 * Nothing was promised of these pieces. A copy that is lost with a failed write fails the accept
 * that names it, as any piece does; what a crash leaves of either is dead.
 */
#include <errno.h>

#include "base/metric.h"
#include "queue/shard_private.h"

enum {
    REST_MS = 1000, /* no space for the copy */
    REST_DAMAGED_MS = 60 * 1000,
};

static void on_piece_read(struct content_read *read, int result, struct bytes piece);
static void on_piece_written(struct content_write *write, int result);

void arriving_init(struct shard *shard)
{
    list_init(&shard->arriving.messages);
}

void arriving_join(struct shard *shard, struct message *message)
{
    check(message->pinned != NULL);
    list_push_back(&shard->arriving.messages, &message->arriving);
}

bool arriving_is_idle(const struct shard *shard)
{
    return shard->arriving.moved == NULL;
}

void arriving_free(struct shard *shard)
{
    check(arriving_is_idle(shard));
    while (list_pop_front(&shard->arriving.messages) != NULL)
        ;
}

static bool has_room(const struct shard *shard)
{
    return !shard_is_full(shard) ||
           supply_reserve_bytes(shard) >= (uint64_t)shard->segment_size / 4 * 3;
}

/* The message pins the oldest segment that a piece of it stands in. */
static void pin_again(struct shard *shard, struct message *message)
{
    struct segment *first = shard_segment(shard, content_first_segment(&message->content));

    if (first == NULL || first == message->pinned)
        return;
    segment_pin(first);
    segment_unpin(message->pinned);
    message->pinned = first;
}

static void end_move(struct shard *shard, int64_t rest_ms)
{
    struct arriving *arriving = &shard->arriving;

    shard_read_content_end(shard, &arriving->read);
    message_release(&arriving->moved);
    if (rest_ms > 0)
        arriving->rest_until_ms = engine_now_ms(shard->engine) + rest_ms;
    engine_turn_again(shard->engine);
}

static void on_piece_written(struct content_write *write, int result)
{
    struct arriving *arriving = container_of(write, struct arriving, write);
    struct shard *shard = container_of(arriving, struct shard, arriving);
    struct message *message = arriving->moved;

    if (result < 0) {
        end_move(shard, REST_MS);
        return;
    }
    /* Accepted meanwhile: the record names the old place, and compaction knows it by that. */
    if (list_is_linked(&message->arriving)) {
        message->content.extents[arriving->piece] = write->extent;
        pin_again(shard, message);
        metric_add(METRIC_SPOOL_COMPACTED_BYTES, (int64_t)record_size(write->extent.len));
    }
    end_move(shard, 0);
}

static void on_piece_read(struct content_read *read, int result, struct bytes piece)
{
    struct arriving *arriving = container_of(read, struct arriving, read);
    struct shard *shard = container_of(arriving, struct shard, arriving);

    if (result <= 0) {
        end_move(shard, REST_DAMAGED_MS);
        return;
    }
    if (shard->is_closing || !list_is_linked(&arriving->moved->arriving)) {
        end_move(shard, 0);
        return;
    }
    if (!has_room(shard)) {
        end_move(shard, REST_MS);
        return;
    }
    arriving->write = (struct content_write){
        .message = arriving->moved,
        .is_copy = true,
        .done = on_piece_written,
    };
    shard_write_content(shard, &arriving->write, piece);
}

static void move_piece(struct shard *shard, struct message *message, size_t piece)
{
    struct arriving *arriving = &shard->arriving;

    arriving->moved = message_keep(message);
    arriving->piece = piece;
    arriving->read = (struct content_read){.done = on_piece_read, .next_extent = piece};
    shard_read_content(shard, message, &arriving->read);
}

void arriving_turn(struct shard *shard)
{
    const struct segment *oldest = shard->segment_count > 0 ? shard->segments[0] : NULL;

    if (!arriving_is_idle(shard) || oldest == NULL || oldest->pins == 0 ||
        engine_now_ms(shard->engine) < shard->arriving.rest_until_ms || !compact_is_worth(shard) ||
        !has_room(shard))
        return;
    list_for_each(node, &shard->arriving.messages) {
        struct message *message = container_of(node, struct message, arriving);
        const struct content *content = &message->content;

        if (message->pinned != oldest)
            continue;
        for (size_t i = 0; i < content->extent_count; i++) {
            if (content->extents[i].segment == oldest->sequence) {
                move_piece(shard, message, i);
                return;
            }
        }
    }
}
