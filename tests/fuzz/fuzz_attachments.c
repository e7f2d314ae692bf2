/* modules: receive */
/* fuzz_attachments.c - any bytes as a message: what is found does not depend on how it comes. */
#include <stdint.h>
#include <string.h>

#include "inbound/receive/attachments.h"
#include "inbound/receive/decision.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static const struct attachment_rule list[] = {{"*.exe", DECISION_REFUSE},
                                              {"*.zip", DECISION_TAG},
                                              {"application/*", DECISION_TAG},
                                              {"archive/*", DECISION_TAG}};
static const struct attachment_rules rules = {.count = ARRAY_LEN(list),
                                              .rules = list,
                                              .size_max = 200,
                                              .members_max = 20};

static struct attachment_found look(struct bytes rest, size_t step)
{
    struct attachments *a = attachments_open();

    check(a != NULL);
    for (; rest.len > 0; rest = bytes_slice(rest, MIN(step, rest.len), rest.len))
        attachments_feed(a, &rules, bytes_slice(rest, 0, step));
    struct attachment_found found = *attachments_end(a, &rules);

    check(attachments_memory(a) < 1 << 20);
    attachments_free(&a);
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct attachment_found whole = look(bytes_range(input, len), len + 1);
    struct attachment_found pieces = look(bytes_range(input, len), 1 + len % 13);

    check(whole.is_found == pieces.is_found && whole.refuses == pieces.refuses);
    check(strcmp(whole.name, pieces.name) == 0 && strcmp(whole.pattern, pieces.pattern) == 0);
    for (const char *c = whole.name; *c != '\0'; c++)
        check(*c > ' ' && *c < 127);
    return 0;
}
