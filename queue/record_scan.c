/* record_scan.c - what a run of flushes still says after a crash or damage. */
#include "queue/record.h"

#include <errno.h>
#include <stdlib.h>

/* One stretch of the bytes: a record, or something that is none. */
struct stretch {
    uint32_t at;
    uint32_t len;
    uint32_t flush;
    uint8_t flags;
    bool is_good;
    bool has_header;
    bool is_footer;
};

struct stretches {
    struct stretch *all;
    size_t count;
    size_t capacity;
    uint32_t last_flush; /* of the good ones */
    uint32_t good_end;
};

static bool push(struct stretches *s, struct stretch stretch)
{
    if (s->count == s->capacity) {
        size_t capacity = MAX(s->capacity * 2, (size_t)1024);
        struct stretch *grown = realloc(s->all, capacity * sizeof(*grown));

        if (grown == NULL)
            return false;
        s->all = grown;
        s->capacity = capacity;
    }
    s->all[s->count++] = stretch;
    return true;
}

static struct stretch stretch_at(struct bytes bytes, uint32_t at, uint32_t base, uint64_t seed,
                                 uint32_t whole_until)
{
    struct record record;
    struct bytes rest = bytes_slice(bytes, at, bytes.len - at);
    enum record_verdict verdict = record_read(rest, base + at, seed, &record);
    struct stretch stretch = {.at = at};

    if (verdict == RECORD_ABSENT) {
        size_t next = record_find(bytes, at + RECORD_ALIGN, base, seed);
        /* Damage ends where the flushes do, not where a footer begins. */
        if (base + at < whole_until)
            next = MIN(next, (size_t)(whole_until - base));
        stretch.len = (uint32_t)(MIN(next, bytes.len) - at);
        return stretch;
    }
    stretch.has_header = true;
    stretch.is_good = verdict == RECORD_GOOD;
    stretch.is_footer = record.type == RECORD_FOOTER;
    stretch.flags = record.flags;
    stretch.flush = record.flush;
    /* A good header's length can be trusted: nothing of ours stands inside its payload. */
    stretch.len = (uint32_t)MIN(record_size(record.payload.len), rest.len);
    return stretch;
}

static int collect(struct stretches *s, struct bytes bytes, uint32_t base, uint64_t seed,
                   uint32_t whole_until)
{
    for (uint32_t at = 0; at + RECORD_HEADER_LEN <= bytes.len;) {
        struct stretch stretch = stretch_at(bytes, at, base, seed, whole_until);

        /* It is no flush, and what lies before it was never written. Its trailer was not either,
         * or nobody would scan. */
        if (stretch.is_footer)
            return 0;
        if (!push(s, stretch))
            return -ENOMEM;
        if (stretch.is_good) {
            s->last_flush = MAX(s->last_flush, stretch.flush);
            s->good_end = at + stretch.len;
        }
        at += stretch.len;
    }
    return 0;
}

/* How many stretches from `first` on are one whole batch; 0 when it is broken. */
static size_t whole_batch(const struct stretches *s, size_t first)
{
    if ((s->all[first].flags & RECORD_FOLLOWS) != 0)
        return 0;
    for (size_t i = first; i < s->count; i++) {
        const struct stretch *stretch = &s->all[i];

        if (!stretch->is_good || stretch->flush != s->all[first].flush)
            return 0;
        if (i > first && (stretch->flags & RECORD_FOLLOWS) == 0)
            return 0;
        if ((stretch->flags & RECORD_CONTINUES) == 0)
            return i - first + 1;
    }
    return 0;
}

struct telling {
    struct bytes bytes;
    uint32_t base;
    uint64_t seed;
    const struct record_scan *scan;
    struct record_scan_result result;
};

static void tell_record(struct telling *t, const struct stretch *stretch, bool is_alone)
{
    struct record record;
    struct bytes rest = bytes_slice(t->bytes, stretch->at, stretch->len);

    /* Read again, not kept: the array of stretches stays small. The header is in the cache. */
    if (record_read(rest, t->base + stretch->at, t->seed, &record) != RECORD_GOOD)
        return;
    t->result.records++;
    if (t->scan->record != NULL)
        t->scan->record(t->scan->context, &record, is_alone);
}

static void tell_damage(struct telling *t, const struct stretch *stretch)
{
    struct record record;
    struct bytes rest = bytes_slice(t->bytes, stretch->at, stretch->len);
    bool has_header = stretch->has_header &&
                      record_read(rest, t->base + stretch->at, t->seed, &record) != RECORD_ABSENT;

    t->result.damaged++;
    if (t->scan->damage != NULL)
        t->scan->damage(t->scan->context, t->base + stretch->at, stretch->len,
                        has_header ? &record : NULL);
}

static void tell_torn(struct telling *t, const struct stretch *stretch)
{
    t->result.torn_bytes += stretch->len;
    t->result.whole_until = MIN(t->result.whole_until, t->base + stretch->at);
    if (t->scan->torn != NULL)
        t->scan->torn(t->scan->context, t->base + stretch->at, stretch->len);
}

static void tell_broken(struct telling *t, const struct stretches *s, const struct stretch *stretch)
{
    uint32_t since = stretch->has_header ? stretch->flush : t->base + stretch->at;
    bool is_torn = s->last_flush <= since && t->base + stretch->at >= t->scan->whole_until;

    if (is_torn && !stretch->has_header && stretch->at >= s->good_end)
        return; /* behind the end: nobody wrote it in this life of the file */
    if (is_torn)
        tell_torn(t, stretch);
    else if (stretch->is_good)
        tell_record(t, stretch, true);
    else
        tell_damage(t, stretch);
}

int record_scan(struct bytes bytes, uint32_t base, uint64_t seed, const struct record_scan *scan,
                struct record_scan_result *result_out)
{
    struct stretches s = {0};
    struct telling t = {.bytes = bytes, .base = base, .seed = seed, .scan = scan};
    uint32_t whole_until =
        MIN(scan->whole_until, base + (uint32_t)bytes.len) / RECORD_ALIGN * RECORD_ALIGN;
    int error = collect(&s, bytes, base, seed, whole_until);

    if (error < 0)
        goto out;
    t.result.end = MAX(base + s.good_end, whole_until);
    t.result.whole_until = t.result.end;
    for (size_t i = 0; i < s.count;) {
        size_t count = whole_batch(&s, i);

        if (count == 0)
            tell_broken(&t, &s, &s.all[i++]);
        for (; count > 0; count--)
            tell_record(&t, &s.all[i++], false);
    }
    *result_out = t.result;
out:
    free(s.all);
    return error;
}
