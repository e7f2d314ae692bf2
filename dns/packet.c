/* packet.c - strict reading of DNS responses. */
#include "dns/packet.h"

#include <string.h>

enum {
    HEADER_LEN = 12,
    RECORD_HEAD_LEN = 10, /* type, class, TTL, length */
    CLASS_IN = 1,
    TYPE_NS = 2,
    TYPE_OPT = 41,
    RCODE_NOERROR = 0,
    RCODE_NXDOMAIN = 3,
};

/* A record as it stands in the packet. */
struct frame {
    size_t owner; /* position of its name */
    uint16_t type;
    uint16_t class;
    uint32_t ttl_s;
    size_t start; /* of its RDATA */
    size_t len;
};

struct reader {
    struct dns_packet *out;
    struct bytes packet;
    struct arena *arena;
    enum dns_type type;
    unsigned rcode;
    bool is_authoritative;
    size_t counts[3];     /* answer, authority, additional */
    size_t authority;     /* position of the section */
    struct frame *frames; /* of the answer section */
    size_t frame_count;
};

static uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)get_u16(p) << 16 | get_u16(p + 2);
}

static bool refuse(struct reader *reader, const char *why)
{
    reader->out->status = DNS_FAILED;
    reader->out->why = why;
    return false;
}

static const char *rcode_text(unsigned rcode)
{
    static const char *const texts[] = {
        [1] = "FORMERR",  [2] = "SERVFAIL", [4] = "NOTIMP",     [5] = "REFUSED",
        [6] = "YXDOMAIN", [7] = "YXRRSET",  [8] = "NXRRSET",    [9] = "NOTAUTH",
        [10] = "NOTZONE", [16] = "BADVERS", [23] = "BADCOOKIE",
    };

    if (rcode < ARRAY_LEN(texts) && texts[rcode] != NULL)
        return texts[rcode];
    return "unknown response code";
}

static bool read_header(struct reader *reader)
{
    const uint8_t *p = reader->packet.ptr;

    if (reader->packet.len < HEADER_LEN)
        return refuse(reader, "malformed answer");
    if ((p[2] & 0xf8) != 0x80) /* QR set, opcode QUERY */
        return refuse(reader, "not an answer");
    reader->rcode = p[3] & 0x0f;
    reader->is_authoritative = p[2] & 0x04;
    reader->out->is_authentic = p[3] & 0x20; /* RFC 4035 section 3.2.3 */
    if (reader->rcode != RCODE_NOERROR && reader->rcode != RCODE_NXDOMAIN)
        return refuse(reader, rcode_text(reader->rcode));
    if (p[2] & 0x02) /* c-ares asked again over TCP; what is still cut is no answer */
        return refuse(reader, "truncated answer");
    if (get_u16(p + 4) != 1)
        return refuse(reader, "answer to another question");
    for (size_t i = 0; i < 3; i++)
        reader->counts[i] = get_u16(p + 6 + 2 * i);
    return true;
}

static bool read_question(struct reader *reader, struct bytes name, size_t *position)
{
    struct dns_name asked;
    enum dns_name_verdict verdict = dns_name_take(reader->packet, position, &asked);

    if (verdict == DNS_NAME_BROKEN || reader->packet.len - *position < 4)
        return refuse(reader, "malformed answer");
    const uint8_t *p = reader->packet.ptr + *position;

    *position += 4;
    if (!bytes_equal(dns_name_bytes(&asked), name) || get_u16(p) != (uint16_t)reader->type ||
        get_u16(p + 2) != CLASS_IN)
        return refuse(reader, "answer to another question");
    return true;
}

static bool take_frame(struct bytes packet, size_t *position, struct frame *out)
{
    struct dns_name owner;

    out->owner = *position;
    if (dns_name_take(packet, position, &owner) == DNS_NAME_BROKEN ||
        packet.len - *position < RECORD_HEAD_LEN)
        return false;
    const uint8_t *p = packet.ptr + *position;

    out->type = get_u16(p);
    out->class = get_u16(p + 2);
    out->ttl_s = get_u32(p + 4);
    if (out->ttl_s & 0x80000000u) /* RFC 2181 section 8 */
        out->ttl_s = 0;
    out->len = get_u16(p + 8);
    *position += RECORD_HEAD_LEN;
    out->start = *position;
    if (packet.len - *position < out->len)
        return false;
    *position += out->len;
    return true;
}

