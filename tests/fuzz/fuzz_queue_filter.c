/* modules: program */
/*
 * fuzz_queue_filter.c - any request of an operator's for a part of the queue. Asking for exactly
 * what a recipient is must find it, whatever bytes that is; and an empty request finds everything.
 */
#include "queue/flow.h"
#include "relay/queue_filter.h"
#include "support/fuzz_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static const int64_t NOW_MS = 1795489800000;

static void check_text(const char *text, size_t size)
{
    struct bytes b = bytes_of(text);

    check(b.len < size);
    for (size_t i = 0; i < b.len; i++)
        check(b.ptr[i] == byte_lower(b.ptr[i]));
}

/* A recipient that is what the filter names. */
static void check_finds(const struct queue_filter *filter)
{
    bool is_null_sender = strcmp(filter->sender, "<>") == 0;
    struct recipient recipient = {.address = bytes_of(filter->recipient)};
    struct message message = {
        .reverse_path = is_null_sender ? BYTES_NONE : bytes_of(filter->sender),
        .recipient_count = 1,
        .recipients = &recipient,
    };
    struct domain domain = {.node.key = bytes_of(filter->domain), .own.is_own = true};
    struct stub *stub = calloc(1, sizeof(*stub) + sizeof(struct pending));

    check(stub != NULL);
    stub->id = filter->id;
    pending_place(stub, 0);
    stub->pendings[0].flow = &domain.own;
    if (domain.node.key.len > 0 && domain.node.key.ptr[0] == '*' && domain.node.key.len > 1)
        domain.node.key = bytes_slice(domain.node.key, 1, SIZE_MAX);
    /* "<>" is the null path, which no recipient has. */
    if (strcmp(filter->recipient, "<>") != 0)
        check(queue_filter_matches_envelope(filter, &message, 0));
    stub_set_accepted_ms(stub, NOW_MS - filter->older_than_s * 1000);
    check(queue_filter_matches_pending(filter, &stub->pendings[0]));
    stub_set_accepted_ms(stub, NOW_MS - filter->older_than_s * 1000 + 1000);
    check(queue_filter_matches_pending(filter, &stub->pendings[0]) == (filter->older_than_s == 0));
    stub->pendings[0].state = PENDING_FINAL;
    check(!queue_filter_matches_pending(filter, &stub->pendings[0]));
    free(stub);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct queue_filter filter;
    const char *why = NULL;
    json_t *request = json_loadb((const char *)input, len, JSON_REJECT_DUPLICATES, NULL);

    if (request == NULL)
        return 0;
    if (queue_filter_from_json(request, NOW_MS, &filter, &why)) {
        check(filter.id.value == 0 || message_id_is_valid(filter.id));
        check_text(filter.domain, sizeof(filter.domain));
        check_text(filter.sender, sizeof(filter.sender));
        check_text(filter.recipient, sizeof(filter.recipient));
        check(filter.older_than_s >= 0 && filter.older_than_s <= INT32_MAX);
        check(!queue_filter_is_empty(&filter) || !queue_filter_needs_envelope(&filter));
        check_finds(&filter);
    } else {
        check(why != NULL);
    }
    json_decref(request);
    return 0;
}
