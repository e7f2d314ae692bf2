/* kept.c - rows and texts, and how much all mailboxes together keep. */
#include "inbound/imap/kept_private.h"

#include <stdlib.h>
#include <string.h>

enum { LABEL_MAX = 1024 };
enum { ROWS_MIN = 64, FEW = 1024, A_TEXT = 16 /* beside its bytes, at least */ };
enum { AHEAD = 2 /* rows */, AHEAD_BYTES = 512, CACHE_LINE = 64 };
enum { MAY_GROW_MAX = KEPT_SHARED_MAX / 4 * 3 /* the rest is for what has to be kept */ };

static struct {
    pthread_mutex_t mutex;
    struct list list;
    bool has_begun;
    size_t held;
} all = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* --- memory ----------------------------------------------------------------------------------- */

/* Nobody has it open, or can: all's lock, or the mailbox goes. */
static void clear(struct kept *kept)
{
    for (unsigned i = 0; i < KEPT_COLUMNS; i++) {
        struct kept_column *column = &kept->columns[i];

        free(column->texts);
        free(column->order);
        free(column->ranks);
        *column = (struct kept_column){0};
    }
    free(kept->uids);
    free(kept->by_uid);
    kept->uids = kept->by_uid = NULL;
    kept->count = kept->capacity = kept->by_uid_capacity = 0;
    memset(kept->labels, 0, sizeof(kept->labels));
    arena_free(&kept->arena);
    arena_init(&kept->arena, KEPT_MAX);
    atomic_store(&kept->held, 0);
}

static size_t held(const struct kept *kept)
{
    size_t bytes = kept->arena.held + (kept->capacity + kept->by_uid_capacity) * sizeof(uint32_t);

    for (unsigned i = 0; i < KEPT_COLUMNS; i++) {
        const struct kept_column *column = &kept->columns[i];

        bytes += column->capacity * sizeof(*column->texts) +
                 (column->ranked + column->ranks_capacity) * sizeof(uint32_t);
    }
    return bytes;
}

/* All's lock. */
static void count_anew(struct kept *kept, size_t bytes)
{
    all.held = all.held - kept->counted + bytes;
    kept->counted = bytes;
}

/* All's lock: nobody can open what is not open. */
static void evict(size_t held_max)
{
    struct list_node *node = list_first(&all.list);

    while (all.held > held_max && node != &all.list.head) {
        struct kept *kept = container_of(node, struct kept, node);

        node = node->next;
        if (kept->pins > 0 || kept->counted == 0)
            continue;
        clear(kept);
        count_anew(kept, 0);
    }
}

/* --- begin and end ---------------------------------------------------------------------------- */

/* The mailbox goes. */
static void drop(struct mailbox_kept *of_mailbox)
{
    struct kept *kept = container_of(of_mailbox, struct kept, of_mailbox);

    pthread_mutex_lock(&all.mutex);
    check(kept->pins == 0);
    list_remove(&kept->node);
    count_anew(kept, 0);
    pthread_mutex_unlock(&all.mutex);
    clear(kept);
    pthread_mutex_destroy(&kept->mutex);
    free(kept);
}

static struct mailbox_kept *make(void)
{
    struct kept *kept = calloc(1, sizeof(*kept));

    check(kept != NULL);
    kept->of_mailbox.drop = drop;
    list_node_init(&kept->node);
    pthread_mutex_init(&kept->mutex, NULL);
    arena_init(&kept->arena, KEPT_MAX);
    pthread_mutex_lock(&all.mutex);
    if (!all.has_begun)
        list_init(&all.list);
    all.has_begun = true;
    list_push_back(&all.list, &kept->node);
    pthread_mutex_unlock(&all.mutex);
    return &kept->of_mailbox;
}

/* Of another mailbox by now, or mostly of messages that went: nothing of it is worth keeping. */
static bool is_old(const struct kept *kept, const struct mailbox_status *status)
{
    return kept->uidvalidity != status->uidvalidity ||
           kept->count > 2 * (size_t)status->exists + FEW;
}

struct kept *kept_open(struct mailbox *mailbox)
{
    struct kept *kept = container_of(mailbox_keep(mailbox, make), struct kept, of_mailbox);
    struct mailbox_status status;

    mailbox_status(mailbox, &status);
    pthread_mutex_lock(&all.mutex);
    if (kept->pins++ == 0 && is_old(kept, &status)) { /* nobody knows a row */
        clear(kept);
        count_anew(kept, 0);
        kept->uidvalidity = status.uidvalidity;
    }
    bool is_good = kept->uidvalidity == status.uidvalidity;

    pthread_mutex_unlock(&all.mutex);
    if (!is_good)
        kept_close(&kept);
    return kept;
}

bool kept_try_open(struct mailbox *mailbox, struct kept **kept_out)
{
    struct kept *kept = kept_open(mailbox);

    if (kept != NULL && !kept_try_lock(kept)) {
        kept_close(&kept);
        return false;
    }
    if (kept != NULL)
        kept_unlock(kept);
    *kept_out = kept;
    return true;
}

void kept_close(struct kept **kept_ref)
{
    struct kept *kept = *kept_ref;

    *kept_ref = NULL;
    if (kept == NULL)
        return;
    size_t bytes = atomic_load(&kept->held);

    pthread_mutex_lock(&all.mutex);
    count_anew(kept, bytes);
    kept->pins--;
    list_remove(&kept->node);
    list_push_back(&all.list, &kept->node);
    if (kept->pins == 0 && bytes > KEPT_SHARED_MAX) { /* others need not go for it */
        clear(kept);
        count_anew(kept, 0);
    }
    evict(KEPT_SHARED_MAX);
    pthread_mutex_unlock(&all.mutex);
}

