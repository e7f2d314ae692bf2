/*
 * record.h - the TXT record that says a domain has an MTA-STS policy, and which (RFC 8461 section
 * 3.1).
 *
 * Pure, any thread.
 */
#pragma once

#include "base/bytes.h"

enum { MTA_STS_ID_MAX = 32 };

/* It is for MTA-STS; others of the name are for something else and do not count. */
bool mta_sts_record_is_one(struct bytes text);
/* The id of one: a slice of 1 to MTA_STS_ID_MAX letters and digits. False: it is not valid. */
must_use bool mta_sts_record_parse(struct bytes text, struct bytes *id_out);
