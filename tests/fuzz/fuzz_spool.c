/* modules: queue event base */
/* runs: 200 */
/*
 * fuzz_spool.c - a shard opened on segment files that a disk, or a hand, has changed.
 *
 * A real shard writes the files once: mail of every kind over several segments, as a crash and as
 * an orderly end leave them. The first byte chooses which of the two, and what else is tried. Then
 * five bytes an edit: what, which file, where, how. Whatever the edits are, the spool opens, is
 * checked and dumped, and takes mail. Mail whose bytes nobody touched is there, with its content;
 * what was finished stays finished; nothing appears that never was.
 * Some edits seal what they changed again, so that nonsense arrives behind checksums that hold:
 * then nothing is claimed but that everything ends well.
 */
#include <jansson.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/random.h"
#include "queue/inspect.h"
#include "queue/segment.h"
#include "support/engine_fake.h"
#include "support/fuzz_files.h"
#include "tests/unit/queue/shard_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

enum {
    SEGMENT = 64 * 1024,
    FILES_MAX = 8,
    SPANS_MAX = 128,
    KNOWN_MAX = 16,
    EDITS_MAX = 24,
    EDIT_LEN = 5,
    COPY_LEN = 64,
};

/* A record of an image, and the batch it stands or falls with. */
struct span {
    unsigned file;
    uint32_t from, to;
    uint32_t batch_from, batch_to;
    struct record record; /* its payload points into the image */
};

struct image {
    unsigned file_count;
    uint32_t sequences[FILES_MAX];
    uint8_t *files[FILES_MAX];
    size_t span_count;
    struct span spans[SPANS_MAX];
};

struct known {
    struct message_id id;
    unsigned seed;
    unsigned live_count;
    bool is_large; /* content that came by chunks */
};

/* What the edits did to the files. */
struct edits {
    const struct image *image;
    uint8_t *files[FILES_MAX];
    size_t lens[FILES_MAX];
    bool is_gone[FILES_MAX];
    bool is_sealed; /* nonsense behind good checksums */
    size_t count;
    struct touched {
        unsigned file;
        uint32_t from, to;
    } touched[EDITS_MAX];
};

static struct image images[2];
static struct known known[KNOWN_MAX];
static size_t known_count;
static char directory[64];

/* --- the files, once ------------------------------------------------------------------------- */

static void on_record(void *context, const struct record *record, bool is_alone)
{
    struct image *image = context;
    struct span *span = &image->spans[image->span_count++];

    check(image->span_count <= SPANS_MAX && !is_alone);
    *span = (struct span){
        .file = image->file_count,
        .from = record->offset,
        .to = record->offset + (uint32_t)record_size(record->payload.len),
        .batch_from = record->offset,
        .record = *record,
    };
    if ((record->flags & RECORD_FOLLOWS) != 0)
        span->batch_from = span[-1].batch_from;
    span->batch_to = span->to;
    for (struct span *s = span; s->batch_from < s->from; s--)
        s[-1].batch_to = span->to;
}

static void scan_file(struct image *image, uint32_t sequence, uint8_t *bytes)
{
    struct record_scan scan = {.context = image, .record = on_record};
    struct record_scan_result result;
    struct segment_header header;
    struct segment_trailer trailer;

    check(segment_header_decode(bytes, &header) == SEGMENT_HEADER_GOOD);
    uint64_t seed = segment_seed(header.salt, sequence);
    bool is_closed = segment_trailer_decode(bytes + SEGMENT - SPOOL_BLOCK, &trailer) &&
                     trailer.salt == header.salt;
    uint32_t end = is_closed ? trailer.footer_offset : SEGMENT;
    check(record_scan((struct bytes){bytes + SPOOL_BLOCK, end - SPOOL_BLOCK}, SPOOL_BLOCK, seed,
                      &scan, &result) == 0);
    if (is_closed) {
        struct record footer;

        check(record_read((struct bytes){bytes + end, SEGMENT - end}, end, seed, &footer) ==
              RECORD_GOOD);
        on_record(image, &footer, false);
    }
}

