/* tenant_rules.h - verbs of `ringpost tenant` about senders (directory/sender_rules.h). */
#pragma once

#include "relay/cli/cli.h"

int tenant_allow(struct cli *cli);
int tenant_block(struct cli *cli);
int tenant_unlist(struct cli *cli);
int tenant_rules(struct cli *cli);
