/*
 * control_command.h - how a command of the control socket is declared: one row in the table of its
 * concern, control_<concern>.c.
 *
 * From the rows follow what is refused (unknown commands and arguments, arguments of a wrong type),
 * the answer to "help", and what ringpost(8) must say, which
 * tests/unit/relay/test_control_commands.c compares. A table is one line in control_commands.c.
 */
#pragma once

#include "relay/control.h"

enum control_kind { CONTROL_TEXT, CONTROL_NUMBER /* from 0 */, CONTROL_FLAG };

struct control_argument {
    const char *name;
    enum control_kind kind;
    const char *says; /* a few words */
};

/* Which recipients are meant (queue_filter.h). */
#define CONTROL_FILTER_ARGUMENTS \
    {"id", CONTROL_TEXT, "of the message"}, {"domain", CONTROL_TEXT, "of the recipient"}, \
        {"sender", CONTROL_TEXT, "address, @domain or <>"}, \
    { \
        "recipient", CONTROL_TEXT, "address or @domain" \
    }

struct control_command {
    const char *name;
    /* On the control client's thread, with a request whose arguments are those declared. */
    void (*run)(struct control_client *client, const json_t *request);
    const struct control_argument *arguments; /* end with name NULL; NULL: none */
    bool of_queue;                            /* needs all of it in memory */
    const char *says;                         /* a sentence */
};

/* Each ends with name NULL. */
extern const struct control_command control_service_commands[];
extern const struct control_command control_queue_commands[];
extern const struct control_command control_suspension_commands[];
extern const struct control_command control_sink_commands[];
extern const struct control_command control_report_commands[];

/* The commands of all tables, one after the other; NULL behind the last. */
const struct control_command *control_command_at(size_t number);
const char *control_kind_name(enum control_kind kind);

/* An array, an object a sink, for the status and for `events sinks`. */
json_t *control_sinks_json(const struct program *program);
/* {"done": true}, the last line of what has no totals. */
json_t *control_done(void);
/* In place of every command while the program stops: workers are not to be asked any more. */
void control_answer_stopping(struct control_client *client, const char *name);