static void take_image(const struct world *w, struct image *image)
{
    for (uint32_t sequence = 1; sequence < FILES_MAX; sequence++) {
        char path[128];
        uint8_t *bytes = malloc(SEGMENT);

        world_segment_path(w, sequence, path, sizeof(path));
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        check(bytes != NULL);
        if (fd < 0) {
            free(bytes);
            continue;
        }
        check(read(fd, bytes, SEGMENT) == SEGMENT);
        close(fd);
        scan_file(image, sequence, bytes);
        image->sequences[image->file_count] = sequence;
        image->files[image->file_count++] = bytes;
    }
    check(image->file_count >= 3);
}

static struct stub *remember(struct world *w, struct message_id id, unsigned seed)
{
    struct stub *stub = shard_find(w->shard, id);

    check(stub != NULL && known_count < KNOWN_MAX);
    known[known_count++] = (struct known){.id = id, .seed = seed};
    return stub;
}

static struct stub *accept_one(struct world *w, unsigned recipients, size_t size)
{
    unsigned seed = (unsigned)known_count + 1;
    struct message_id id;

    check(world_accept(w, world_message(recipients, size, seed), &id) == 0);
    return remember(w, id, seed);
}

static void end_one(struct world *w, struct pending *pending, enum event_kind kind)
{
    check(world_wait_due(w, pending));
    check(world_outcome(w, pending, kind, engine_now_ms(w->engine) + 3600000) == 0);
}

/* A recipient bounces; its notice is accepted in the same commit. */
static void bounce_one(struct world *w, struct pending *pending)
{
    unsigned seed = (unsigned)known_count + 1;
    struct message *notice = world_message(1, 700, seed);

    check(world_wait_due(w, pending));
    struct outcome outcome = world_outcome_of(pending, EVENT_BOUNCED, 0);
    struct world_commit commit = {.commit = {.message = notice,
                                             .outcomes = &outcome,
                                             .outcome_count = 1,
                                             .done = world_on_commit}};
    shard_commit(w->shard, &commit.commit);
    check(world_until(w, &commit.is_done) && commit.result == 0);
    (void)remember(w, notice->id, seed);
    message_release(&notice);
}

static void accept_large(struct world *w)
{
    unsigned seed = (unsigned)known_count + 1;
    struct message *message = world_envelope(1, seed);
    struct message_id id;

    check(world_write_content(w, message, seed, 9000) == 0);
    check(world_accept(w, message, &id) == 0);
    (void)remember(w, id, seed);
    known[known_count - 1].is_large = true;
}

static void write_history(struct world *w)
{
    end_one(w, &accept_one(w, 1, 300)->pendings[0], EVENT_DELIVERED);
    bounce_one(w, &accept_one(w, 2, 500)->pendings[0]);
    end_one(w, &accept_one(w, 3, 1500)->pendings[1], EVENT_DEFERRED);
    accept_large(w);
    struct stub *later = accept_one(w, 2, 12000);
    for (unsigned i = 0; i < 4; i++)
        (void)accept_one(w, 1, 12000);
    /* Of a message that was accepted a segment earlier. */
    end_one(w, &later->pendings[0], EVENT_BOUNCED);
    end_one(w, &later->pendings[1], EVENT_DELIVERED);
    accept_large(w);
    struct stub *both = accept_one(w, 2, 200);
    end_one(w, &both->pendings[1], EVENT_DEFERRED);
    for (size_t i = 0; i < known_count; i++) {
        struct stub *stub = shard_find(w->shard, known[i].id);

        known[i].live_count = stub == NULL ? 0 : stub->live_count;
    }
}

/* cmocka's claims end the program, as check() does. */
static void prepare(void)
{
    struct world w;

    check(setenv("CMOCKA_TEST_ABORT", "1", 1) == 0);
    log_setup(LOG_TO_STDERR, LOG_LEVEL_ERROR);
    random_seed(1);
    world_init_in(&w, fuzz_make_directory(), SEGMENT);
    memcpy(directory, w.directory, sizeof(directory));
    check(world_open(&w) == 0);
    write_history(&w);
    take_image(&w, &images[0]);
    world_close(&w);
    take_image(&w, &images[1]);
}

/* --- edits ----------------------------------------------------------------------------------- */

static void touch(struct edits *e, unsigned file, uint32_t from, uint32_t to)
{
    check(e->count < EDITS_MAX);
    e->touched[e->count++] = (struct touched){file, from, to};
}