static bool read_sections(struct reader *reader, size_t position)
{
    struct frame frame;

    reader->frame_count = MIN(reader->counts[0], (size_t)DNS_PACKET_SCAN_MAX);
    if (reader->frame_count > 0) {
        reader->frames = arena_alloc(reader->arena, reader->frame_count * sizeof(struct frame));
        if (reader->frames == NULL)
            return refuse(reader, "answer too large");
    }
    for (size_t i = 0; i < reader->counts[0]; i++) { /* bounded: a record has 11 bytes at least */
        if (!take_frame(reader->packet, &position, &frame))
            return refuse(reader, "malformed answer");
        if (i < reader->frame_count)
            reader->frames[i] = frame;
    }
    reader->authority = position;
    for (size_t i = 0; i < reader->counts[1]; i++)
        if (!take_frame(reader->packet, &position, &frame))
            return refuse(reader, "malformed answer");
    for (size_t i = 0; i < reader->counts[2]; i++) {
        if (!take_frame(reader->packet, &position, &frame))
            return refuse(reader, "malformed answer");
        /* RFC 6891 section 6.1.3: the upper bits of the response code. */
        unsigned extended = frame.type == TYPE_OPT ? frame.ttl_s >> 24 : 0;

        if (extended != 0)
            return refuse(reader, rcode_text(extended << 4 | reader->rcode));
    }
    return true;
}

static bool frame_is_owned_by(const struct reader *reader, const struct frame *frame,
                              const struct dns_name *owner)
{
    size_t position = frame->owner;
    struct dns_name name;

    return frame->class == CLASS_IN &&
           dns_name_take(reader->packet, &position, &name) != DNS_NAME_BROKEN &&
           bytes_equal(dns_name_bytes(&name), dns_name_bytes(owner));
}

/* The name that fills the RDATA from `skip` on. */
static enum dns_name_verdict frame_name(const struct reader *reader, const struct frame *frame,
                                        size_t skip, struct dns_name *out)
{
    size_t position = frame->start + skip;

    if (frame->len <= skip)
        return DNS_NAME_BROKEN;
    enum dns_name_verdict verdict = dns_name_take(reader->packet, &position, out);

    return position == frame->start + frame->len ? verdict : DNS_NAME_BROKEN;
}

/* How many records of the asked type the end of the chain owns; *cname_out: its alias, or NULL. */
static size_t count_at_owner(const struct reader *reader, const struct frame **cname_out)
{
    size_t count = 0;

    *cname_out = NULL;
    for (size_t i = 0; i < reader->frame_count; i++) {
        const struct frame *frame = &reader->frames[i];

        if (frame->type != (uint16_t)reader->type && frame->type != DNS_TYPE_CNAME)
            continue;
        if (!frame_is_owned_by(reader, frame, &reader->out->owner))
            continue;
        if (frame->type == (uint16_t)reader->type)
            count++;
        else if (*cname_out == NULL)
            *cname_out = frame;
    }
    return count;
}

/* Walks from the asked name to the name that owns data, or to the last one the packet knows.
 * A loop inside the packet runs into chain_max. */
static bool follow_chain(struct reader *reader, unsigned chain_max, size_t *count_out)
{
    struct dns_packet *out = reader->out;
    const struct frame *cname;
    struct dns_name target;

    while ((*count_out = count_at_owner(reader, &cname)) == 0 && cname != NULL) {
        if (out->chain_len == chain_max)
            return refuse(reader, "CNAME chain too long");
        switch (frame_name(reader, cname, 0, &target)) {
        case DNS_NAME_BROKEN:
            return refuse(reader, "malformed answer");
        case DNS_NAME_ODD:
            return refuse(reader, "CNAME to a name that cannot be");
        case DNS_NAME_GOOD:
            break;
        }
        if (target.len == 0)
            return refuse(reader, "CNAME to a name that cannot be");
        out->owner = target;
        out->chain_len++;
        out->ttl_s = MIN(out->ttl_s, cname->ttl_s);
    }
    return true;
}

static bool read_text(struct reader *reader, const struct frame *frame, struct dns_record *record)
{
    const uint8_t *p = reader->packet.ptr + frame->start;
    size_t left = frame->len;
    size_t len = 0;
    uint8_t *text = arena_alloc(reader->arena, frame->len + 1);

    if (text == NULL)
        return refuse(reader, "answer too large");
    while (left > 0) {
        size_t string_len = *p;

        if (string_len > left - 1)
            return refuse(reader, "malformed answer");
        memcpy(text + len, p + 1, string_len);
        len += string_len;
        p += string_len + 1;
        left -= string_len + 1;
    }
    record->text = bytes_range(text, len);
    return true;
}

