/* threads: one */
/* Framing, scanning and the records themselves. */
#include <stdlib.h>
#include <string.h>

#include "queue/record.h"
#include "tests/unit/queue/shard_world.h"

enum { BASE = SPOOL_BLOCK, ROOM = 256 * 1024 };
static const uint64_t SEED = 0x1234567890abcdefU;

/* A run of flushes, put together by hand. */
struct run {
    uint8_t *bytes;
    size_t len;
    uint32_t flush;
};

static struct run run_new(void)
{
    struct run run = {calloc(1, ROOM), 0, BASE};

    assert_non_null(run.bytes);
    return run;
}

static size_t run_add(struct run *run, enum record_type type, unsigned flags, const char *payload)
{
    size_t len = strlen(payload);
    size_t at = run->len;

    assert_true(at + record_size(len) <= ROOM);
    memcpy(run->bytes + at + RECORD_HEADER_LEN, payload, len);
    record_begin(run->bytes + at, type, flags, (uint32_t)len);
    record_seal(run->bytes + at, (uint32_t)(BASE + at), run->flush, SEED);
    run->len += record_size(len);
    return at;
}

static void run_end_flush(struct run *run)
{
    size_t gap = SPOOL_BLOCK - run->len % SPOOL_BLOCK;

    record_begin(run->bytes + run->len, RECORD_PAD, 0, (uint32_t)(gap - RECORD_HEADER_LEN));
    record_seal(run->bytes + run->len, (uint32_t)(BASE + run->len), run->flush, SEED);
    run->len += gap;
    run->flush = (uint32_t)(BASE + run->len);
}

struct told {
    char text[256]; /* payload letters of records; '!' after one alone; 'X', 'Y' damage, 'T' torn */
    size_t len;
    struct record_scan_result result;
};

static void tell(struct told *told, char c)
{
    assert_true(told->len + 1 < sizeof(told->text));
    told->text[told->len++] = c;
    told->text[told->len] = '\0';
}

static void on_record(void *context, const struct record *record, bool is_alone)
{
    if (record->type == RECORD_PAD)
        return;
    tell(context, (char)record->payload.ptr[0]);
    if (is_alone)
        tell(context, '!');
}

static void on_damage(void *context, uint32_t offset, uint32_t len, const struct record *header)
{
    (void)offset;
    (void)len;
    tell(context, header != NULL ? 'X' : 'Y');
}

static void on_torn(void *context, uint32_t offset, uint32_t len)
{
    (void)offset;
    (void)len;
    tell(context, 'T');
}

static struct told scan_whole(const struct run *run, size_t len, uint32_t whole_until)
{
    struct told told = {.text = ""};
    struct record_scan callbacks = {&told, on_record, on_damage, on_torn, whole_until};

    assert_int_equal(record_scan((struct bytes){run->bytes, len}, BASE, SEED, &callbacks,
                                 &told.result),
                     0);
    return told;
}

static struct told scan(const struct run *run, size_t len)
{
    return scan_whole(run, len, 0);
}

/* a | bc (a batch) / d | efg (a batch) / h, in three flushes; *at: where each stands. */
static struct run three_flushes(size_t at[8])
{
    struct run run = run_new();

    at[0] = run_add(&run, RECORD_EVENT, 0, "a");
    at[1] = run_add(&run, RECORD_CONTENT, RECORD_CONTINUES, "bbbbbbbbbbbbbbbbbbbb");
    at[2] = run_add(&run, RECORD_EVENT, RECORD_FOLLOWS, "c");
    run_end_flush(&run);
    at[3] = run_add(&run, RECORD_EVENT, 0, "d");
    at[4] = run_add(&run, RECORD_CONTENT, RECORD_CONTINUES, "eeee");
    at[5] = run_add(&run, RECORD_CONTENT, RECORD_CONTINUES | RECORD_FOLLOWS, "ffffffffffff");
    at[6] = run_add(&run, RECORD_EVENT, RECORD_FOLLOWS, "g");
    run_end_flush(&run);
    at[7] = run_add(&run, RECORD_EVENT, 0, "h");
    run_end_flush(&run);
    return run;
}

