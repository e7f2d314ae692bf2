/* test_message_table.c - where a UID is, whatever is missing. */
#include "inbound/mailbox/message_table.h"

#include <stdio.h>

#include "base/random.h"
#include "support/unit.h"

static size_t place_by_walking(const struct message_table *table, uint32_t uid)
{
    size_t place = 0;

    while (place < table->count && table->of[place].uid < uid)
        place++;
    return place;
}

static void add(struct message_table *table, uint32_t uid)
{
    struct message message = {.uid = uid};
    char base[16];

    snprintf(base, sizeof(base), "%u.x", uid);
    messages_add(table, &message, bytes_of(base));
}

TEST(place_of_a_uid_is_that_of_the_first_at_least_as_high)
{
    enum { COUNT = 200 };

    random_seed(1);
    for (unsigned gap_max = 1; gap_max <= 100; gap_max *= 10)
        for (size_t count = 0; count < COUNT; count += 1 + count / 3) {
            struct message_table table = {0};
            uint32_t uid = 0;

            for (size_t i = 0; i < count; i++) {
                uid += 1 + (uint32_t)random_below(gap_max);
                add(&table, uid);
            }
            for (uint32_t asked = 0; asked <= uid + 2; asked++)
                assert_int_equal(messages_place(&table, asked), place_by_walking(&table, asked));
            messages_clear(&table);
        }
}

TEST(place_of_a_uid_is_found_at_both_ends_of_all_numbers)
{
    static const uint32_t uids[] = {1, 2, UINT32_MAX - 1, UINT32_MAX};
    struct message_table table = {0};

    for (size_t i = 0; i < ARRAY_LEN(uids); i++)
        add(&table, uids[i]);
    for (size_t i = 0; i < ARRAY_LEN(uids); i++)
        assert_int_equal(messages_place(&table, uids[i]), i);
    assert_int_equal(messages_place(&table, 3), 2);
    messages_clear(&table);
}
