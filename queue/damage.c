/* damage.c - spots that do not read back: one event, one copy each. */
#include "queue/damage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "queue/disk.h"

enum {
    FILES_MAX = 1000, /* of a shard, over all starts */
    TEXT_MAX = 512,
    NAME_MAX_LEN = 64,
};
static const uint64_t BYTES_MAX = 64 * 1024 * 1024;

struct damage {
    struct chore chore;
    struct list_node node; /* in shard->damage.recovered */
    struct shard *shard;
    enum damage_kind kind;
    uint32_t sequence, offset, len;
    struct message_id id;
    uint8_t *copy; /* NULL: none is to be made */
    size_t copy_len;
    int result;
};

static const char *const kind_names[] = {
    [DAMAGE_CONTENT] = "content", [DAMAGE_ACCEPT] = "accept",   [DAMAGE_OUTCOME] = "outcome",
    [DAMAGE_EVENT] = "event",     [DAMAGE_UNKNOWN] = "unknown", [DAMAGE_SEGMENT] = "segment",
};

static const char *const rules[] = {
    [DAMAGE_CONTENT] = "damaged-content", [DAMAGE_ACCEPT] = "damaged-accept",
    [DAMAGE_OUTCOME] = "damaged-outcome", [DAMAGE_EVENT] = "damaged-event",
    [DAMAGE_UNKNOWN] = "damaged-unknown", [DAMAGE_SEGMENT] = "damaged-segment",
};

enum damage_kind damage_kind_of(const struct record *header)
{
    if (header == NULL)
        return DAMAGE_UNKNOWN;
    switch (header->type) {
    case RECORD_CONTENT:
        return DAMAGE_CONTENT;
    case RECORD_ACCEPT:
        return DAMAGE_ACCEPT;
    case RECORD_OUTCOME:
        return DAMAGE_OUTCOME;
    case RECORD_EVENT:
        return DAMAGE_EVENT;
    case RECORD_PAD:
    case RECORD_CUT:
    case RECORD_FOOTER:
        break;
    }
    return DAMAGE_UNKNOWN;
}

struct message_id damage_message_id(const struct shard *shard, const struct record *header)
{
    struct message_id id = {0};

    if (header != NULL)
        id = record_message_id(header);
    if (!message_id_is_valid(id) || message_id_shard(id) != shard->number)
        return (struct message_id){0};
    return id;
}

/* --- what was found before ------------------------------------------------------------------- */

static bool has_position(const struct ids *ids, uint64_t position)
{
    for (size_t i = 0; i < ids->count; i++)
        if (ids->values[i] == position)
            return true;
    return false;
}

static void file_name(char *out, size_t size, unsigned shard, uint32_t sequence, uint32_t offset,
                      uint32_t len)
{
    snprintf(out, size, "%02x-%016x-%u-%u.record", shard, sequence, offset, len);
}

static bool take_number(const char **name, int base, char behind, uint32_t *out)
{
    char *end;
    unsigned long number = strtoul(*name, &end, base);

    if (end == *name || *end != behind || number > UINT32_MAX)
        return false;
    *name = end + 1;
    *out = (uint32_t)number;
    return true;
}

static int on_name(void *context, const char *name)
{
    struct shard *shard = context;
    const char *rest = name;
    uint32_t number;
    uint32_t sequence;
    uint32_t offset;
    uint32_t len;
    char again[NAME_MAX_LEN];

    if (!take_number(&rest, 16, '-', &number) || !take_number(&rest, 16, '-', &sequence) ||
        !take_number(&rest, 10, '-', &offset) || !take_number(&rest, 10, '.', &len) ||
        number != shard->number)
        return 0;
    file_name(again, sizeof(again), number, sequence, offset, len);
    if (strcmp(again, name) != 0)
        return 0;
    check(ids_add(&shard->damage.copied, position_of(sequence, offset)));
    shard->damage.copied_bytes += len;
    return 0;
}