TEST(scan_tells_whole_batches_in_order)
{
    size_t at[8];
    struct run run = three_flushes(at);
    struct told told = scan(&run, ROOM);

    assert_string_equal(told.text, "abcdefgh");
    assert_int_equal(told.result.end, BASE + run.len);
    assert_int_equal(told.result.torn_bytes, 0);
    assert_int_equal(told.result.damaged, 0);
    free(run.bytes);
}

TEST(scan_of_a_cut_run_tells_whole_batches_only)
{
    size_t at[8];
    struct run run = three_flushes(at);

    for (size_t cut = 0; cut <= run.len; cut++) {
        struct told told = scan(&run, cut);
        const struct {
            const char *letters;
            size_t needs;
        } batches[] = {{"a", at[1]},
                       {"bc", at[2] + record_size(1)},
                       {"d", at[4]},
                       {"efg", at[6] + record_size(1)},
                       {"h", at[7] + record_size(1)}};
        size_t next = 0;

        /* What is whole, and then nothing but torn pieces. */
        for (size_t i = 0; i < ARRAY_LEN(batches) && cut >= batches[i].needs; i++)
            for (const char *letter = batches[i].letters; *letter != '\0'; letter++)
                expect_row(cut, told.text[next++] == *letter);
        expect_row(cut, strspn(told.text + next, "T") == told.len - next);
        expect_row(cut, told.result.damaged == 0);
    }
    free(run.bytes);
}

TEST(scan_of_a_flipped_byte_loses_that_record_only)
{
    static const char letters[] = "abcdefgh";
    size_t at[8];
    struct run run = three_flushes(at);

    for (size_t i = 0; i < run.len; i++) {
        for (unsigned bit = 0; bit < 8; bit += 5) {
            size_t hit = 8; /* a PAD or what is between */

            run.bytes[i] ^= (uint8_t)(1 << bit);
            struct told told = scan(&run, ROOM);
            struct told whole = scan_whole(&run, ROOM, BASE + (uint32_t)run.len);
            run.bytes[i] ^= (uint8_t)(1 << bit);
            for (size_t n = 0; n < 8; n++) {
                size_t len = record_size(n == 1 ? 20 : n == 4 ? 4 : n == 5 ? 12 : 1);
                size_t used = RECORD_HEADER_LEN + (n == 1 ? 20 : n == 4 ? 4 : n == 5 ? 12 : 1);

                if (i >= at[n] && i < at[n] + len)
                    hit = i < at[n] + used ? n : 8;
            }
            for (size_t n = 0; n < 8; n++) {
                bool found = strchr(told.text, letters[n]) != NULL;

                if (n == hit)
                    continue;
                /* The last flush's damage looks like its tear; each batch there stands alone. */
                expect_row(i, found);
                expect_row(i, strchr(whole.text, letters[n]) != NULL);
            }
            if (hit < 7)
                expect_row(i, told.result.damaged == 1);
            /* Where it is known to be whole it does not. */
            if (hit < 8)
                expect_row(i, whole.result.damaged == 1);
            expect_row(i, whole.result.torn_bytes == 0);
            expect_row(i, whole.result.end == BASE + run.len);
        }
    }
    free(run.bytes);
}

/* A footer whose trailer was lost with the power: what lies between is not damage. */
TEST(scan_ends_at_a_footer)
{
    size_t at[8];
    struct run run = three_flushes(at);
    size_t end = run.len;

    run.len += 3 * SPOOL_BLOCK;
    run.flush = (uint32_t)(BASE + run.len);
    (void)run_add(&run, RECORD_FOOTER, 0, "i");
    for (unsigned is_torn = 0; is_torn < 2; is_torn++) {
        struct told told = scan(&run, ROOM);

        assert_string_equal(told.text, "abcdefgh");
        assert_int_equal(told.result.end, BASE + end);
        assert_int_equal(told.result.damaged, 0);
        run.bytes[run.len - RECORD_ALIGN] ^= 1; /* the payload: only its header reached the disk */
    }
    free(run.bytes);
}

