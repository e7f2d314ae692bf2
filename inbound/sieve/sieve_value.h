/*
 * sieve_value.h - what a message says: values of its fields, addresses in them, its envelope.
 * Private to this folder.
 */
#pragma once

#include "inbound/sieve/sieve_script.h"

/* Called for each value until it returns true. */
typedef bool sieve_value_test(void *context, struct bytes value);

/* The values of all fields of that name, unfolded, trimmed, encoded words decoded (RFC 5228
 * section 2.7.2). True once `test` says so. `scratch` is overwritten. */
bool sieve_field_values(const struct mail_header *header, struct bytes name, struct buf *scratch,
                        sieve_value_test *test, void *context);
/* That part of each address of each field of that name; of a value that is no list of addresses
 * all of it, where all is asked for (section 2.7.4). */
bool sieve_field_addresses(const struct mail_header *header, struct bytes name,
                           enum sieve_part part, struct buf *scratch, sieve_value_test *test,
                           void *context);
/* That part of an address of the envelope; the null path is empty in all its parts. */
bool sieve_path_value(struct bytes path, enum sieve_part part, struct buf *scratch,
                      sieve_value_test *test, void *context);
/* Without its folds, trimmed, into `out`, which had nothing in it. False: no room. */
must_use bool sieve_unfold(struct bytes value, struct buf *out);
