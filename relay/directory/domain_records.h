/*
 * domain_records.h - what a domain's owner puts into DNS so that its mail is believed, and whether
 * what stands there says so.
 *
 * Pure: whoever asks DNS hands the answers in.
 */
#pragma once

#include "base/arena.h"
#include "directory/domains.h"

enum domain_record_type { RECORD_TXT, RECORD_CNAME, RECORD_MX, RECORD_PTR };

struct domain_record {
    /* "dkim", "spf", "dmarc", "return-path", "mx", "mta-sts", "tls-rpt", "ptr" */
    const char *purpose;
    enum domain_record_type type;
    bool is_required; /* without it the domain does not become active */
    struct bytes name,
        value; /* value: of MX, CNAME and PTR a host's name, without the preference */
    enum dkim_key_state state; /* of dkim: whether its key signs */
};

enum { DOMAIN_RECORDS_MAX = 48, MX_PREFERENCE = 10 };

struct domain_hosts {
    struct bytes hostname;         /* ours */
    size_t address_count;          /* that mail is sent from; 0: from those of the host's name */
    const struct bytes *addresses; /* "192.0.2.1", "2001:db8::1" */
    size_t reverse_count;          /* whose names are asked for: those, or the host's as DNS has
                                    * them */
    const struct bytes *reverse;   /* their names with PTR records, "1.2.0.192.in-addr.arpa" */
};

/* All texts are in the arena. How many; 0: no room in it. */
size_t domain_records(const struct domain_row *domain, const struct domain_hosts *hosts,
                      struct arena *arena, struct domain_record out[static DOMAIN_RECORDS_MAX]);

enum domain_record_finding {
    RECORD_RIGHT,
    RECORD_WRONG,   /* something else stands there */
    RECORD_MISSING, /* nothing of the kind */
};
const char *domain_record_type_name(enum domain_record_type type);        /* "TXT" */
const char *domain_record_finding_name(enum domain_record_finding value); /* "right" */

/*
 * What an answer says of a record. `found`: of TXT the texts, each with its strings joined; of MX
 * the exchanges; of CNAME the one name at the end of the chain, which is the asked name where there
 * is none. *shown_out is the one that was taken for it (empty: none). A PTR record is judged by
 * whoever asks (auth/iprev.h). A TXT is:
 *
 *   dkim     right where p= is the key (RFC 6376 section 3.6.1)
 *   spf      right where there is one record, and all our terms are in it (RFC 7208 section 4.5)
 *   others   right where there is one of that version (RFC 7489 section 6.6.3, RFC 8461 section
 *            3.1, RFC 8460 section 3): what its policy is, is the owner's to say
 */
enum domain_record_finding domain_record_judge(const struct domain_record *record,
                                               size_t found_count, const struct bytes *found,
                                               struct bytes *shown_out);
