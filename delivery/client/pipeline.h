/*
 * pipeline.h - commands that were sent and whose replies are outstanding, in order (RFC 2920).
 *
 * The fifo between the half that sends and the half that reads. Runs of equal commands are one
 * entry, so a thousand RCPTs take no more room than one. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum client_command {
    COMMAND_GREETING, /* nothing is sent: the connection is the question */
    COMMAND_EHLO,
    COMMAND_HELO,
    COMMAND_STARTTLS,
    COMMAND_MAIL,
    COMMAND_RCPT,
    COMMAND_DATA,
    COMMAND_DOT,  /* content and its final dot */
    COMMAND_BDAT, /* BDAT LAST with its content (RFC 3030) */
    COMMAND_RSET,
    COMMAND_QUIT,
    COMMAND_COUNT
};

enum { PIPELINE_RUNS_MAX = 8 }; /* RSET, MAIL, RCPT..., DATA or BDAT, DOT, QUIT */

struct sent {
    enum client_command command;
    uint32_t recipient; /* which RCPT */
    uint64_t end;       /* of the connection's output: behind the first command of its run */
};

struct pipeline {
    struct pipeline_run {
        uint8_t command;
        uint32_t first; /* recipient of the first one outstanding */
        uint32_t count;
        uint64_t end;
    } runs[PIPELINE_RUNS_MAX];
    uint8_t head;
    uint8_t run_count;
};

void pipeline_clear(struct pipeline *pipeline);
/* RCPTs are pushed in the order of their numbers; `end` is how much output there is with it. */
void pipeline_push(struct pipeline *pipeline, enum client_command command, uint32_t recipient,
                   uint64_t end);
bool pipeline_is_empty(const struct pipeline *pipeline);
/* What the next reply answers; false when nothing is outstanding. */
bool pipeline_first(const struct pipeline *pipeline, struct sent *sent_out);
bool pipeline_pop(struct pipeline *pipeline, struct sent *sent_out);
