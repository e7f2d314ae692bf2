/* sieve_address.c - addresses, by the readers of smtp. */
#include "inbound/sieve/sieve_address.h"

#include "smtp/address.h"
#include "smtp/header_table.h"
#include "smtp/mailbox.h"

bool sieve_is_field_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!header_is_name_byte(name.ptr[i]))
            return false;
    return name.len > 0;
}

bool sieve_is_address_field(struct bytes name)
{
    static const char *const fields[] = {
        "From",
        "Sender",
        "Reply-To",
        "To",
        "Cc",
        "Bcc",
        "Resent-From",
        "Resent-To",
        "Resent-Cc",
        "Resent-Bcc",
        "Resent-Sender",
        "Resent-Reply-To",
        "Return-Path",
        "Delivered-To",
        "Envelope-To",
        "X-Original-To",
        "Errors-To",
        "Mail-Followup-To",
        "Mail-Reply-To",
        "Return-Receipt-To",
        "Disposition-Notification-To",
    };

    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (bytes_equal_nocase(bytes_of(fields[i]), name))
            return true;
    return false;
}

/* How many mailboxes; 0: it is no list of them. */
static size_t count_mailboxes(struct bytes text)
{
    struct mailbox_reader reader;
    struct mailbox mailbox;
    enum mailbox_step step;
    size_t count = 0;

    mailbox_reader_init(&reader, text);
    while ((step = mailbox_next(&reader, &mailbox)) == MAILBOX_FOUND)
        count++;
    return step == MAILBOX_END ? count : 0;
}

static bool is_one_line(struct bytes text)
{
    return bytes_find(text, '\r', 0) == text.len && bytes_find(text, '\n', 0) == text.len;
}

bool sieve_take_address(struct bytes text, struct bytes *address_out)
{
    struct smtp_address parsed;
    struct bytes address = bytes_trim(text);

    if (!is_one_line(address) || count_mailboxes(address) != 1)
        return false;
    if (address.ptr[address.len - 1] == '>') {
        size_t start = address.len;

        while (start > 0 && address.ptr[start - 1] != '<')
            start--;
        address = bytes_slice(address, start, address.len - start - 1);
    }
    if (!smtp_parse_address(address, &parsed) || parsed.domain.len == 0)
        return false;
    *address_out = address;
    return true;
}

bool sieve_is_mailbox_list(struct bytes text)
{
    return is_one_line(text) && count_mailboxes(text) > 0;
}
