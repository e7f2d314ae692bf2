/* client.h - the validated names of a client's address (RFC 7208 section 5.5). Private. */
#pragma once

#include "auth/spf/machine.h"

enum client_answer {
    CLIENT_NAMED,    /* *name_out is set */
    CLIENT_NAMELESS, /* there is none */
    CLIENT_ASKS,     /* a question is out; call again after its answer */
};

/* A confirmed name that is `domain` or below it. */
must_use enum client_answer client_name_in(struct spf_check *check, struct bytes domain,
                                           struct bytes *name_out);
/* What %{p} stands for (section 7.3): `domain` if confirmed, else a name below it, else any. */
must_use enum client_answer client_name_for(struct spf_check *check, struct bytes domain,
                                            struct bytes *name_out);
/* Answers to what was asked here. */
void client_take_names(struct spf_check *check, const struct lookup_answer *answer);
void client_take_address(struct spf_check *check, const struct lookup_answer *answer);
