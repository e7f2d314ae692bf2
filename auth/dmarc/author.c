/* author.c - who claims to have written a message. */
#include "auth/dmarc/author.h"

#include <string.h>

#include "smtp/address.h"
#include "smtp/mailbox.h"

void authors_init(struct authors *authors)
{
    *authors = (struct authors){0};
}

static bool from_utf8(struct bytes domain, struct author_domain *out)
{
    struct bytes normalised;
    struct arena arena;

    arena_init(&arena, SMTP_DOMAIN_MAX + 1);
    bool is_good = smtp_domain_normalise(&arena, domain, &normalised);

    if (is_good) {
        out->len = normalised.len;
        memcpy(out->text, normalised.ptr, normalised.len);
    }
    arena_free(&arena);
    return is_good;
}

bool author_domain_from(struct bytes domain, struct author_domain *out)
{
    if (domain.len == 0 || domain.len > AUTHOR_DOMAIN_MAX || domain.ptr[0] == '.' ||
        domain.ptr[0] == '[' || domain.ptr[domain.len - 1] == '.' ||
        bytes_find_bytes(domain, BYTES(".."), 0) < domain.len)
        return false;
    if (bytes_has_8bit(domain))
        return from_utf8(domain, out);
    for (size_t i = 0; i < domain.len; i++)
        out->text[i] = byte_lower(domain.ptr[i]);
    out->len = domain.len;
    return true;
}

static void add_domain(struct authors *authors, struct bytes domain)
{
    struct author_domain added;

    if (!author_domain_from(domain, &added)) {
        authors->has_other = true;
        return;
    }
    for (unsigned i = 0; i < MIN(authors->domain_count, (unsigned)AUTHOR_DOMAINS_MAX); i++)
        if (bytes_equal(author_domain(authors, i), bytes_range(added.text, added.len)))
            return;
    if (authors->domain_count < AUTHOR_DOMAINS_MAX)
        authors->domains[authors->domain_count] = added;
    authors->domain_count++;
}

static bool is_domain_byte(uint8_t c)
{
    return byte_is_alnum(c) || c == '-' || c == '_' || c == '.' || c > 127;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The domains that a reader may see in what is no list. */
static void add_seen(struct authors *authors, struct bytes value)
{
    for (size_t at; (at = bytes_find(value, '@', 0)) < value.len;) {
        size_t len = 0;

        value = bytes_slice(value, at + 1, value.len);
        while (value.len > 0 && is_space(value.ptr[0]))
            value = bytes_slice(value, 1, value.len);
        while (len < value.len && is_domain_byte(value.ptr[len]))
            len++;
        struct bytes domain = bytes_slice(value, 0, len);

        while (domain.len > 0 && domain.ptr[domain.len - 1] == '.')
            domain.len--;
        authors->addresses++;
        add_domain(authors, domain);
        value = bytes_slice(value, len, value.len);
    }
}

void authors_add(struct authors *authors, struct bytes value)
{
    struct mailbox_reader reader;
    struct mailbox mailbox;
    enum mailbox_step step;

    authors->fields++;
    mailbox_reader_init(&reader, value);
    while ((step = mailbox_next(&reader, &mailbox)) == MAILBOX_FOUND) {
        authors->addresses++;
        add_domain(authors, mailbox_domain(&mailbox));
    }
    if (step != MAILBOX_BROKEN)
        return;
    authors->is_broken = true;
    add_seen(authors, value);
}

void authors_finish(struct authors *authors)
{
    if (authors->is_broken && authors->domain_count == 0)
        authors->why = "From holds what is no address";
    else if (authors->fields == 0)
        authors->why = "there is no From field";
    else if (authors->fields > 1)
        authors->why = "there are several From fields";
    else if (authors->addresses == 0)
        authors->why = "From has no address";
    else if (authors->domain_count == 0)
        authors->why = "From has no domain";
    else if (authors->domain_count > 1 || authors->has_other)
        authors->why = "From has addresses of several domains";
}
