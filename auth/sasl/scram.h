/* scram.h - the messages of SCRAM (RFC 5802 section 5), for sasl.c. Private to the folder. */
#pragma once

#include "auth/sasl/sasl.h"

enum { SCRAM_TEXT_MAX = 8192 /* each of its buffers; larger than any message of both sides */ };

enum sasl_step scram_first(struct sasl *sasl, struct bytes message);
/* With sasl->keys: the server's first message. */
enum sasl_step scram_challenge(struct sasl *sasl);
enum sasl_step scram_final(struct sasl *sasl, struct bytes message);
