/*
 * sign.h - the DKIM-Signature fields of a message that leaves (RFC 6376 section 5).
 *
 *   struct body_hashes hashes;          the body, while it is stored
 *   struct dkim_signer signer;
 *   body_hashes_init(&hashes);
 *   dkim_signer_init(&signer, &options, &hashes);
 *   body_hashes_feed(&hashes, run) ... body_hashes_finish(&hashes);
 *   dkim_sign(&signer, &header, identities, count, &out);
 *
 * The header is the one that leaves, fields that we added included; what is appended to `out` goes
 * before it. From and the fields that a reader goes by are over-signed: h= names each once more
 * than there are, so that none can be added. There is no l=.
 *
 * A second family of signatures (DKIM2) would be a file beside this one, with its own fields: it
 * has body_hashes for its body, mail_header and canonical_field_put() for its header, and
 * dkim_key_sign() for its keys; what is DKIM's alone is the text made here.
 *
 * Any thread, one at a time; keys as private_key.h says.
 */
#pragma once

#include "auth/dkim/body_hash.h"
#include "auth/dkim/private_key.h"

struct dkim_signer_options {
    enum canonical_form header_form, body_form;
    uint32_t lifetime_s; /* x= is t= and this; 0: no x= */
};
#define DKIM_SIGNER_DEFAULTS ((struct dkim_signer_options){CANONICAL_RELAXED, CANONICAL_RELAXED, 0})

struct dkim_signer {
    struct dkim_signer_options options;
    /* private */
    struct body_hashes *hashes;
    int want;
};

struct dkim_identity {
    struct bytes domain;   /* d=; A-labels, lower case */
    struct bytes selector; /* s= */
    struct dkim_key *key;
};

enum { DKIM_IDENTITIES_MAX = 8 };

/* Before the body's first octet. */
void dkim_signer_init(struct dkim_signer *signer, const struct dkim_signer_options *options,
                      struct body_hashes *hashes);
/*
 * After body_hashes_finish(): appends a field for each identity, each ending in CRLF, folded below
 * 78 columns where names allow. False, with a reason in words and nothing appended: no From field,
 * a header that was cut, a name that is none, no room in `out`.
 */
must_use bool dkim_sign(const struct dkim_signer *signer, const struct mail_header *header,
                        const struct dkim_identity *identities, size_t count, int64_t wall_ms,
                        struct buf *out, const char **reason_out);
/* That reason, where it is the key and not the message. */
extern const char dkim_key_does_not_sign[];

/* The value of h= that dkim_sign() gives for that header; false: no room. */
must_use bool dkim_signed_names(const struct mail_header *header, struct buf *names);
/* What may stand in d= or s=: A-labels, also with underscores. */
bool dkim_is_dns_name(struct bytes name);