/* A name in RDATA; *is_odd is set for an odd one. */
static bool read_name(struct reader *reader, const struct frame *frame, size_t skip,
                      struct dns_record *record, bool *is_odd)
{
    struct dns_name name;

    switch (frame_name(reader, frame, skip, &name)) {
    case DNS_NAME_BROKEN:
        return refuse(reader, "malformed answer");
    case DNS_NAME_ODD:
        *is_odd = true;
        break;
    case DNS_NAME_GOOD:
        break;
    }
    if (!arena_copy(reader->arena, dns_name_bytes(&name), &record->name))
        return refuse(reader, "answer too large");
    return true;
}

static bool read_record(struct reader *reader, const struct frame *frame, struct dns_record *record,
                        bool *is_odd)
{
    const uint8_t *p = reader->packet.ptr + frame->start;

    switch (reader->type) {
    case DNS_TYPE_A:
        if (frame->len != sizeof(record->a))
            return refuse(reader, "malformed answer");
        memcpy(&record->a, p, sizeof(record->a));
        return true;
    case DNS_TYPE_AAAA:
        if (frame->len != sizeof(record->aaaa))
            return refuse(reader, "malformed answer");
        memcpy(&record->aaaa, p, sizeof(record->aaaa));
        return true;
    case DNS_TYPE_MX:
        if (frame->len < 3)
            return refuse(reader, "malformed answer");
        record->preference = get_u16(p);
        return read_name(reader, frame, 2, record, is_odd);
    case DNS_TYPE_CNAME:
    case DNS_TYPE_PTR:
        return read_name(reader, frame, 0, record, is_odd);
    case DNS_TYPE_TXT:
        return read_text(reader, frame, record);
    case DNS_TYPE_TLSA: /* RFC 6698 section 2.1; tlsa.h judges it, also one that is cut off */
        record->text = bytes_range(p, frame->len);
        return true;
    case DNS_TYPE_SOA:
        record->text = bytes_range(p, frame->len);
        return true;
    }
    return refuse(reader, "unknown type");
}

static bool read_records(struct reader *reader, size_t count)
{
    struct dns_packet *out = reader->out;
    size_t count_max = MIN(count, (size_t)DNS_RECORDS_MAX);
    size_t wanted = count_max;

    out->records = arena_alloc(reader->arena, count_max * sizeof(struct dns_record));
    if (out->records == NULL)
        return refuse(reader, "answer too large");
    out->cut_count = count - count_max + (reader->counts[0] - reader->frame_count);
    for (size_t i = 0; i < reader->frame_count && wanted > 0; i++) {
        const struct frame *frame = &reader->frames[i];
        struct dns_record record = {0};
        bool is_odd = false;

        if (frame->type != (uint16_t)reader->type || !frame_is_owned_by(reader, frame, &out->owner))
            continue;
        wanted--;
        if (!read_record(reader, frame, &record, &is_odd))
            return false;
        out->ttl_s = MIN(out->ttl_s, frame->ttl_s);
        if (is_odd)
            out->records[count_max - ++out->odd_count] = record; /* from behind */
        else
            out->records[out->record_count++] = record;
    }
    if (out->odd_count > 0)
        out->odd_records = &out->records[count_max - out->odd_count];
    return true;
}

/* TTL of a negative answer: the least of the SOA's own and its MINIMUM (RFC 2308 section 5). False
 * if the SOA cannot be read. */
static bool soa_ttl(const struct reader *reader, const struct frame *frame, uint32_t *ttl_s_out)
{
    size_t position = frame->start;
    struct dns_name name;

    /* MNAME and RNAME; a mailbox may be odd. */
    for (unsigned i = 0; i < 2; i++)
        if (dns_name_take(reader->packet, &position, &name) == DNS_NAME_BROKEN)
            return false;
    if (position + 20 != frame->start + frame->len)
        return false;
    uint32_t minimum_s = get_u32(reader->packet.ptr + position + 16);

    *ttl_s_out = MIN(frame->ttl_s, minimum_s & 0x80000000u ? 0 : minimum_s);
    return true;
}

