/*
 * domain_pattern.h - patterns of domains, as rules of the configuration have them.
 *
 * Lower case: "example.org" is that domain, "*.example.org" every domain below it (not itself), "*"
 * any. Pure.
 */
#pragma once

#include "base/bytes.h"

bool smtp_domain_matches(const char *pattern, struct bytes domain);
