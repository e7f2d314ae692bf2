/* tlsa.c - one record, judged by itself. */
#include "dns/tlsa.h"

enum {
    HEAD_LEN = 3,
    SELECTOR_KEY = 1,
    MATCHING_ALL = 0,
    MATCHING_SHA256 = 1,
    MATCHING_SHA512 = 2,
    SHA256_LEN = 32,
    SHA512_LEN = 64,
    DER_SEQUENCE = 0x30,
};

static const char *judge_association(const struct tlsa_record *record)
{
    size_t len = record->association.len;

    switch (record->matching) {
    case MATCHING_ALL: /* a certificate and a key are each a SEQUENCE of DER */
        if (len == 0 || record->association.ptr[0] != DER_SEQUENCE)
            return "its data is no certificate or key";
        return len <= TLSA_ASSOCIATION_MAX ? NULL : "its data is too large";
    case MATCHING_SHA256:
        return len == SHA256_LEN ? NULL : "its data has not the length of a SHA-256";
    case MATCHING_SHA512:
        return len == SHA512_LEN ? NULL : "its data has not the length of a SHA-512";
    default:
        return "its matching type is not known";
    }
}

const char *tlsa_parse(struct bytes rdata, struct tlsa_record *out)
{
    *out = (struct tlsa_record){.association = BYTES_NONE};
    if (rdata.len < HEAD_LEN)
        return "it is cut off";
    out->usage = rdata.ptr[0];
    out->selector = rdata.ptr[1];
    out->matching = rdata.ptr[2];
    out->association = bytes_slice(rdata, HEAD_LEN, rdata.len - HEAD_LEN);
    /* Of certification authorities SMTP has no common set: RFC 7672 section 3.1.3. */
    if (out->usage == TLSA_PKIX_TA || out->usage == TLSA_PKIX_EE)
        return "its usage is not for SMTP";
    if (out->usage > TLSA_DANE_EE)
        return "its usage is not known";
    if (out->selector > SELECTOR_KEY)
        return "its selector is not known";
    return judge_association(out);
}
