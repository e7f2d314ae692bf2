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
    if (step == MAILBOX_BROKEN)
        authors->why = "From holds what is no address";
}

void authors_finish(struct authors *authors)
{
    if (authors->why != NULL) /* what was found before the broken part says nothing */
        authors->domain_count = 0;
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
