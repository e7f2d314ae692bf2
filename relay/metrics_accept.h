/*
 * metrics_accept.h - which format a scraper asks for by its Accept field (RFC 9110 section 12.5.1).
 */
#pragma once

#include "base/exposition.h"

/* OpenMetrics where it is named, in version 1.0.0 or none, and text/plain is not wanted more.
 * Anything else, also what cannot be read, is Prometheus text, which every scraper takes. */
enum exposition_format metrics_accept(struct bytes accept);