TEST(scan_does_not_see_what_another_seed_left)
{
    size_t at[8];
    struct run run = three_flushes(at);
    struct record_scan none = {0};
    struct record_scan_result result;

    assert_int_equal(record_scan((struct bytes){run.bytes, ROOM}, BASE, SEED + 1, &none, &result),
                     0);
    assert_int_equal(result.records, 0);
    assert_int_equal(result.end, BASE);
    /* Nor at another place. */
    assert_int_equal(record_scan((struct bytes){run.bytes, ROOM}, BASE + 8, SEED, &none, &result),
                     0);
    assert_int_equal(result.records, 0);
    free(run.bytes);
}

TEST(scan_drops_the_torn_batch_of_the_last_flush_but_not_its_neighbours)
{
    struct run run = run_new();

    run_add(&run, RECORD_EVENT, 0, "a");
    run_end_flush(&run);
    run_add(&run, RECORD_EVENT, 0, "b");
    size_t torn = run_add(&run, RECORD_CONTENT, RECORD_CONTINUES, "cccccccc");
    run_add(&run, RECORD_EVENT, RECORD_FOLLOWS, "e");
    run_add(&run, RECORD_EVENT, 0, "f");
    run_end_flush(&run);
    memset(run.bytes + torn, 0, 40);
    struct told told = scan(&run, ROOM);
    assert_string_equal(told.text, "abTTf");
    assert_int_equal(told.result.damaged, 0);
    free(run.bytes);
}

TEST(header_and_trailer_survive_one_flipped_byte_or_are_refused)
{
    uint8_t block[SPOOL_BLOCK];
    struct segment_header header = {.format = SPOOL_FORMAT,
                                    .node = 3,
                                    .shard = 9,
                                    .sequence = 77,
                                    .size = 1 << 20,
                                    .salt = 0x1122334455667788,
                                    .created_ms = 1795489800123,
                                    .serial_max = 4711};
    struct segment_header decoded;
    struct segment_trailer trailer = {77, 8192, 65536, 300, 0x1122334455667788, 4712, 8000};
    struct segment_trailer decoded_trailer;

    for (size_t i = 0; i < SPOOL_BLOCK; i++) {
        segment_header_encode(&header, block);
        block[i] ^= 0x10;
        expect_row(i, segment_header_decode(block, &decoded) == SEGMENT_HEADER_GOOD);
        expect_row(i, memcmp(&decoded, &header, sizeof(header)) == 0);
        segment_trailer_encode(&trailer, block);
        block[i] ^= 0x10;
        expect_row(i, segment_trailer_decode(block, &decoded_trailer) == (i >= 56));
    }
    header.format = SPOOL_FORMAT + 1;
    segment_header_encode(&header, block);
    assert_int_equal(segment_header_decode(block, &decoded), SEGMENT_HEADER_NEWER);
    memset(block, 0, sizeof(block));
    assert_int_equal(segment_header_decode(block, &decoded), SEGMENT_HEADER_BAD);
}

static const struct {
    const char *name;
    bool is_segment;
    uint32_t sequence;
} names[] = {
    {"0000000000000001.seg", true, 1},
    {"00000000000000ff.seg", true, 255},
    {"00000000ffffffff.seg", true, UINT32_MAX},
    {"0000000100000000.seg", false, 0}, /* beyond a position's 32 bits */
    {"0000000000000000.seg", false, 0},
    {"00000000000000FF.seg", false, 0},
    {"00000000000000f.seg", false, 0},
    {"00000000000000ff.seg~", false, 0},
    {"lock", false, 0},
    {"", false, 0},
};

