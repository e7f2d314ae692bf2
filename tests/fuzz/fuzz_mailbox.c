/* modules: smtp base */
/* fuzz_mailbox.c - any bytes as the value of an address field. */
#include <stdint.h>

#include "base/utf8.h"
#include "smtp/mailbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static void check_mailbox(const struct mailbox *mailbox, struct bytes value)
{
    struct bytes domain = mailbox_domain(mailbox);

    check(mailbox->local_len <= MAILBOX_LOCAL_MAX);
    check(domain.len > 0 && domain.len <= MAILBOX_DOMAIN_MAX);
    check(mailbox->display.len == 0 ||
          (mailbox->display.ptr >= value.ptr &&
           mailbox->display.ptr + mailbox->display.len <= value.ptr + value.len));
    if (domain.ptr[0] == '[') {
        check(domain.ptr[domain.len - 1] == ']');
        return;
    }
    check(domain.ptr[0] != '.' && domain.ptr[domain.len - 1] != '.');
    check(bytes_find_bytes(domain, BYTES(".."), 0) == domain.len);
    for (size_t i = 0; i < domain.len; i++)
        check(domain.ptr[i] > ' ' && domain.ptr[i] != '@' && domain.ptr[i] != '>');
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes value = bytes_range(input, len);
    struct mailbox_reader reader;
    struct mailbox mailbox;
    enum mailbox_step step;
    size_t left = SIZE_MAX;

    mailbox_reader_init(&reader, value);
    while ((step = mailbox_next(&reader, &mailbox)) == MAILBOX_FOUND) {
        check(reader.rest.len < left); /* an address takes bytes */
        left = reader.rest.len;
        check_mailbox(&mailbox, value);
    }
    check(step != MAILBOX_END || reader.rest.len == 0);
    check(mailbox_next(&reader, &mailbox) == MAILBOX_END);
    return 0;
}
