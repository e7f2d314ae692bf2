/*
 * part_names.h - every name that a reader may find in a field of a part, however it is written (RFC
 * 2231, RFC 2047). Private to the folder. Pure.
 */
#pragma once

#include "inbound/mime/mime_param.h"

typedef void part_name_fn(void *context, struct bytes name);

/* Of the parameter `base`: as it is, in sections, encoded, and with what is encoded decoded. */
void part_names_of(const struct mime_param *params, struct bytes base, part_name_fn *take,
                   void *context);
/* Of a field that is not of its form, or has no parameters as those are written: what stands behind
 * a name and "=". */
void part_names_loosely(struct bytes value, part_name_fn *take, void *context);
