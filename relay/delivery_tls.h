/*
 * delivery_tls.h - what a configuration says of TLS with other servers: files read, contexts made.
 *
 * A part of certificates.h, whose functions call these. Thread: as there.
 */
#pragma once

#include "relay/config.h"

/* False after each file that cannot be used was told, with its line. */
must_use bool delivery_tls_load(struct config *config,
                                void (*error)(void *context, const char *text), void *context);
/* A context for each engine: config->delivery_tls.contexts. */
void delivery_tls_make_contexts(struct config *config);
void delivery_tls_release(struct config *config);
/* What is legal and will hold mail back for ever. */
void delivery_tls_warn(const struct config *config,
                       void (*warning)(void *context, const char *text), void *context);
/* One sentence: what is demanded, and whom we believe. */
void delivery_tls_describe(const struct config *config,
                           void (*say)(void *context, const char *text), void *context);
