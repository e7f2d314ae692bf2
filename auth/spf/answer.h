/* answer.h - what each answer means for the check that asked. Private. */
#pragma once

#include "auth/spf/machine.h"

void answer_take(struct spf_check *check, const struct lookup_answer *answer);