static bool is_untouched(const struct edits *e, unsigned file, uint32_t from, uint32_t to)
{
    for (size_t i = 0; i < e->count; i++)
        if (e->touched[i].file == file && e->touched[i].from < to && from < e->touched[i].to)
            return false;
    return true;
}

/* Another payload, perhaps another type, with checksums that hold. */
static void seal_record(struct edits *e, unsigned file, uint32_t at, uint8_t value)
{
    const struct image *image = e->image;
    struct segment_header header;

    check(segment_header_decode(image->files[file], &header) == SEGMENT_HEADER_GOOD);
    for (size_t i = 0; i < image->span_count; i++) {
        const struct span *span = &image->spans[i];
        const struct record *record = &span->record;

        if (span->file != file || at < span->from || at >= span->to)
            continue;
        uint8_t *bytes = e->files[file] + span->from;
        uint32_t within = at - span->from;
        enum record_type type = record->type;
        unsigned flags = record->flags;

        if (within < 8)
            type = (enum record_type)(RECORD_PAD + value % 7);
        else if (within < RECORD_HEADER_LEN)
            flags = value % 8;
        else
            bytes[within] = value;
        record_begin(bytes, type, flags, (uint32_t)record->payload.len);
        record_seal(bytes, span->from, record->flush,
                    segment_seed(header.salt, image->sequences[file]));
        e->is_sealed = true;
        return;
    }
}

static void seal_header(struct edits *e, unsigned file, uint32_t number, unsigned field)
{
    struct segment_header header;

    if (segment_header_decode(e->files[file], &header) != SEGMENT_HEADER_GOOD)
        return;
    uint64_t value = number >= 0x8000 ? ~(uint64_t)0xffff | number : number;
    switch (field % 6) {
    case 0:
        header.node = (uint16_t)value;
        break;
    case 1:
        header.shard = (uint16_t)value;
        break;
    case 2:
        header.sequence = (uint32_t)value;
        break;
    case 3:
        header.size = (uint32_t)value;
        break;
    case 4:
        header.serial_max = value;
        break;
    default:
        header.format = (uint16_t)value;
        break;
    }
    segment_header_encode(&header, e->files[file]);
    e->is_sealed = true;
}

static void seal_trailer(struct edits *e, unsigned file, uint32_t number, unsigned field)
{
    uint8_t *block = e->files[file] + SEGMENT - SPOOL_BLOCK;
    struct segment_trailer trailer;

    if (!segment_trailer_decode(block, &trailer))
        return;
    uint64_t value = number >= 0x8000 ? ~(uint64_t)0xffff | number : number;
    switch (field % 5) {
    case 0:
        trailer.data_end = (uint32_t)value;
        break;
    case 1:
        trailer.footer_offset = (uint32_t)value;
        break;
    case 2:
        trailer.footer_len = (uint32_t)value;
        break;
    case 3:
        trailer.serial_max = value;
        break;
    default:
        trailer.sequence = (uint32_t)value;
        break;
    }
    segment_trailer_encode(&trailer, block);
    e->is_sealed = true;
}

static void edit(struct edits *e, const uint8_t bytes[static EDIT_LEN])
{
    unsigned file = bytes[1] % e->image->file_count;
    uint32_t at = (uint32_t)bytes[2] << 8 | bytes[3];
    uint8_t value = bytes[4];
    uint32_t to = MIN(at + value + 1, (uint32_t)SEGMENT);

    switch (bytes[0] % 9) {
    case 0:
    case 1:
        e->files[file][at] ^= value;
        touch(e, file, at, at + 1);
        break;
    case 2:
        memset(e->files[file] + at, 0, to - at);
        touch(e, file, at, to);
        break;
    case 3: /* a write that went astray */
        at = MIN(at, (uint32_t)(SEGMENT - COPY_LEN));
        memmove(e->files[file] + at, e->files[file] + (size_t)value * 128, COPY_LEN);
        touch(e, file, at, at + COPY_LEN);
        break;
    case 4:
        e->lens[file] = MIN(e->lens[file], (size_t)at);
        /* Only whole blocks of it are used. */
        touch(e, file, at / SPOOL_BLOCK * SPOOL_BLOCK, SEGMENT);
        break;
    case 5:
        e->is_gone[file] = true;
        touch(e, file, 0, SEGMENT);
        break;
    case 6:
        seal_record(e, file, at, value);
        break;
    case 7:
        seal_header(e, file, at, value);
        break;
    default:
        seal_trailer(e, file, at, value);
        break;
    }
}

