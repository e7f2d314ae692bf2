/*
 * dns_look.h - one question to DNS at a time, waited for: for commands, which have no engine.
 *
 * By c-ares, with the configuration's dns.servers; answers are read as the daemon reads them
 * (dns/packet.h).
 */
#pragma once

#include "dns/resolver.h"

struct dns_look;

struct dns_look_answer {
    enum dns_status status;
    const char *why;        /* DNS_FAILED: a static string */
    struct bytes canonical; /* where CNAMEs lead; the asked name if there is none */
    size_t count;
    struct dns_record records[DNS_RECORDS_MAX];
};

/* NULL with a static sentence in *why_out. */
struct dns_look *dns_look_open(const struct dns_settings *settings, const char **why_out);
/* The answer lives in the arena. */
void dns_look(struct dns_look *look, struct bytes name, enum dns_type type, struct arena *arena,
              struct dns_look_answer *out);
void dns_look_close(struct dns_look **look);
