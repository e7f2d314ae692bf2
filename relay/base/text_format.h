/*
 * text_format.h - printf for log lines, replies and commands, without what makes printf dear.
 *
 * Strings, integers and hexadecimal numbers are written here; a format with anything else goes to
 * vsnprintf() as a whole, so every format of printf is right. Pure, any thread.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

/* Like vsnprintf(): the length that was wanted, at most room - 1 of it at `out`; no NUL is put. */
size_t text_format(char *out, size_t room, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

/* Like snprintf(), with its NUL. */
size_t text_put(char *out, size_t room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