static void lay_out(const struct edits *e)
{
    for (unsigned i = 0; i < e->image->file_count; i++) {
        char path[128];

        check(snprintf(path, sizeof(path), "%s/07/%016x.seg", directory, e->image->sequences[i]) <
              (int)sizeof(path));
        if (!e->is_gone[i])
            fuzz_write(path, (struct bytes){e->files[i], e->lens[i]});
    }
}

/* --- what must hold -------------------------------------------------------------------------- */

/* The salt can be read: from one copy of the header, or from the trailer. */
static bool is_readable(const struct edits *e, unsigned file)
{
    struct segment_trailer trailer;

    if (e->is_gone[file] || e->lens[file] < 3 * SPOOL_BLOCK)
        return false;
    return is_untouched(e, file, 0, SPOOL_BLOCK / 2) ||
           is_untouched(e, file, SPOOL_BLOCK / 2, SPOOL_BLOCK) ||
           (is_untouched(e, file, SEGMENT - SPOOL_BLOCK, SEGMENT) &&
            segment_trailer_decode(e->files[file] + SEGMENT - SPOOL_BLOCK, &trailer));
}

static bool is_extent_whole(const struct edits *e, const struct extent *extent)
{
    for (unsigned i = 0; i < e->image->file_count; i++)
        if (e->image->sequences[i] == extent->segment)
            return is_readable(e, i) && is_untouched(e, i, extent->offset - RECORD_HEADER_LEN,
                                                     extent->offset + extent->len);
    return false;
}

static bool is_span_whole(const struct edits *e, const struct span *span)
{
    return is_readable(e, span->file) &&
           is_untouched(e, span->file, span->batch_from, span->batch_to);
}

/* Nothing that the message's accept and content need was touched, of no copy: compaction wrote some
 * again, and the newest counts while the older one is still there. */
static bool is_accept_whole(const struct edits *e, struct message_id id)
{
    bool is_found = false;

    for (size_t i = 0; i < e->image->span_count; i++) {
        const struct span *span = &e->image->spans[i];
        struct accept accept;
        struct extent extent;

        if (span->record.type != RECORD_ACCEPT || !accept_decode(&span->record, &accept) ||
            accept.id.value != id.value)
            continue;
        if (!is_span_whole(e, span))
            return false;
        while (accept_next_extent(&accept, &extent))
            if (!is_extent_whole(e, &extent))
                return false;
        is_found = true;
    }
    check(is_found);
    return true;
}

static bool are_outcomes_whole(const struct edits *e, struct message_id id)
{
    for (size_t i = 0; i < e->image->span_count; i++) {
        const struct span *span = &e->image->spans[i];

        if (span->record.type == RECORD_OUTCOME &&
            record_message_id(&span->record).value == id.value && !is_span_whole(e, span))
            return false;
    }
    return true;
}

/* True: it was there, whole. Content that loads is never wrong. */
static bool loads(struct world *w, const struct known *k, struct stub *stub, bool is_sealed)
{
    struct message *message;
    int64_t size;

    if (world_load(w, stub, false, &message) < 0)
        return false;
    if (message->content.memory.ptr != NULL) {
        bool is_same = world_is_content(k->seed, message->content.memory);

        check(is_same || is_sealed);
        size = (int64_t)message->content.memory.len;
    } else {
        size = world_verify_content(w, message, k->seed);
        check(size != -1 || is_sealed);
    }
    bool is_whole = size == (int64_t)message->content.size;
    message_release(&message);
    return is_whole;
}

static void check_known(struct world *w, const struct edits *e)
{
    for (size_t i = 0; i < known_count; i++) {
        const struct known *k = &known[i];
        struct stub *stub = shard_find(w->shard, k->id);
        bool is_there = stub != NULL && loads(w, k, stub, e->is_sealed);

        if (e->is_sealed)
            continue;
        if (k->live_count > 0 && is_accept_whole(e, k->id)) {
            check(is_there);
            check(stub->live_count >= k->live_count);
        }
        if (are_outcomes_whole(e, k->id))
            check(stub == NULL ? k->live_count == 0 || !is_accept_whole(e, k->id)
                               : stub->live_count == k->live_count);
    }
}

