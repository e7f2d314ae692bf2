/* vacation_memory.c - claims on senders, in a list that is read and written whole. */
#include "inbound/sorting/vacation_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "inbound/sorting/account_file.h"

#define SUFFIX ".vacation"
#define MAGIC BYTES("RPVACAT1")

enum { ENTRY_LEN = 32, SUM_LEN = 8 };

/* --- as bytes --------------------------------------------------------------------------------- */

static void put_number(uint64_t number, size_t len, uint8_t **at)
{
    for (size_t i = 0; i < len; i++)
        *(*at)++ = (uint8_t)(number >> 8 * i);
}

static uint64_t take_number(size_t len, const uint8_t **at)
{
    uint64_t number = 0;

    for (size_t i = 0; i < len; i++)
        number |= (uint64_t) * (*at)++ << 8 * i;
    return number;
}

bool vacation_list_read(struct bytes file, struct vacation_list *list)
{
    size_t frame = MAGIC.len + SUM_LEN;

    list->count = 0;
    if (file.len < frame || (file.len - frame) % ENTRY_LEN != 0 || file.len > VACATION_FILE_MAX ||
        !bytes_equal(bytes_slice(file, 0, MAGIC.len), MAGIC))
        return false;
    const uint8_t *at = file.ptr + MAGIC.len;
    const uint8_t *sum = file.ptr + file.len - SUM_LEN;

    if (bytes_hash(bytes_slice(file, 0, file.len - SUM_LEN)) != take_number(SUM_LEN, &sum))
        return false;
    for (size_t i = 0; i < (file.len - frame) / ENTRY_LEN; i++) {
        struct vacation_claim *claim = &list->of[list->count++];

        claim->key = take_number(8, &at);
        claim->message = take_number(8, &at);
        claim->recipient = (uint32_t)take_number(4, &at);
        claim->lasts_s = (uint32_t)take_number(4, &at);
        claim->now_s = (int64_t)take_number(8, &at);
    }
    return true;
}

size_t vacation_list_write(const struct vacation_list *list, uint8_t *out)
{
    uint8_t *at = out;

    (void)bytes_put(MAGIC, &at);
    for (uint32_t i = 0; i < list->count; i++) {
        const struct vacation_claim *claim = &list->of[i];

        put_number(claim->key, 8, &at);
        put_number(claim->message, 8, &at);
        put_number(claim->recipient, 4, &at);
        put_number(claim->lasts_s, 4, &at);
        put_number((uint64_t)claim->now_s, 8, &at);
    }
    put_number(bytes_hash(bytes_range(out, (size_t)(at - out))), SUM_LEN, &at);
    return (size_t)(at - out);
}

/* --- claims ----------------------------------------------------------------------------------- */

/* Where the next one goes: behind the last, else in place of one that is over, else of the
 * oldest. */
static struct vacation_claim *need_place(struct vacation_list *list, int64_t now_s)
{
    struct vacation_claim *oldest = &list->of[0];

    if (list->count < VACATION_MEMORY_MAX)
        return &list->of[list->count++];
    for (uint32_t i = 0; i < list->count; i++) {
        struct vacation_claim *claim = &list->of[i];

        if (now_s - claim->now_s >= (int64_t)claim->lasts_s)
            return claim;
        if (claim->now_s < oldest->now_s)
            oldest = claim;
    }
    return oldest;
}

int vacation_list_claim(struct vacation_list *list, const struct vacation_claim *claim,
                        bool *changed_out)
{
    struct vacation_claim *found = NULL;

    *changed_out = false;
    for (uint32_t i = 0; i < list->count; i++) {
        struct vacation_claim *old = &list->of[i];

        if (old->now_s > claim->now_s) { /* the clock was set back */
            old->now_s = claim->now_s;
            *changed_out = true;
        }
        if (old->key == claim->key)
            found = old;
    }
    if (found != NULL && found->message == claim->message && found->recipient == claim->recipient)
        return 1;
    if (found != NULL && claim->now_s - found->now_s < (int64_t)claim->lasts_s)
        return 0;
    if (found == NULL)
        found = need_place(list, claim->now_s);
    *found = *claim;
    *changed_out = true;
    return 1;
}

/* -ENOENT where there is none is no error: the list is empty then, and so it is where the file is
 * damaged. */
static int read_list(const char *directory, struct bytes domain, struct bytes local,
                     struct vacation_list *list)
{
    struct buf text;

    buf_init(&text, VACATION_FILE_MAX + 4096);
    int error = account_file_read(directory, domain, local, SUFFIX, VACATION_FILE_MAX, &text);

    list->count = 0;
    if (error == -EFBIG || (error == 0 && !vacation_list_read(buf_bytes(&text), list)))
        log_limited(LOG_LEVEL_WARN,
                    "local=%s domain=%s what=\"whom its script answered cannot be read: everybody "
                    "may be answered once more\"",
                    LOG_TEXT(local), LOG_TEXT(domain));
    buf_free(&text);
    return error == -EFBIG || error == -ENOENT ? 0 : error;
}

static int write_list(const char *directory, struct bytes domain, struct bytes local,
                      const struct vacation_list *list)
{
    uint8_t *file = malloc(VACATION_FILE_MAX);

    check(file != NULL);
    int error = account_file_write(directory, domain, local, SUFFIX,
                                   bytes_range(file, vacation_list_write(list, file)));

    free(file);
    return error;
}

int vacation_memory_claim(const char *directory, struct bytes domain, struct bytes local,
                          const struct vacation_claim *claim)
{
    struct vacation_list *list = malloc(sizeof(*list));
    bool is_changed = false;

    check(list != NULL);
    int result = read_list(directory, domain, local, list);

    if (result == 0)
        result = vacation_list_claim(list, claim, &is_changed);
    int error = is_changed ? write_list(directory, domain, local, list) : 0;

    free(list);
    return error < 0 ? error : result;
}

int vacation_memory_remove(const char *directory, struct bytes domain, struct bytes local)
{
    return account_file_remove(directory, domain, local, SUFFIX);
}
