/*
 * prepare.h - SASLprep (RFC 4013): names and passwords that look alike become the same bytes.
 *
 * As a query (RFC 3454 section 7): code points that Unicode 3.2 did not know are passed on.
 * Thread: any.
 */
#pragma once

#include "base/bytes.h"

/*
 * Prepares `text` into out[out_size]. False: it is no UTF-8, holds what SASLprep forbids (controls,
 * private use, mixed direction...), comes out empty, or does not fit.
 */
must_use bool sasl_prepare(struct bytes text, uint8_t *out, size_t out_size, size_t *len_out);
