/* domain_records.c - records that are wanted, and records that are there. */
#include "directory/domain_records.h"

#include "directory/dkim_key.h"

enum { REVERSE_MAX = 8 }; /* whoever sends from more has a look-up of its own for them */

struct list {
    struct arena *arena;
    struct domain_record *records;
    size_t count;
    bool is_good;
};

static struct domain_record *add(struct list *list, const char *purpose,
                                 enum domain_record_type type, bool is_required)
{
    static struct domain_record unused;

    if (list->count == DOMAIN_RECORDS_MAX)
        list->is_good = false;
    struct domain_record *record = list->is_good ? &list->records[list->count++] : &unused;

    *record = (struct domain_record){.purpose = purpose, .type = type, .is_required = is_required};
    return record;
}

static void add_keys(struct list *list, const struct domain_row *domain)
{
    for (size_t i = 0; i < domain->key_count; i++) {
        const struct domain_key_row *key = &domain->keys[i];

        if (key->state == DKIM_KEY_RETIRED)
            continue;
        struct domain_record *record = add(list, "dkim", RECORD_TXT, true);
        record->state = key->state;
        list->is_good &=
            arena_printf(list->arena, &record->name, "%.*s._domainkey.%.*s",
                         BYTES_ARG(key->selector), BYTES_ARG(domain->name)) &&
            arena_printf(list->arena, &record->value, "v=DKIM1; k=%s; p=%.*s",
                         signature_key_type(key->algorithm), BYTES_ARG(key->public_key));
    }
}

/* The addresses that we send from, or else the host's own, which may change without us. */
static void add_spf(struct list *list, const struct domain_row *domain,
                    const struct domain_hosts *hosts)
{
    struct domain_record *record = add(list, "spf", RECORD_TXT, true);
    struct bytes terms = BYTES("");

    record->name = domain->name;
    for (size_t i = 0; i < hosts->address_count; i++) {
        struct bytes address = hosts->addresses[i];
        bool is_v6 = bytes_find(address, ':', 0) < address.len;

        list->is_good &= arena_printf(list->arena, &terms, "%.*s %s:%.*s", BYTES_ARG(terms),
                                      is_v6 ? "ip6" : "ip4", BYTES_ARG(address));
    }
    if (hosts->address_count == 0)
        list->is_good &= arena_printf(list->arena, &terms, " a:%.*s", BYTES_ARG(hosts->hostname));
    list->is_good &= arena_printf(list->arena, &record->value, "v=spf1%.*s ~all", BYTES_ARG(terms));
}

static void add_text(struct list *list, const char *purpose, const char *label,
                     const struct domain_row *domain, struct bytes value)
{
    struct domain_record *record = add(list, purpose, RECORD_TXT, false);

    record->value = value;
    list->is_good &=
        arena_printf(list->arena, &record->name, "%s.%.*s", label, BYTES_ARG(domain->name));
}

static void add_host(struct list *list, const char *purpose, enum domain_record_type type,
                     const char *label, const struct domain_row *domain, struct bytes hostname)
{
    struct domain_record *record = add(list, purpose, type, type == RECORD_MX);

    record->value = hostname;
    record->name = domain->name;
    if (label[0] != '\0')
        list->is_good &=
            arena_printf(list->arena, &record->name, "%s.%.*s", label, BYTES_ARG(domain->name));
}

static void add_hosted(struct list *list, const struct domain_row *domain,
                       const struct domain_hosts *hosts)
{
    struct bytes sts, tls;

    add_host(list, "mx", RECORD_MX, "", domain, hosts->hostname);
    /* The id only has to change with the policy (RFC 8461 section 3.1). */
    list->is_good &=
        arena_printf(list->arena, &sts, "v=STSv1; id=%lld", (long long)domain->created_s) &&
        arena_printf(list->arena, &tls, "v=TLSRPTv1; rua=mailto:postmaster@%.*s",
                     BYTES_ARG(domain->name));
    if (!list->is_good)
        return;
    add_text(list, "mta-sts", "_mta-sts", domain, sts);
    add_host(list, "mta-sts", RECORD_CNAME, "mta-sts", domain, hosts->hostname);
    add_text(list, "tls-rpt", "_smtp._tls", domain, tls);
    for (size_t i = 0; i < MIN(hosts->reverse_count, (size_t)REVERSE_MAX); i++) {
        struct domain_record *record = add(list, "ptr", RECORD_PTR, false);

        record->name = hosts->reverse[i];
        record->value = hosts->hostname;
    }
}

size_t domain_records(const struct domain_row *domain, const struct domain_hosts *hosts,
                      struct arena *arena, struct domain_record out[static DOMAIN_RECORDS_MAX])
{
    struct list list = {arena, out, 0, true};

    add_keys(&list, domain);
    add_spf(&list, domain, hosts);
    add_text(&list, "dmarc", "_dmarc", domain, BYTES("v=DMARC1; p=none"));
    add_host(&list, "return-path", RECORD_CNAME, "bounces", domain, hosts->hostname);
    if (domain->is_hosted)
        add_hosted(&list, domain, hosts);
    return list.is_good ? list.count : 0;
}

