/* sieve_value.c - from bytes of a header to what tests compare. */
#include "inbound/sieve/sieve_value.h"

#include "smtp/encoded_word.h"
#include "smtp/mailbox.h"

/* --- fields ----------------------------------------------------------------------------------- */

/* RFC 5322 section 2.2.3: the line ends go, the white space behind them stays. */
bool sieve_unfold(struct bytes value, struct buf *out)
{
    bool ok = true;

    for (size_t at = 0; ok && at < value.len;) {
        size_t end = bytes_find_bytes(value, BYTES("\r\n"), at);

        ok = buf_append(out, bytes_slice(value, at, end - at));
        at = end + 2;
    }
    return ok;
}

bool sieve_field_values(const struct mail_header *header, struct bytes name, struct buf *scratch,
                        sieve_value_test *test, void *context)
{
    struct buf unfolded;
    bool is_true = false;

    buf_init(&unfolded, MAIL_HEADER_SIZE_MAX * 4);
    for (size_t i = 0; i < header->count && !is_true; i++) {
        const struct mail_field *field = &header->fields[i];

        if (!bytes_equal_nocase(field->name, name))
            continue;
        buf_clear(&unfolded);
        buf_clear(scratch);
        /* What has no room is longer than any header that is kept: its beginning counts. */
        (void)!sieve_unfold(field->value, &unfolded);
        (void)!encoded_words_read(bytes_trim(buf_bytes(&unfolded)), scratch);
        is_true = test(context, buf_bytes(scratch)); /* a space that is encoded is meant */
    }
    buf_free(&unfolded);
    return is_true;
}

/* --- addresses -------------------------------------------------------------------------------- */

/* Quoted only where it has to be (RFC 5322 section 3.4.1), however it was written. */
static bool put_local(struct bytes local, struct buf *out)
{
    bool is_dot_atom = local.len > 0 && local.ptr[0] != '.' && local.ptr[local.len - 1] != '.' &&
                       bytes_find_bytes(local, BYTES(".."), 0) == local.len;
    bool ok = true;

    for (size_t i = 0; i < local.len && is_dot_atom; i++)
        is_dot_atom = local.ptr[i] > ' ' && local.ptr[i] != 127 &&
                      bytes_find(BYTES("()<>[]:;@\\,\""), local.ptr[i], 0) == 12;
    if (is_dot_atom)
        return buf_append(out, local);
    ok = buf_append_byte(out, '"');
    for (size_t i = 0; i < local.len && ok; i++)
        ok = ((local.ptr[i] != '"' && local.ptr[i] != '\\') || buf_append_byte(out, '\\')) &&
             buf_append_byte(out, local.ptr[i]);
    return ok && buf_append_byte(out, '"');
}

/* False: it has no such part. */
static bool part_of(const struct mailbox *mailbox, enum sieve_part part, struct buf *scratch,
                    struct bytes *out)
{
    struct bytes local = mailbox_local(mailbox), domain = mailbox_domain(mailbox);
    size_t plus = bytes_find(local, '+', 0);

    switch (part) {
    case SIEVE_ALL:
        buf_clear(scratch);
        if (!put_local(local, scratch) || !buf_append_byte(scratch, '@') ||
            !buf_append(scratch, domain))
            return false;
        *out = buf_bytes(scratch);
        return true;
    case SIEVE_LOCALPART:
        *out = local;
        return true;
    case SIEVE_DOMAIN:
        *out = domain;
        return true;
    case SIEVE_USER: /* the directory parts at the first "+" as well */
        *out = bytes_slice(local, 0, plus);
        return true;
    case SIEVE_DETAIL:
        *out = bytes_slice(local, plus + 1, local.len);
        return plus < local.len;
    }
    return false;
}

static bool list_is_whole(struct bytes value)
{
    struct mailbox_reader reader;
    struct mailbox mailbox;
    enum mailbox_step step;

    mailbox_reader_init(&reader, value);
    while ((step = mailbox_next(&reader, &mailbox)) == MAILBOX_FOUND)
        ;
    return step == MAILBOX_END;
}

static bool test_list(struct bytes value, enum sieve_part part, struct buf *scratch,
                      sieve_value_test *test, void *context)
{
    struct mailbox_reader reader;
    struct mailbox mailbox;
    struct bytes text;

    if (!list_is_whole(value)) {
        buf_clear(scratch);
        (void)!sieve_unfold(value, scratch);
        return part == SIEVE_ALL && test(context, bytes_trim(buf_bytes(scratch)));
    }
    mailbox_reader_init(&reader, value);
    while (mailbox_next(&reader, &mailbox) == MAILBOX_FOUND)
        if (part_of(&mailbox, part, scratch, &text) && test(context, text))
            return true;
    return false;
}

bool sieve_field_addresses(const struct mail_header *header, struct bytes name,
                           enum sieve_part part, struct buf *scratch, sieve_value_test *test,
                           void *context)
{
    for (size_t i = 0; i < header->count; i++)
        if (bytes_equal_nocase(header->fields[i].name, name) &&
            test_list(header->fields[i].value, part, scratch, test, context))
            return true;
    return false;
}

bool sieve_path_value(struct bytes path, enum sieve_part part, struct buf *scratch,
                      sieve_value_test *test, void *context)
{
    if (path.len == 0)
        return test(context, path);
    return test_list(path, part, scratch, test, context);
}
