/*
 * tool.h - what load and sink share besides: sockets, reply counts, their own cost.
 */
#pragma once

#include <stdio.h>

#include "io/address.h"

/* Where in a conversation a reply belongs. */
enum stage {
    STAGE_CONNECT,
    STAGE_HELO,
    STAGE_MAIL,
    STAGE_RCPT,
    STAGE_DATA, /* the command */
    STAGE_DOT,  /* the end of the content, also BDAT's */
    STAGE_COUNT,
};

/* "connect", "helo", ... */
const char *stage_name(enum stage stage);
must_use bool stage_parse(struct bytes name, enum stage *out);

enum { CODE_MAX = 600 };
struct code_counts {
    uint64_t counts[STAGE_COUNT][CODE_MAX];
};
/* {"rcpt": {"450": 12}}, without what is 0. */
void code_counts_print(const struct code_counts *counts, FILE *out);

int64_t tool_cpu_us(void); /* user and system time of this process so far */
/* As many descriptors as the hard limit allows. */
void tool_raise_fds(void);
/* Listening socket that shares its port with the other threads' (SO_REUSEPORT). fd or -errno. */
must_use int tool_listen(const struct address *address);
/* Small writes go out at once. */
void tool_no_delay(int fd);
/* Prints the sentence of engine_probe() if io_uring cannot be used here. */
must_use bool tool_probe(void);

/* Decimal digits of `value`; the part of `space` that holds them. */
enum { TOOL_DIGITS_MAX = 20 };
struct bytes tool_digits(uint64_t value, uint8_t space[static TOOL_DIGITS_MAX]);