const char *domain_record_type_name(enum domain_record_type type)
{
    static const char *const names[] = {"TXT", "CNAME", "MX", "PTR"};

    return names[type];
}

const char *domain_record_finding_name(enum domain_record_finding value)
{
    static const char *const names[] = {"right", "wrong", "missing"};

    return names[value];
}

/* --- what is there ---------------------------------------------------------------------------- */

/* The tag that begins a text and says of what kind it is: "v=spf1", "v=DMARC1". */
static struct bytes kind_of(struct bytes value)
{
    size_t end = 0;

    while (end < value.len && value.ptr[end] != ';' && value.ptr[end] != ' ')
        end++;
    return bytes_slice(value, 0, end);
}

static bool is_of_kind(struct bytes text, struct bytes kind)
{
    return bytes_starts_nocase(text, kind) &&
           (text.len == kind.len || text.ptr[kind.len] == ';' || text.ptr[kind.len] == ' ');
}

/* The value of a tag of a tag=value list (RFC 6376 section 3.2), white space at its ends cut. */
static struct bytes tag_value(struct bytes list, const char *name)
{
    while (list.len > 0) {
        struct bytes tag = bytes_slice(list, 0, bytes_find(list, ';', 0));
        struct bytes key;

        list = bytes_slice(list, tag.len + 1, list.len);
        if (bytes_take_until(&tag, '=', &key) && bytes_equal(bytes_trim(key), bytes_of(name)))
            return bytes_trim(tag);
    }
    return BYTES_NONE;
}

/* Keys are written with spaces where a line ended. */
static bool is_same_key(struct bytes a, struct bytes b)
{
    size_t i = 0, k = 0;

    for (;;) {
        while (i < a.len && (a.ptr[i] == ' ' || a.ptr[i] == '\t'))
            i++;
        while (k < b.len && (b.ptr[k] == ' ' || b.ptr[k] == '\t'))
            k++;
        if (i == a.len || k == b.len)
            return i == a.len && k == b.len;
        if (a.ptr[i++] != b.ptr[k++])
            return false;
    }
}

static enum domain_record_finding judge_key(const struct domain_record *record, size_t count,
                                            const struct bytes *found, struct bytes *shown_out)
{
    struct bytes wanted = tag_value(record->value, "p");

    for (size_t i = 0; i < count; i++) {
        *shown_out = found[i];
        /* One key a name: with several the receiver may take any (RFC 6376 section 3.6.2.2). */
        if (count == 1 && is_same_key(tag_value(found[i], "p"), wanted))
            return RECORD_RIGHT;
    }
    return count == 0 ? RECORD_MISSING : RECORD_WRONG;
}

static bool has_term(struct bytes record, struct bytes term)
{
    while (record.len > 0) {
        struct bytes part = bytes_slice(record, 0, bytes_find(record, ' ', 0));

        record = bytes_slice(record, part.len + 1, record.len);
        if (bytes_equal_nocase(part, term) ||
            (part.len > 0 && part.ptr[0] == '+' &&
             bytes_equal_nocase(bytes_slice(part, 1, part.len), term)))
            return true;
    }
    return false;
}

/* Each of our terms but the version and what holds for all others. */
static bool has_our_terms(struct bytes record, struct bytes wanted)
{
    while (wanted.len > 0) {
        struct bytes part = bytes_slice(wanted, 0, bytes_find(wanted, ' ', 0));

        wanted = bytes_slice(wanted, part.len + 1, wanted.len);
        if (bytes_find(part, ':', 0) < part.len && !has_term(record, part))
            return false;
    }
    return true;
}

static enum domain_record_finding judge_text(const struct domain_record *record, size_t count,
                                             const struct bytes *found, struct bytes *shown_out)
{
    struct bytes kind = kind_of(record->value);
    size_t of_kind = 0;

    for (size_t i = 0; i < count; i++) {
        if (!is_of_kind(found[i], kind))
            continue;
        of_kind++;
        *shown_out = found[i];
    }
    if (of_kind == 0)
        return RECORD_MISSING;
    bool is_good =
        bytes_equal_nocase(kind, BYTES("v=spf1")) ? has_our_terms(*shown_out, record->value) : true;
    return of_kind == 1 && is_good ? RECORD_RIGHT : RECORD_WRONG;
}

enum domain_record_finding domain_record_judge(const struct domain_record *record,
                                               size_t found_count, const struct bytes *found,
                                               struct bytes *shown_out)
{
    *shown_out = BYTES("");
    if (record->type == RECORD_TXT)
        return bytes_equal(bytes_of(record->purpose), BYTES("dkim"))
                   ? judge_key(record, found_count, found, shown_out)
                   : judge_text(record, found_count, found, shown_out);
    for (size_t i = 0; i < found_count; i++) {
        *shown_out = found[i];
        if (bytes_equal_nocase(found[i], record->value))
            return RECORD_RIGHT;
    }
    if (found_count > 0 && !bytes_equal_nocase(found[0], record->name))
        return RECORD_WRONG;
    *shown_out = BYTES(""); /* the name itself: no CNAME leads from it */
    return RECORD_MISSING;
}
