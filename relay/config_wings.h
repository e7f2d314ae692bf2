/*
 * config_wings.h - the rows of all keys, a wing a file: config_core.c, config_limits.c and so on.
 *
 * Each is a row of kind CONFIG_PART, whose keys stand at the top of the file, and CONFIG_END.
 */
#pragma once

#include "relay/config.h"
#include "relay/config_reader.h"

/* A row's place in struct config. */
#define AT(member) CONFIG_PLACE(struct config, member)

enum { CONFIG_ENGINES_MAX = 64 };

extern const struct config_key config_core[];
extern const struct config_key config_listeners[];
extern const struct config_key config_tls[];
extern const struct config_key config_auth[];
extern const struct config_key config_dkim[];
extern const struct config_key config_limits[];
extern const struct config_key config_labels[];
extern const struct config_key config_inbound[];
extern const struct config_key config_imap[];
extern const struct config_key config_pop3[];
extern const struct config_key config_dns[];
extern const struct config_key config_retry[];
extern const struct config_key config_routes[];
extern const struct config_key config_sources[];
extern const struct config_key config_delivery[];
extern const struct config_key config_spool[];
extern const struct config_key config_store[];
extern const struct config_key config_events[];
extern const struct config_key config_kafka[];
extern const struct config_key config_webhooks[];
extern const struct config_key config_reports[];
extern const struct config_key config_metrics[];
extern const struct config_key config_log[];

/* config_access.c, for config_imap.c and config_pop3.c: the limits of clients are those of all
 * services. */
void config_finish_access(struct config_reader *reader, struct config *config,
                          enum config_service service, struct access_settings *settings);

/* config_demand.c, for the section of config_delivery.c. */
extern const struct config_key config_demand[];

/* config_delivery_tls.c, for config_delivery.c: keys of delivery, and what follows from them. */
extern const struct config_key config_delivery_tls[];
void config_finish_delivery_tls(struct config_reader *reader, struct config *config);

/* config_providers.c, for config_delivery.c: an item of delivery.providers, */
extern const struct config_key config_provider;
bool config_provider_name_is_valid(struct bytes text);
/* whether the file or what ships has one of that name, */
bool config_has_provider(const struct config *config, const char *name);
/* and both together as delivery.providers of the settings. */
void config_finish_providers(struct config_reader *reader, struct config *config);
