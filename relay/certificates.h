/*
 * certificates.h - the certificates that a configuration names: read, judged, made into TLS
 * contexts.
 *
 * Apart from config_load(), since a file may be read where its certificates are not: whoever serves
 * or checks loads them. They are the configuration's from then on and go with it.
 *
 * Thread: any but the engines'; on a configuration that others have not yet, except to tell of it.
 */
#pragma once

#include <jansson.h>

#include "relay/config.h"

struct exposition;
struct tls_tickets;

/* Reads and checks all of them, those for connections to other servers too (delivery_tls.h). False
 * after each that cannot be used was told, with its line. */
must_use bool certificates_load(struct config *config,
                                void (*error)(void *context, const char *text), void *context);
/* A context of all of them for each engine: config->tls.contexts. `tickets` outlives them. Nothing
 * where there are no certificates. */
void certificates_make_contexts(struct config *config, struct tls_tickets *tickets);
/* With the configuration. */
void certificates_release(struct config *config);

/* Tells what is legal and helps nobody: expired ones, soon or already, names that are not this
 * host's, chains in disorder, keys that others can read. */
void certificates_warn(const struct config *config,
                       void (*warning)(void *context, const char *text), void *context);
/* One sentence for each: whose it is and how many days it has. */
void certificates_describe(const struct config *config,
                           void (*say)(void *context, const char *text), void *context);
json_t *certificates_json(const struct config *config);
/* When each expires. Any thread. */
void certificates_tell(const struct config *config, struct exposition *exposition);
