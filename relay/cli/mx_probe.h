/*
 * mx_probe.h - what a mail host shows who comes to deliver: whether it answers, offers STARTTLS,
 * and has a certificate that can be verified for its name. No mail is begun.
 *
 * Not for engines: it waits, as long as it has patience.
 */
#pragma once

#include "io/address.h"

enum { MX_PROBE_WHY_MAX = 512 };

enum mx_probe_result {
    MX_PROBE_GOOD,
    MX_PROBE_WRONG,     /* whoever insists on TLS does not deliver here */
    MX_PROBE_CLEAR,     /* there is no STARTTLS */
    MX_PROBE_UNREACHED, /* from here; others may have another way */
};

struct mx_probe {
    struct address address; /* with its port */
    const char *host;       /* whose certificate it should be */
    const char *hello;
    const char *authorities; /* file of certificates; NULL: the system's */
    unsigned patience_ms;    /* in all */
    /* What came of it. */
    enum mx_probe_result result;
    char why[MX_PROBE_WHY_MAX]; /* part of a sentence; peers wrote some of it */
};

void mx_probe_run(struct mx_probe *probe);
