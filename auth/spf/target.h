/* target.h - the names and texts that macros lead to. Private. */
#pragma once

#include "auth/spf/machine.h"

enum target_answer {
    TARGET_READY,
    TARGET_NONE, /* what came out cannot be asked for, or is too long */
    TARGET_ASKS, /* %{p} must be known first: a question is out */
};

/* A domain-spec of the current frame as a name; empty: the frame's domain. */
must_use enum target_answer target_expand(struct spf_check *check, struct bytes spec,
                                          struct machine_name *out);
/* The text of an explanation: TARGET_NONE where it is not usable. */
must_use enum target_answer target_explain(struct spf_check *check, struct bytes text,
                                           struct bytes *out);
