/* claims.c - keys in many small tables, each with its lock. */
#include "intake/claims.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"

enum {
    PARTS = 256, /* power of two */
    SLOTS_MIN = 16,
};

struct entry {
    uint64_t hash[2]; /* both 0: free */
    uint64_t id;      /* 0: taken, and nobody has said how it ended */
    uint32_t envelope;
    uint32_t since_s;
};

_Static_assert(sizeof(struct entry) == 32, "claims.h says so");

struct part {
    pthread_mutex_t lock;
    struct entry *entries;
    uint32_t slots, count;
};

static struct {
    struct part parts[PARTS];
    struct siphash_key keys[2];
    size_t max;
    _Atomic size_t count;
    unsigned swept;
} table = {.parts = {[0 ... PARTS - 1] = {.lock = PTHREAD_MUTEX_INITIALIZER}}};

void claims_begin(const uint8_t secret[static CLAIM_SECRET_LEN], size_t max)
{
    memcpy(table.keys, secret, sizeof(table.keys));
    table.max = max;
}

void claims_end(void)
{
    for (unsigned i = 0; i < PARTS; i++) {
        free(table.parts[i].entries);
        table.parts[i].entries = NULL;
        table.parts[i].slots = table.parts[i].count = 0;
    }
    atomic_store(&table.count, 0);
}

/* --- keys ------------------------------------------------------------------------------------- */

struct claim claim_of(struct bytes tenant, struct bytes key)
{
    uint8_t text[1024], *at = text;

    check(tenant.len < 256 && key.len < 512);
    *at++ = (uint8_t)tenant.len; /* so that no part of one is the other's */
    (void)bytes_put(tenant, &at);
    (void)bytes_put(key, &at);
    struct bytes whole = bytes_range(text, (size_t)(at - text));
    struct claim claim = {{siphash(&table.keys[0], whole), siphash(&table.keys[1], whole)}, 0};

    if (claim.hash[0] == 0 && claim.hash[1] == 0)
        claim.hash[1] = 1;
    return claim;
}

void claim_add_address(struct claim *claim, struct bytes address, bool is_sender)
{
    uint64_t hash = siphash(&table.keys[0], address);

    claim->envelope += is_sender ? 3 * hash + 1 : hash;
}

void claim_encode(const struct claim *claim, uint8_t out[static CLAIM_LEN])
{
    memcpy(out, claim->hash, sizeof(claim->hash));
    memcpy(out + sizeof(claim->hash), &claim->envelope, sizeof(claim->envelope));
}

bool claim_decode(struct bytes bytes, struct claim *out)
{
    if (bytes.len != CLAIM_LEN)
        return false;
    memcpy(out->hash, bytes.ptr, sizeof(out->hash));
    memcpy(&out->envelope, bytes.ptr + sizeof(out->hash), sizeof(out->envelope));
    return out->hash[0] != 0 || out->hash[1] != 0;
}

static uint32_t envelope_of(const struct claim *claim)
{
    return (uint32_t)(claim->envelope ^ claim->envelope >> 32);
}

/* --- a part ----------------------------------------------------------------------------------- */

static struct part *part_of(const struct claim *claim)
{
    return &table.parts[claim->hash[0] % PARTS];
}

static bool is_free(const struct entry *entry)
{
    return entry->hash[0] == 0 && entry->hash[1] == 0;
}

static bool is_old(const struct entry *entry, int64_t now_s)
{
    return entry->id != 0 && now_s - (int64_t)entry->since_s >= CLAIM_AGE_S;
}

static uint32_t home_of(const struct part *part, const uint64_t hash[2])
{
    return (uint32_t)hash[1] & (part->slots - 1);
}

static struct entry *find(const struct part *part, const struct claim *claim)
{
    if (part->slots == 0)
        return NULL;
    for (uint32_t at = home_of(part, claim->hash);; at = (at + 1) & (part->slots - 1)) {
        struct entry *entry = &part->entries[at];

        if (is_free(entry))
            return NULL;
        if (memcmp(entry->hash, claim->hash, sizeof(entry->hash)) == 0)
            return entry;
    }
}

static void put(struct part *part, const struct entry *entry)
{
    uint32_t at = home_of(part, entry->hash);

    while (!is_free(&part->entries[at]))
        at = (at + 1) & (part->slots - 1);
    part->entries[at] = *entry;
}

/* At most three quarters are used, so that there is always a free one. */
static void make_room(struct part *part)
{
    struct part longer = *part;

    if (part->slots != 0 && part->count < part->slots - part->slots / 4)
        return;
    longer.slots = part->slots == 0 ? SLOTS_MIN : 2 * part->slots;
    longer.entries = calloc(longer.slots, sizeof(*longer.entries));
    check(longer.entries != NULL);
    for (uint32_t i = 0; i < part->slots; i++)
        if (!is_free(&part->entries[i]))
            put(&longer, &part->entries[i]);
    free(part->entries);
    part->entries = longer.entries;
    part->slots = longer.slots;
}