void damage_open(struct shard *shard)
{
    char path[SPOOL_PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/damaged", shard->spool) >= (int)sizeof(path))
        return;
    int error = disk_list(path, on_name, shard);
    if (error < 0 && error != -ENOENT)
        log_warn(
            "spool=%02x path=%s what=\"cannot be listed: damage may be told again\" error=\"%s\"",
            shard->number, LOG_STRING(path), strerror(-error));
}

/* --- the copy -------------------------------------------------------------------------------- */

static int write_copy(const char *path, const struct damage *damage)
{
    int fd = disk_open(path, DISK_CREATE);

    if (fd == -EEXIST) { /* a start that was killed left it */
        int error = disk_unlink(path);

        fd = error < 0 ? error : disk_open(path, DISK_CREATE);
    }
    if (fd < 0)
        return fd;
    int error = disk_write(fd, damage->copy, damage->copy_len, 0);
    if (error == 0)
        error = disk_sync(fd);
    disk_close(fd);
    if (error < 0)
        return MIN(disk_unlink(path), error);
    return 0;
}

/* Under a name of its own first: a copy that has its name is whole. */
static int move_aside(const struct damage *damage)
{
    const struct shard *shard = damage->shard;
    char directory[SPOOL_PATH_MAX];
    char name[NAME_MAX_LEN];
    char made[SPOOL_PATH_MAX];
    char path[SPOOL_PATH_MAX];

    file_name(name, sizeof(name), shard->number, damage->sequence, damage->offset, damage->len);
    if (snprintf(directory, sizeof(directory), "%s/damaged", shard->spool) >=
            (int)sizeof(directory) ||
        snprintf(path, sizeof(path), "%s/damaged/%s", shard->spool, name) >= (int)sizeof(path) ||
        snprintf(made, sizeof(made), "%s/damaged/%s.new", shard->spool, name) >= (int)sizeof(made))
        return -ENAMETOOLONG;
    int error = disk_make_directory(directory);
    if (error == 0)
        error = write_copy(made, damage);
    if (error == 0)
        error = disk_rename(made, path);
    return error == 0 ? disk_sync_directory(directory) : error;
}

static void work(struct chore *chore)
{
    struct damage *damage = container_of(chore, struct damage, chore);

    damage->result = move_aside(damage);
}

static void damage_free(struct damage **damage)
{
    free((*damage)->copy);
    free(*damage);
    *damage = NULL;
}

static void on_copied(struct letter *letter, struct engine *engine)
{
    struct damage *damage =
        container_of(container_of(letter, struct chore, letter), struct damage, chore);
    struct shard *shard = damage->shard;

    if (damage->result < 0)
        log_error("spool=%02x segment=%x offset=%u what=\"damaged record not copied aside\" "
                  "error=\"%s\"",
                  shard->number, damage->sequence, damage->offset, strerror(-damage->result));
    damage_free(&damage);
    check(shard->damage.copying > 0);
    shard->damage.copying--;
    engine_turn_again(engine); /* a shard that is being closed waits for it */
}

void damage_told(struct shard *shard, struct damage *damage, bool is_durable)
{
    /* Without the event the next start is to find the spot again. */
    if (!is_durable || damage->copy == NULL) {
        damage_free(&damage);
        return;
    }
    damage->chore = (struct chore){
        .letter.open = on_copied,
        .engine = shard->engine,
        .work = work,
    };
    shard->damage.copying++;
    if (shard->segment_pool == NULL)
        work(&damage->chore);
    else if (blocking_run(shard->segment_pool, &damage->chore))
        return;
    else
        damage->result = -EAGAIN; /* so much damage that it cannot be copied as fast as found */
    engine_post(shard->engine, &damage->chore.letter);
}

/* --- the event ------------------------------------------------------------------------------- */

static struct bytes describe(const struct damage *damage, char *text, size_t size)
{
    unsigned shard = damage->shard->number;
    char name[NAME_MAX_LEN];
    int len;

    file_name(name, sizeof(name), shard, damage->sequence, damage->offset, damage->len);
    if (damage->kind == DAMAGE_SEGMENT)
        len = snprintf(text, size,
                       "segment %x of shard %02x can be read neither by its header nor by its "
                       "trailer; moved to damaged/%02x-%016x.seg",
                       damage->sequence, shard, shard, damage->sequence);
    else
        len = snprintf(text, size,
                       "%s record in segment %x of shard %02x at offset %u, %u bytes, does not "
                       "read back%s%s",
                       kind_names[damage->kind], damage->sequence, shard, damage->offset,
                       damage->len, damage->copy != NULL ? "; copied to damaged/" : "",
                       damage->copy != NULL ? name : "");
    return bytes_range(text, (size_t)MIN(len, (int)size - 1));
}

static void tell(struct shard *shard, struct damage *damage)
{
    char text[TEXT_MAX];
    struct event event = {
        .kind = EVENT_DAMAGED,
        .id = damage->id,
        .times = {-1, -1, -1, -1, -1, -1},
        .reply_is_ours = true,
        .reply_text = describe(damage, text, sizeof(text)),
        .class = BYTES("spool"),
        .rule = bytes_of(rules[damage->kind]),
    };

    shard_note_damage(shard, &event, damage);
}

/* False: its event is the last for now. */
static bool has_room(struct shard *shard, uint32_t len)
{
    struct damaged *d = &shard->damage;

    if (d->copied.count < FILES_MAX && d->copied_bytes + len <= BYTES_MAX)
        return true;
    if (!d->is_full)
        log_error(
            "spool=%02x files=%zu bytes=%ju path=%s what=\"enough damaged records were copied "
            "to damaged/ there: more are counted and logged only, until files are taken away "
            "from it and ringpost is started again\"",
            shard->number, d->copied.count, (uintmax_t)d->copied_bytes, LOG_STRING(shard->spool));
    d->is_full = true;
    return false;
}

static struct damage *damage_new(struct shard *shard, const struct damage_spot *spot)
{
    struct damage *damage = calloc(1, sizeof(*damage));

    check(damage != NULL);
    damage->shard = shard;
    damage->kind = spot->kind;
    damage->sequence = spot->sequence;
    damage->offset = spot->offset;
    damage->len = spot->len;
    damage->id = spot->id;
    list_node_init(&damage->node);
    if (spot->bytes.len == 0)
        return damage;
    damage->copy_len = (spot->bytes.len + SPOOL_BLOCK - 1) / SPOOL_BLOCK * SPOOL_BLOCK;
    damage->copy = disk_buffer(damage->copy_len);
    check(damage->copy != NULL);
    memcpy(damage->copy, spot->bytes.ptr, spot->bytes.len);
    memset(damage->copy + spot->bytes.len, 0, damage->copy_len - spot->bytes.len);
    return damage;
}

void damage_found(struct shard *shard, const struct damage_spot *spot)
{
    struct damaged *d = &shard->damage;
    uint64_t position = position_of(spot->sequence, spot->offset);
    char id[MESSAGE_ID_TEXT_MAX] = "-";

    if (has_position(&d->seen, position))
        return;
    if (d->seen.count < FILES_MAX)
        check(ids_add(&d->seen, position));
    if (spot->id.value != 0)
        message_id_format(spot->id, id);
    log_error("id=%s spool=%02x segment=%x offset=%u bytes=%u record=%s what=\"damaged record\"",
              id, shard->number, spot->sequence, spot->offset, spot->len, kind_names[spot->kind]);
    metric_inc(METRIC_SPOOL_DAMAGED_RECORDS);
    if (has_position(&d->copied, position) || shard->is_closing || !has_room(shard, spot->len))
        return;
    check(ids_add(&d->copied, position));
    d->copied_bytes += spot->bytes.len;
    struct damage *damage = damage_new(shard, spot);
    if (shard->recovering != NULL)
        list_push_back(&d->recovered, &damage->node);
    else
        tell(shard, damage);
}

void damage_name(struct shard *shard, uint32_t sequence, uint32_t from, uint32_t to,
                 struct message_id id)
{
    list_for_each(node, &shard->damage.recovered) {
        struct damage *damage = container_of(node, struct damage, node);

        if (damage->id.value == 0 && damage->sequence == sequence && damage->offset < to &&
            from < damage->offset + damage->len)
            damage->id = id;
    }
}

void damage_tell_recovered(struct shard *shard)
{
    for (struct list_node *node; (node = list_pop_front(&shard->damage.recovered)) != NULL;)
        tell(shard, container_of(node, struct damage, node));
}

bool damage_is_idle(const struct shard *shard)
{
    return shard->damage.copying == 0;
}

void damage_close(struct shard *shard)
{
    check(shard->damage.copying == 0);
    list_for_each(node, &shard->damage.recovered) {
        list_remove(node);
        damage_told(shard, container_of(node, struct damage, node), false);
    }
    ids_free(&shard->damage.copied);
    ids_free(&shard->damage.seen);
    ids_free(&shard->damage.messages);
}

/* --- messages -------------------------------------------------------------------------------- */

void damage_add_message(struct shard *shard, struct message_id id)
{
    if (shard->damage.messages.count < FILES_MAX &&
        !has_position(&shard->damage.messages, id.value))
        check(ids_add(&shard->damage.messages, id.value));
}

bool shard_is_damaged(const struct shard *shard, const struct stub *stub)
{
    return has_position(&shard->damage.messages, stub->id.value);
}
