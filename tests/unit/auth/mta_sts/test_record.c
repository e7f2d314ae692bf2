/* test_record.c - the TXT record of MTA-STS. */
#include "auth/mta_sts/record.h"

#include "support/unit.h"

TEST(parse_takes_the_id)
{
    static const struct {
        const char *text;
        const char *id; /* NULL: not valid */
    } rows[] = {
        {"v=STSv1; id=20160831085700Z;", "20160831085700Z"}, /* RFC 8461 section 3.1 */
        {"v=STSv1;id=1", "1"},
        {"v=STSv1; id=1 ; ", "1"},
        {"v=STSv1;\tid=1;ext.a-b_c=x,y:z", "1"},
        {"v=STSv1; a=b; id=1", "1"},
        {"v=STSv1; id=abcdefghijklmnopqrstuvwxyz012345", "abcdefghijklmnopqrstuvwxyz012345"},
        {"v=STSv1; id=abcdefghijklmnopqrstuvwxyz0123456", NULL},
        {"v=STSv1; id=", NULL},
        {"v=STSv1; id=a-b", NULL},
        {"v=STSv1; id=1 2", NULL},
        {"v=STSv1; id=1; id=2", NULL},
        {"v=STSv1; ID=1", NULL},
        {"v=STSv1;", NULL},
        {"v=STSv1; id=1;; a=b", NULL},
        {"v=STSv1; id=1; junk", NULL},
        {"v=STSv1; id=1; =b", NULL},
        {"v=STSv1; id=1; -a=b", NULL},
        {"v=STSv1; id=1; a=b=c", NULL},
        {"v=STSv1; id=1; a=", NULL},
        {"v=STSv1 ; id=1", NULL}, /* does not begin as section 3.1 says */
        {"v=stsv1; id=1", NULL},
        {"v=STSv10; id=1", NULL},
        {" v=STSv1; id=1", NULL},
        {"", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bytes id = BYTES("unset");
        bool is_valid = mta_sts_record_parse(bytes_of(rows[i].text), &id);

        expect_row(i, is_valid == (rows[i].id != NULL));
        expect_row(i, bytes_equal(id, rows[i].id != NULL ? bytes_of(rows[i].id) : BYTES("unset")));
    }
}

TEST(is_one_looks_at_its_beginning_alone)
{
    assert_true(mta_sts_record_is_one(BYTES("v=STSv1;")));
    assert_true(mta_sts_record_is_one(BYTES("v=STSv1;rubbish")));
    assert_false(mta_sts_record_is_one(BYTES("v=STSv1")));
    assert_false(mta_sts_record_is_one(BYTES("v=STSv2; id=1")));
    assert_false(mta_sts_record_is_one(BYTES_NONE));
}
