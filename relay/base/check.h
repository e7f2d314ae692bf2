/*
 * check.h - claims that must hold; a broken one is our bug, never a peer's doing.
 *
 * check() stays on in every build: a mail server that goes on with broken state loses mail quietly.
 * Preconditions come first in a function, one claim per line. Never use it on data from outside.
 */
#pragma once

#include <stddef.h>

#define check(claim) \
    do { \
        if (__builtin_expect(!(claim), 0)) \
            check_failed(#claim, __FILE__, __LINE__, __func__); \
    } while (0)

/* Lets the log write what it can within a moment, prints the claim and its place to stderr and
 * aborts. */
_Noreturn void check_failed(const char *claim, const char *file, int line, const char *function);

#define must_use __attribute__((warn_unused_result))
#define container_of(ptr, type, member) ((type *)(void *)(((char *)(ptr)) - offsetof(type, member)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
/* The counter keeps the names apart when one stands inside another. */
#define MIN(a, b) MIN_COUNTED(a, b, __COUNTER__)
#define MAX(a, b) MAX_COUNTED(a, b, __COUNTER__)
#define MIN_COUNTED(a, b, count) MIN_NAMED(a, b, count)
#define MAX_COUNTED(a, b, count) MAX_NAMED(a, b, count)
#define MIN_NAMED(a, b, count) \
    ({ \
        __auto_type min_a_##count = (a); \
        __auto_type min_b_##count = (b); \
        min_a_##count < min_b_##count ? min_a_##count : min_b_##count; \
    })
#define MAX_NAMED(a, b, count) \
    ({ \
        __auto_type max_a_##count = (a); \
        __auto_type max_b_##count = (b); \
        max_a_##count > max_b_##count ? max_a_##count : max_b_##count; \
    })
