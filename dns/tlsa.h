/*
 * tlsa.h - which TLSA records are of use to an SMTP client (RFC 6698 section 2.1, RFC 7672 section
 * 3.1).
 *
 * A record that is of no use counts all the same: who publishes any, by DNSSEC, has TLS (RFC 7672
 * section 2.2). Pure, any thread.
 */
#pragma once

#include "base/bytes.h"

enum tlsa_usage { TLSA_PKIX_TA, TLSA_PKIX_EE, TLSA_DANE_TA, TLSA_DANE_EE };

enum { TLSA_ASSOCIATION_MAX = 8192 /* of matching type 0: a whole certificate or key */ };

struct tlsa_record {
    uint8_t usage;    /* enum tlsa_usage */
    uint8_t selector; /* 0: the certificate, 1: its public key */
    uint8_t matching; /* 0: all of it, 1: its SHA-256, 2: its SHA-512 */
    struct bytes association;
};

/* Reads RDATA. NULL: it is of use. Else why it is not, a part of a sentence (static); *out is set
 * as far as the RDATA goes. */
const char *tlsa_parse(struct bytes rdata, struct tlsa_record *out);
