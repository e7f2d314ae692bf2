/*
 * record.h - the text of an SPF record, term by term (RFC 7208 sections 4.5, 4.6, 5, 6, 12).
 *
 * Strict: any term that the grammar does not have makes the whole record a syntax error. Pure.
 */
#pragma once

#include "auth/spf/spf.h"

enum spf_kind {
    SPF_ALL,
    SPF_INCLUDE,
    SPF_A,
    SPF_MX,
    SPF_PTR,
    SPF_IP4,
    SPF_IP6,
    SPF_EXISTS,
    SPF_REDIRECT,
    SPF_EXP,
    SPF_MODIFIER, /* unknown: ignored */
};

struct spf_term {
    enum spf_kind kind;
    enum spf_verdict qualifier; /* of a directive: what a match means */
    struct bytes text;          /* all of it, as published */
    struct bytes domain;        /* domain-spec; empty: the current domain */
    uint8_t prefix4, prefix6;   /* bits that count of an IPv4, of an IPv6 address */
    uint8_t network[16];        /* ip4: 4 octets, ip6: 16 */
};

struct spf_record {
    struct bytes terms;                   /* what follows the version */
    struct bytes redirect, exp;           /* domain-specs; empty: none */
    struct bytes redirect_term, exp_term; /* the whole terms */
};

/* Whether a TXT record is one: "v=spf1", then a space or nothing. */
bool spf_record_is_one(struct bytes text);
/* Parses all of a text that is one. False: *wrong_out is the term that is none. */
must_use bool spf_record_parse(struct bytes text, struct spf_record *out, struct bytes *wrong_out);
/* Takes the next term, with the spaces before it, off the front of a record's terms; false at the
 * end. The record was parsed. */
must_use bool spf_record_next(struct bytes *terms, struct spf_term *out);
/* Whether the term counts as one of SPF_TERMS_MAX. */
bool spf_kind_asks(enum spf_kind kind);
