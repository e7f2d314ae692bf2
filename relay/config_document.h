/*
 * config_document.h - the configuration file as libyaml's tree: one document, at most 16 MiB, of a
 * depth that takes no time.
 *
 * Thread: any.
 */
#pragma once

#include "relay/config_reader.h"

/* Loads the reader's path; yaml_document_delete() is the caller's. False after an error, which was
 * told. */
must_use bool config_document_load(struct config_reader *reader, yaml_document_t *document);
