/*
 * vacation_memory.h - whom an account's script answered lately, in a file beside the script:
 * state_dir/sieve/DOMAIN/LOCAL.vacation.
 *
 * A message that is to be answered claims its sender before the answer is made. Who asks again for
 * the same message and recipient, after a crash or because it was filed late, has the claim still;
 * every other one is told that the sender was answered, for as long as the script says. So an
 * answer that is committed with its recipient's end (delivery/filing/filing_answer.h) is sent
 * once.
 *
 * Bounded: VACATION_MEMORY_MAX senders; then those whose time is over go, then the oldest. Times
 * are of the wall clock. One that lies ahead was written before the clock was set back: it counts
 * as of now, so that it is over as soon as any other.
 *
 * The file: "RPVACAT1", then of each claim u64 key, u64 message, u32 recipient, u32 seconds that it
 * lasts, u64 wall time in seconds, then a u64 XXH3 of all before; little-endian. One that is
 * damaged counts as empty.
 *
 * Blocks; any thread, an account one at a time.
 */
#pragma once

#include "base/bytes.h"

enum { VACATION_MEMORY_MAX = 1000 };

struct vacation_claim {
    uint64_t key; /* vacation_key() */
    uint64_t message;
    uint32_t recipient;
    uint32_t lasts_s;
    int64_t now_s; /* wall */
};

/* 1: it is this message's to answer, and that is durable; 0: the sender was answered. Or -errno:
 * nothing is known, and it is not to be answered. */
must_use int vacation_memory_claim(const char *directory, struct bytes domain, struct bytes local,
                                   const struct vacation_claim *claim);
/* With the account. -ENOENT: there was none. */
must_use int vacation_memory_remove(const char *directory, struct bytes domain, struct bytes local);

/* Pure, for the former and its tests: a list of claims as the file has it. */
struct vacation_list {
    uint32_t count;
    struct vacation_claim of[VACATION_MEMORY_MAX]; /* now_s: when it was made */
};

/* False: that is no such file; the list is empty. */
must_use bool vacation_list_read(struct bytes file, struct vacation_list *list);
enum { VACATION_FILE_MAX = 8 + VACATION_MEMORY_MAX * 32 + 8 };
/* Its length; `out` has VACATION_FILE_MAX bytes. */
size_t vacation_list_write(const struct vacation_list *list, uint8_t *out);
/* As vacation_memory_claim(); *changed_out: the list is to be written. */
int vacation_list_claim(struct vacation_list *list, const struct vacation_claim *claim,
                        bool *changed_out);