void kept_lock(struct kept *kept)
{
    pthread_mutex_lock(&kept->mutex);
}

bool kept_try_lock(struct kept *kept)
{
    return pthread_mutex_trylock(&kept->mutex) == 0;
}

void kept_unlock(struct kept *kept)
{
    atomic_store(&kept->held, held(kept));
    pthread_mutex_unlock(&kept->mutex);
}

bool kept_may_grow(struct kept *kept)
{
    pthread_mutex_lock(&all.mutex);
    count_anew(kept, held(kept));
    evict(MAY_GROW_MAX);
    bool may_grow = all.held <= MAY_GROW_MAX;

    pthread_mutex_unlock(&all.mutex);
    return may_grow;
}

/* --- rows ------------------------------------------------------------------------------------- */

static size_t place_of(const struct kept *kept, uint32_t uid)
{
    size_t mask = kept->by_uid_capacity - 1;
    size_t at = (size_t)(uid * UINT32_C(0x9e3779b9)) & mask;

    while (kept->by_uid[at] != 0 && kept->uids[kept->by_uid[at] - 1] != uid)
        at = (at + 1) & mask;
    return at;
}

static void grow(struct kept *kept)
{
    kept->capacity = MAX(kept->capacity * 2, (size_t)ROWS_MIN);
    kept->uids = realloc(kept->uids, kept->capacity * sizeof(*kept->uids));
    free(kept->by_uid);
    kept->by_uid_capacity = kept->capacity * 2;
    kept->by_uid = calloc(kept->by_uid_capacity, sizeof(*kept->by_uid));
    check(kept->uids != NULL && kept->by_uid != NULL);
    for (size_t row = 0; row < kept->count; row++)
        kept->by_uid[place_of(kept, kept->uids[row])] = (uint32_t)row + 1;
}

uint32_t kept_known_row(const struct kept *kept, uint32_t uid, uint32_t hint)
{
    if (hint < kept->count && kept->uids[hint] == uid)
        return hint;
    if (kept->count == 0)
        return KEPT_NO_ROW;
    uint32_t row = kept->by_uid[place_of(kept, uid)];

    return row > 0 ? row - 1 : KEPT_NO_ROW;
}

uint32_t kept_row(struct kept *kept, uint32_t uid, uint32_t hint)
{
    uint32_t row = kept_known_row(kept, uid, hint);

    if (row != KEPT_NO_ROW)
        return row;
    if (kept->count >= KEPT_MAX / A_TEXT)
        return KEPT_NO_ROW;
    if (kept->count == kept->capacity)
        grow(kept);
    kept->uids[kept->count] = uid;
    kept->by_uid[place_of(kept, uid)] = (uint32_t)kept->count + 1;
    return (uint32_t)kept->count++;
}

unsigned kept_section(struct kept *kept, struct bytes label)
{
    unsigned i = 0;

    while (i < KEPT_SECTIONS && kept->labels[i].ptr != NULL && !bytes_equal(kept->labels[i], label))
        i++;
    if (i == KEPT_SECTIONS || label.len > LABEL_MAX)
        return KEPT_COLUMNS;
    if (kept->labels[i].ptr == NULL && !arena_copy(&kept->arena, label, &kept->labels[i]))
        return KEPT_COLUMNS;
    return KEPT_SECTION + i;
}

size_t kept_run(const struct kept *kept, unsigned number, uint32_t row, const uint32_t *uids,
                size_t count)
{
    const struct kept_column *column = &kept->columns[number];
    size_t end = MIN(kept->count, column->capacity), len = 0;

    count = MIN(count, end - MIN(end, (size_t)row));
    while (len < count && kept->uids[row + len] == uids[len] &&
           column->texts[row + len].ptr != NULL)
        len++;
    return len;
}

/* --- texts ------------------------------------------------------------------------------------ */

bool kept_find(const struct kept *kept, unsigned number, uint32_t row, struct bytes *text_out)
{
    const struct kept_column *column = &kept->columns[number];

    if (row >= column->capacity || column->texts[row].ptr == NULL)
        return false;
    *text_out = column->texts[row];
    /* Who walks along the rows asks for this soon, and most are as long as their neighbours. */
    if (row + AHEAD < column->capacity && column->texts[row + AHEAD].ptr != NULL)
        for (size_t at = 0; at < MIN(text_out->len, (size_t)AHEAD_BYTES); at += CACHE_LINE)
            __builtin_prefetch(column->texts[row + AHEAD].ptr + at);
    return true;
}

static void widen(struct kept_column *column, size_t capacity)
{
    column->texts = realloc(column->texts, capacity * sizeof(*column->texts));
    check(column->texts != NULL);
    memset(column->texts + column->capacity, 0,
           (capacity - column->capacity) * sizeof(*column->texts));
    column->capacity = capacity;
}

bool kept_put(struct kept *kept, unsigned number, uint32_t row, struct bytes text)
{
    struct kept_column *column = &kept->columns[number];
    struct bytes copy = bytes_range("", 0);

    check(row < kept->count);
    if (row >= column->capacity) {
        if (held(kept) + (kept->capacity - column->capacity) * sizeof(text) > KEPT_MAX)
            return false;
        widen(column, kept->capacity);
    }
    if (text.len > 0 && !arena_copy(&kept->arena, text, &copy))
        return false;
    column->filled += column->texts[row].ptr == NULL;
    column->texts[row] = copy;
    return true;
}
