/*
 * constraint.h - what a recipient waits for: the one thing of all that would stop it the longest.
 *
 * A rule is named by its key in the configuration ("retry.destinations[2] (match *.slow.example)"),
 * an operator's by its number ("suspension 3"); what no key changes says "built in".
 *
 * Thread: the engine's. A constraint can be copied and outlives what it tells of.
 */
#pragma once

#include <stdint.h>

enum { CONSTRAINT_RULE_MAX = 1024, CONSTRAINT_DETAIL_MAX = 512 };

struct delivery;
struct delivery_settings;
struct destination;
struct egress_rule;
struct message;
struct pending;
struct suspension;

struct constraint {
    const char *name;                   /* static */
    int64_t until_ms;                   /* wall; 0: not known, or until somebody acts */
    char rule[CONSTRAINT_RULE_MAX];     /* empty: none */
    char detail[CONSTRAINT_DETAIL_MAX]; /* empty: none; may be a peer's text */
};

/* Of one recipient, whatever its state. Without its message, rules that suspend a sender or a
 * recipient are left out, as far as they do not hold it already. */
void constraint_of_pending(const struct delivery *delivery, const struct pending *pending,
                           const struct message *message, struct constraint *out);
/* Of what waits at a destination, NULL or empty: "nothing-waits". */
void constraint_of_destination(const struct destination *destination, struct constraint *out);
/* Adds the rule's name alone; any thread. */
void constraint_name_suspension(const struct suspension *rule, struct constraint *out);
/* Adds the rule's key alone. */
void constraint_name_limit(const struct delivery_settings *settings, const struct egress_rule *rule,
                           struct constraint *out);