TEST(segment_names_are_parsed_strictly)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        uint32_t sequence = 0;

        expect_row(i, segment_name_parse(names[i].name, &sequence) == names[i].is_segment);
        expect_row(i, sequence == names[i].sequence);
    }
}

static struct record as_record(enum record_type type, unsigned flags, uint8_t *payload, size_t len)
{
    return (struct record){.type = type,
                           .version = (uint8_t)record_version(type),
                           .flags = (uint8_t)flags,
                           .payload = {payload, len}};
}

TEST(outcome_and_cut_round_trip)
{
    uint8_t payload[OUTCOME_FIXED_LEN + 3] = {0};
    struct outcome_record outcome = {{77}, 3, 9, 1795489800000, 65535, EVENT_DEFERRED, {0}};
    struct outcome_record decoded;
    uint8_t cut_payload[CUT_LEN];
    struct cut cut;

    outcome_encode(&outcome, payload);
    memcpy(payload + OUTCOME_FIXED_LEN, "abc", 3);
    struct record record = as_record(RECORD_OUTCOME, 0, payload, sizeof(payload));
    assert_true(outcome_decode(&record, &decoded));
    assert_int_equal(decoded.id.value, 77);
    assert_int_equal(record_message_id(&record).value, 77);
    assert_int_equal(decoded.recipient, 3);
    assert_int_equal(decoded.seq, 9);
    assert_int_equal(decoded.due_ms, outcome.due_ms);
    assert_int_equal(decoded.attempts, 65535);
    assert_int_equal(decoded.kind, EVENT_DEFERRED);
    assert_true(bytes_equal(decoded.event, BYTES("abc")));
    for (size_t len = 0; len < OUTCOME_FIXED_LEN; len++) {
        record.payload.len = len;
        expect_row(len, !outcome_decode(&record, &decoded));
    }
    cut_encode(&(struct cut){5, 4096}, cut_payload);
    record = as_record(RECORD_CUT, 0, cut_payload, CUT_LEN);
    assert_true(cut_decode(&record, &cut));
    assert_int_equal(cut.sequence, 5);
    assert_int_equal(cut.offset, 4096);
}

TEST(record_of_a_version_or_type_that_is_not_known_says_so)
{
    char text[RECORD_UNKNOWN_TEXT_MAX];

    for (unsigned type = 0; type < 256; type++) {
        bool has_type = type >= RECORD_PAD && type <= RECORD_FOOTER;

        for (unsigned version = 0; version < 256; version++) {
            struct record record = {.type = type, .version = (uint8_t)version, .offset = 4096};

            expect_row(type * 256 + version,
                       record_is_known(&record) ==
                           (has_type && version >= 1 && version <= record_version(type)));
        }
    }
    record_unknown_text(&(struct record){.type = RECORD_ACCEPT, .version = 9, .offset = 4104},
                        text);
    assert_string_equal(text,
                        "the accept record at offset 4104 is of version 9, which this version "
                        "of ringpost does not know");
    record_unknown_text(&(struct record){.type = 200, .version = 1, .offset = 4104}, text);
    assert_string_equal(text, "the record at offset 4104 is of type 200 (version 1), which this "
                              "version of ringpost does not know");
}

TEST(outcome_and_cut_of_a_later_version_are_not_decoded)
{
    uint8_t payload[OUTCOME_FIXED_LEN];
    struct outcome_record outcome = {{77}, 3, 9, 0, 1, EVENT_DELIVERED, {0}};
    struct cut cut;

    outcome_encode(&outcome, payload);
    struct record record = as_record(RECORD_OUTCOME, 0, payload, sizeof(payload));
    assert_true(outcome_decode(&record, &outcome));
    record.version++;
    assert_false(outcome_decode(&record, &outcome));
    record = as_record(RECORD_CUT, 0, payload, CUT_LEN);
    assert_true(cut_decode(&record, &cut));
    record.version++;
    assert_false(cut_decode(&record, &cut));
}
