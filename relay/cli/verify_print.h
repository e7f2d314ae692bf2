/*
 * verify_print.h - what `ringpost verify` says of a verification: as text, or as one JSON object.
 */
#pragma once

#include "inbound/verify/verification.h"
#include "relay/cli/cli.h"

/* The look-ups of a run, as lines of text, in the order of their answers. */
struct verify_notes {
    struct buf text;
    size_t left_out; /* lines past the cap */
};

void verify_notes_init(struct verify_notes *notes);
void verify_notes_free(struct verify_notes *notes);
void verify_note(struct verify_notes *notes, const struct verification_trace *trace);

/* Both of a verification that is done; `id` is our host name. */
void verify_print(const struct verification *verification, struct bytes id,
                  const struct verify_notes *notes);
void verify_print_json(const struct verification *verification, struct bytes id);