static void add(struct part *part, const struct claim *claim, uint64_t id, int64_t since_s)
{
    struct entry entry = {{claim->hash[0], claim->hash[1]},
                          id,
                          envelope_of(claim),
                          (uint32_t)MAX(since_s, (int64_t)0)};

    make_room(part);
    put(part, &entry);
    part->count++;
    atomic_fetch_add(&table.count, 1);
}

/* What stands behind it moves up, as far as that may stand there. */
static void take_out(struct part *part, struct entry *entry)
{
    uint32_t mask = part->slots - 1, hole = (uint32_t)(entry - part->entries);

    for (uint32_t at = (hole + 1) & mask; !is_free(&part->entries[at]); at = (at + 1) & mask) {
        uint32_t home = home_of(part, part->entries[at].hash);

        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        part->entries[hole] = part->entries[at];
        hole = at;
    }
    part->entries[hole] = (struct entry){0};
    part->count--;
    atomic_fetch_sub(&table.count, 1);
}

/* --- claims ----------------------------------------------------------------------------------- */

static enum claim_answer ask(struct part *part, const struct claim *claim, int64_t now_s,
                             uint64_t *id_out)
{
    struct entry *entry = find(part, claim);

    if (entry != NULL && is_old(entry, now_s)) {
        take_out(part, entry);
        entry = NULL;
    }
    if (entry == NULL) {
        if (atomic_load(&table.count) >= (table.max != 0 ? table.max : CLAIMS_MAX_DEFAULT))
            return CLAIM_FULL;
        add(part, claim, 0, now_s);
        return CLAIM_TAKEN;
    }
    if (entry->envelope != envelope_of(claim))
        return CLAIM_DIFFERS;
    if (entry->id == 0)
        return CLAIM_BUSY;
    *id_out = entry->id;
    return CLAIM_KNOWN;
}

enum claim_answer claims_ask(const struct claim *claim, int64_t now_s, uint64_t *id_out)
{
    struct part *part = part_of(claim);

    pthread_mutex_lock(&part->lock);
    enum claim_answer answer = ask(part, claim, now_s, id_out);
    pthread_mutex_unlock(&part->lock);
    return answer;
}

void claims_keep(const struct claim *claim, uint64_t id, int64_t now_s)
{
    struct part *part = part_of(claim);

    check(id != 0);
    pthread_mutex_lock(&part->lock);
    struct entry *entry = find(part, claim);
    check(entry != NULL); /* what is taken does not grow old */
    if (entry->id == 0)   /* else it was told by the journal before */
        entry->since_s = (uint32_t)MAX(now_s, (int64_t)0);
    entry->id = id;
    pthread_mutex_unlock(&part->lock);
}

void claims_drop(const struct claim *claim)
{
    struct part *part = part_of(claim);

    pthread_mutex_lock(&part->lock);
    struct entry *entry = find(part, claim);
    if (entry != NULL && entry->id == 0)
        take_out(part, entry);
    pthread_mutex_unlock(&part->lock);
}

void claims_restore(const struct claim *claim, uint64_t id, int64_t since_s)
{
    struct part *part = part_of(claim);

    pthread_mutex_lock(&part->lock);
    struct entry *entry = find(part, claim);
    if (entry == NULL)
        add(part, claim, id, since_s);
    else if (entry->id == 0) {
        entry->id = id;
        entry->since_s = (uint32_t)MAX(since_s, (int64_t)0);
    }
    pthread_mutex_unlock(&part->lock);
}

void claims_sweep(int64_t now_s)
{
    struct part *part = &table.parts[table.swept++ % PARTS];

    pthread_mutex_lock(&part->lock);
    for (uint32_t i = 0; i < part->slots; i++)
        while (!is_free(&part->entries[i]) && is_old(&part->entries[i], now_s))
            take_out(part, &part->entries[i]); /* another may stand there then */
    pthread_mutex_unlock(&part->lock);
}

size_t claims_count(void)
{
    return atomic_load(&table.count);
}

void claims_visit(void (*visit)(void *context, const struct claim *claim, uint64_t id,
                                int64_t since_s),
                  void *context)
{
    for (unsigned p = 0; p < PARTS; p++) {
        struct part *part = &table.parts[p];

        pthread_mutex_lock(&part->lock);
        for (uint32_t i = 0; i < part->slots; i++) {
            const struct entry *entry = &part->entries[i];
            struct claim claim = {{entry->hash[0], entry->hash[1]}, entry->envelope};

            if (!is_free(entry) && entry->id != 0)
                visit(context, &claim, entry->id, entry->since_s);
        }
        pthread_mutex_unlock(&part->lock);
    }
}