static void count_stub(void *context, struct shard *shard, struct stub *stub)
{
    size_t *found = context;

    (void)shard;
    check(stub->live_count > 0 && stub->live_count <= stub->recipient_count);
    for (size_t i = 0; i < known_count; i++)
        if (known[i].id.value == stub->id.value)
            found[1]++;
    found[0]++;
}

/* How many there are; none that we did not write. */
static size_t count_stubs(struct world *w, const struct edits *e, size_t added)
{
    size_t found[2] = {0, 0};
    uint64_t cursor = 0;

    while (shard_walk(w->shard, &cursor, 1024, count_stub, found))
        continue;
    check(e->is_sealed || found[0] == found[1] + added);
    return found[0];
}

static void check_json(void *context, const char *text)
{
    json_t *line = json_loads(text, 0, NULL);

    (void)context;
    check(line != NULL);
    json_decref(line);
}

static void check_text(void *context, const char *text)
{
    (void)context;
    for (const char *c = text; *c != '\0'; c++)
        check(*c >= ' ' && *c != 0x7f);
}

static void inspect(bool is_sealed)
{
    struct spool_report report;
    int error = spool_check(directory, &report, check_text, NULL);

    check(error == 0 || is_sealed);
    if (error == 0)
        check(report.messages <= report.recipients_live && report.bytes_live <= report.bytes);
    error = spool_dump(directory, check_json, NULL);
    check(error == 0 || is_sealed);
}

/* Opens, looks, accepts, closes; false when it does not open, which only nonsense may cause. */
static bool live_once(struct world *w, const struct edits *e, size_t *count)
{
    size_t before = *count;
    struct message_id id;
    struct shard_status status;

    int error = world_open(w);
    if (error < 0) {
        fprintf(stderr, "the spool does not open: %d %s\n", error, w->why);
        check(e->is_sealed && w->why[0] != '\0');
        return false;
    }
    world_turns(w, 3);
    world_check_invariant(w);
    check_known(w, e);
    size_t found = count_stubs(w, e, before);
    shard_status(w->shard, &status);
    check(status.messages == found);
    /* Ids are of the clock, which does not stand still between two lives: who lost the segment that
     * told the last id must not give it out again. */
    fake_step_wall_ms(w->engine, (int64_t)(before + 1) * 1000);
    int accepted = world_accept(w, world_message(1, 100, 99), &id);
    check(accepted == 0 || e->is_sealed);
    check(accepted != 0 || shard_find(w->shard, id) != NULL);
    *count += accepted == 0;
    world_close(w);
    return true;
}

/* The lowest that is free: the same again when nothing was left open. */
static int free_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    check(fd >= 0);
    close(fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    if (images[0].file_count == 0)
        prepare();
    struct bytes rest = {input, len};
    unsigned how = fuzz_byte(&rest);
    struct edits edits = {.image = &images[how % 2]};
    struct world w = {
        .settings = {.directory = directory, .segment_size = SEGMENT, .spare_segments = 1}};
    size_t added = 0;

    int descriptor = free_descriptor();
    random_seed(2);
    event_set_node(0); /* looking at a spool takes its node over */
    memcpy(w.directory, directory, sizeof(directory));
    fuzz_empty(directory);
    for (unsigned i = 0; i < edits.image->file_count; i++) {
        edits.files[i] = malloc(SEGMENT);
        check(edits.files[i] != NULL);
        memcpy(edits.files[i], edits.image->files[i], SEGMENT);
        edits.lens[i] = SEGMENT;
    }
    while (rest.len >= EDIT_LEN && edits.count < EDITS_MAX) {
        edit(&edits, rest.ptr);
        rest = bytes_slice(rest, EDIT_LEN, rest.len);
    }
    lay_out(&edits);
    if (how & 2)
        inspect(edits.is_sealed);
    /* What recovery made of it must be as good a spool as any. */
    if (live_once(&w, &edits, &added) && (how & 4))
        (void)live_once(&w, &edits, &added);
    if (how & 8)
        inspect(edits.is_sealed);
    check(free_descriptor() == descriptor);
    for (unsigned i = 0; i < edits.image->file_count; i++)
        free(edits.files[i]);
    return 0;
}
