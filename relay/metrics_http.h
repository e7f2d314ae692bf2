/*
 * metrics_http.h - GET /metrics, in the format asked for, and GET /health, by libmicrohttpd.
 *
 * A thread of its own; it asks the workers by letter, so a scrape never runs on an engine.
 */
#pragma once

#include "io/address.h"

struct program;
struct metrics_http;

/* Serves what listens behind `fd`, which is taken over; NULL when that fails, which is logged. */
struct metrics_http *metrics_http_start(struct program *program, int fd,
                                        const struct address *address);
void metrics_http_stop(struct metrics_http **metrics);
