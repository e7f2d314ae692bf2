/*
 * config_fields.h - readers of the configuration keys that are more than one scalar.
 *
 * Each stores into the struct config that its field lies in; errors are told to the reader.
 */
#pragma once

#include "relay/config.h"
#include "relay/config_reader.h"

enum { CONFIG_ENGINES_MAX = 64 };

extern const struct retry_rule config_default_retry;
extern const struct egress_rule config_default_egress;

void config_read_engines(struct config_reader *reader, yaml_node_t *node, void *field);
void config_read_listeners(struct config_reader *reader, yaml_node_t *node, void *field);
void config_read_servers(struct config_reader *reader, yaml_node_t *node, void *field);
void config_read_retry(struct config_reader *reader, yaml_node_t *node, void *field);
void config_read_routes(struct config_reader *reader, yaml_node_t *node, void *field);
void config_read_sources(struct config_reader *reader, yaml_node_t *node, void *field);
void config_read_sites(struct config_reader *reader, yaml_node_t *node, void *field);
void config_read_allow_private(struct config_reader *reader, yaml_node_t *node, void *field);
void config_read_log_target(struct config_reader *reader, yaml_node_t *node, void *field);
void config_read_log_level(struct config_reader *reader, yaml_node_t *node, void *field);
void config_read_metrics_listen(struct config_reader *reader, yaml_node_t *node, void *field);