/* No data: by the authority section, is that a fact, a referral, or does the packet not know? */
static bool read_negative(struct reader *reader)
{
    struct dns_packet *out = reader->out;
    size_t position = reader->authority;
    bool has_ns = false;

    /* An answer that holds answers to something else says nothing of what was asked, not even that
     * it is not there: mail must not bounce for it. */
    if (reader->counts[0] > 0 && out->chain_len == 0)
        return refuse(reader, "answer to another question");
    for (size_t i = 0; i < reader->counts[1]; i++) {
        struct frame frame;
        struct dns_name zone;
        uint32_t ttl_s;
        bool is_framed = take_frame(reader->packet, &position, &frame);

        check(is_framed); /* read_sections() has been here */
        size_t owner = frame.owner;

        has_ns |= frame.type == TYPE_NS;
        if (frame.type != DNS_TYPE_SOA || frame.class != CLASS_IN ||
            dns_name_take(reader->packet, &owner, &zone) != DNS_NAME_GOOD ||
            !dns_name_is_below(dns_name_bytes(&out->owner), dns_name_bytes(&zone)))
            continue;
        if (!soa_ttl(reader, &frame, &ttl_s))
            return refuse(reader, "malformed answer");
        out->has_ttl = true;
        out->ttl_s = MIN(out->ttl_s, ttl_s);
        break;
    }
    out->status = reader->rcode == RCODE_NXDOMAIN ? DNS_NXDOMAIN : DNS_NO_DATA;
    if (out->status == DNS_NXDOMAIN || out->has_ttl)
        return true;
    if (out->chain_len > 0)
        out->is_unfinished = true;
    else if (has_ns && !reader->is_authoritative) /* RFC 2308 section 2.2.1: knows nothing itself */
        return refuse(reader, "referral instead of an answer");
    return true;
}

static bool read_packet(struct reader *reader, struct bytes name, unsigned chain_max)
{
    size_t position = HEADER_LEN;
    size_t count;

    if (!read_header(reader) || !read_question(reader, name, &position) ||
        !read_sections(reader, position) || !follow_chain(reader, chain_max, &count))
        return false;
    if (count == 0)
        return read_negative(reader);
    if (reader->rcode == RCODE_NXDOMAIN)
        return refuse(reader, "NXDOMAIN with data");
    if (!read_records(reader, count))
        return false;
    reader->out->has_ttl = true;
    reader->out->status = DNS_OK;
    return true;
}

bool dns_packet_has_opt(struct bytes packet)
{
    size_t position = HEADER_LEN;
    size_t count = 0;
    struct dns_name name;
    struct frame frame;

    if (packet.len < HEADER_LEN)
        return false;
    for (size_t i = get_u16(packet.ptr + 4); i > 0; i--) { /* bounded: each takes bytes off */
        if (dns_name_take(packet, &position, &name) == DNS_NAME_BROKEN || packet.len - position < 4)
            return false;
        position += 4;
    }
    for (size_t section = 0; section < 3; section++)
        count += get_u16(packet.ptr + 6 + 2 * section);
    for (; count > 0; count--) {
        if (!take_frame(packet, &position, &frame))
            return false;
        if (frame.type == TYPE_OPT)
            return true;
    }
    return false;
}

bool dns_packet_repeats(struct bytes packet, struct bytes name)
{
    size_t at = HEADER_LEN;

    while (name.len > 0) {
        size_t len = bytes_find(name, '.', 0);

        if (packet.len < at + 1 + len || packet.ptr[at] != len ||
            memcmp(packet.ptr + at + 1, name.ptr, len) != 0)
            return false;
        at += 1 + len;
        name = bytes_slice(name, MIN(len + 1, name.len), name.len);
    }
    return packet.len > at && packet.ptr[at] == 0;
}

void dns_packet_parse(struct dns_packet *out, struct bytes packet, struct bytes name,
                      enum dns_type type, unsigned chain_max, struct arena *arena)
{
    struct reader reader = {.out = out, .packet = packet, .arena = arena, .type = type};

    check(name.len > 0 && name.len <= DNS_NAME_MAX);
    *out = (struct dns_packet){.ttl_s = INT32_MAX, .owner.len = name.len};
    memcpy(out->owner.text, name.ptr, name.len);
    if (read_packet(&reader, name, chain_max))
        return;
    check(out->status == DNS_FAILED);
    out->record_count = out->odd_count = 0;
    out->records = out->odd_records = NULL;
}
