/*
 * unit.h - unit tests on cmocka that register themselves.
 *
 *   TEST(take_path_rejects_unterminated)
 *   {
 *       assert_false(...);
 *   }
 *
 * A name says unit, condition and result. main() comes from unit_main.c; with arguments it runs
 * only the tests whose names contain one of them.
 */
#pragma once

/* cmocka.h wants these before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

void unit_register(const char *name, void (*run)(void **state));

#define TEST(name) \
    static void name(void **state); \
    __attribute__((constructor)) static void register_##name(void) \
    { \
        unit_register(#name, name); \
    } \
    static void name(void **state __attribute__((unused)))

/* For loops over a table: says which row failed when the condition does not hold. */
#define expect_row(row, condition) \
    do { \
        if (!(condition)) \
            fail_msg("row %zu: %s", (size_t)(row), #condition); \
    } while (0)
