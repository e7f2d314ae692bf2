/*
 * json_check.h - is a submitter's text JSON that may stand in an event's line as it is?
 *
 * Strict (RFC 8259), and stricter where a line and its readers want it: no line ends between the
 * parts, no NUL in strings, surrogates in pairs, UTF-8 that is valid. Pure functions, any thread.
 */
#pragma once

#include "base/bytes.h"

enum { JSON_DEPTH_MAX = 8 }; /* arrays and objects within each other */

/* ["a", "b"]; it may be empty. */
bool json_holds_strings(struct bytes json);
/* {"key": any value, ...}, at most JSON_DEPTH_MAX deep. */
bool json_holds_object(struct bytes json);
