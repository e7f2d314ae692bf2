/* modules: dmarc base */
/*
 * fuzz_dmarc.c - any From, any answers: lines, the first a From field, the second identifiers that
 * are parted by spaces, each further one an answer. An answer begins with "f" (failed), "n" (no
 * such name) or "-" (no data); else it is one text, or several with "|" between them.
 */
#include <stdint.h>

#include "auth/dmarc/dmarc.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

enum { TEXTS_MAX = 4, IDENTIFIERS = 20 };

static struct bytes take_part(struct bytes *input, uint8_t separator)
{
    struct bytes part;

    if (!bytes_take_until(input, separator, &part)) {
        part = *input;
        *input = BYTES_NONE;
    }
    return part;
}

static void give_answer(struct dmarc *dmarc, struct bytes *input)
{
    struct lookup_record records[TEXTS_MAX];
    struct lookup_answer answer = {.result = LOOKUP_FOUND, .records = records};
    struct bytes line = take_part(input, '\n');

    if (line.len == 0 || line.ptr[0] == 'n')
        answer.result = LOOKUP_NO_NAME;
    else if (line.ptr[0] == '-')
        answer.result = LOOKUP_NO_DATA;
    else if (line.ptr[0] == 'f')
        answer.result = LOOKUP_FAILED;
    else
        do
            records[answer.count++] = (struct lookup_record){take_part(&line, '|'), 0};
        while (line.len > 0 && answer.count < TEXTS_MAX);
    dmarc_answer(dmarc, &answer);
}

static unsigned run(struct dmarc *dmarc, struct bytes *input)
{
    struct lookup lookup;
    unsigned asked = 0;

    while (dmarc_run(dmarc, &lookup) == CHECK_ASKS) {
        check(lookup.name.len > 0 && lookup.name.len <= DMARC_QUESTION_MAX);
        asked++;
        give_answer(dmarc, input);
    }
    return asked;
}

static void check_verdict(const struct dmarc *dmarc, const struct authors *authors,
                          const struct dmarc_identifier *identifiers, size_t count)
{
    bool is_aligned = false;

    for (size_t i = 0; i < count; i++)
        is_aligned |= identifiers[i].is_aligned && !identifiers[i].is_temporary;
    check(dmarc->why != NULL);
    check((dmarc->result == DMARC_PASS) == is_aligned);
    check(!is_aligned || authors->why == NULL);
    check(dmarc->result != DMARC_NONE || !dmarc->has_policy);
    check(dmarc->result == DMARC_FAIL || dmarc->disposition == DMARC_POLICY_NONE);
    check(dmarc->disposition <= dmarc->policy);
    check(!dmarc->has_policy || dmarc->record.has_policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct dmarc_identifier identifiers[IDENTIFIERS];
    struct bytes rest = bytes_range(input, len);
    struct bytes from = take_part(&rest, '\n');
    struct bytes named = take_part(&rest, '\n');
    struct dmarc_record record;
    struct authors authors;
    struct dmarc dmarc;
    size_t count = 0;

    if (dmarc_record_parse(rest, &record))
        check(record.has_policy || record.p == DMARC_POLICY_NONE);
    authors_init(&authors);
    do
        authors_add(&authors, take_part(&from, '\t'));
    while (from.len > 0);
    authors_finish(&authors);
    dmarc_start(&dmarc, &authors);
    check(run(&dmarc, &rest) <= AUTHOR_DOMAINS_MAX * (WALK_MAX + 1));
    for (; named.len > 0 && count < IDENTIFIERS; count++)
        identifiers[count] = (struct dmarc_identifier){
            .is_dkim = count & 1,
            .is_temporary = count % 3 == 2,
            .domain = take_part(&named, ' '),
        };
    dmarc_judge(&dmarc, identifiers, count);
    check(run(&dmarc, &rest) <= WALK_MAX * (DMARC_IDENTIFIERS_MAX + 1));
    check_verdict(&dmarc, &authors, identifiers, count);
    return 0;
}
