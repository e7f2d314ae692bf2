/*
 * audit_report.h - what the audit found, for people and as JSON. Private to the audit.
 */
#pragma once

#include "event/event_bounds.h"
#include "event/event_ledger.h"
#include "relay/cli/cli.h"

struct audit_facts {
    struct ledger_totals totals;
    uint64_t first_file, last_file;
    uint64_t strange_lines; /* of the files, that are no events of ours */
    uint64_t unreadable;    /* spots of the spool */
    uint64_t broken_files;  /* of which something is missing */
    uint64_t repeated;      /* events that stand in the files a second time */
    bool is_served;
};

/* The file at this place gives no more: -ENOENT, -EBADMSG or -EIO. */
void audit_report_file(const struct cli *cli, struct event_place at, int error);
/* EXIT_GOOD where all adds up, else EXIT_FAILED. */
int audit_report(const struct cli *cli, struct ledger *ledger, const struct audit_facts *facts);
