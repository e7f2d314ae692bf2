/* test_report_write.c - the texts of reports: what strangers wrote is escaped, what is too long is
 * no report, what is packed unpacks. Elements and members: tests/system/test_reports.py. */
#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event/json_text.h"
#include "reporting/dmarc_count.h"
#include "reporting/report_write.h"
#include "reporting/tls_count.h"
#include "support/unit.h"

enum { DAY = 20785 };

static const struct report_author author = {"A&B <x>", "r@us.example", NULL, "mx.us.example"};
static char directory[64];

static struct tally *open_tally(void)
{
    char why[TALLY_WHY_MAX];

    snprintf(directory, sizeof(directory), "/tmp/report-write-XXXXXX");
    assert_non_null(mkdtemp(directory));
    struct tally *tally = tally_open(directory, false, why);

    assert_non_null(tally);
    return tally;
}

static void remove_tally(struct tally *tally)
{
    char path[96];

    tally_close(&tally);
    snprintf(path, sizeof(path), "%s/reports.db", directory);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0);
}

static const struct tally_report dmarc = {.kind = TALLY_DMARC,
                                          .day = DAY,
                                          .domain = BYTES("a.example"),
                                          .left_out = 3};
static const struct tally_report tls = {.kind = TALLY_TLS,
                                        .day = DAY,
                                        .domain = BYTES("a.example")};

static bool holds(const struct buf *out, const char *text)
{
    struct bytes all = buf_bytes(out);

    return bytes_find_bytes(all, bytes_of(text), 0) < all.len;
}

static void add_message(struct tally *tally, struct bytes envelope_from)
{
    const struct tally_row row = {
        .columns = {BYTES("192.0.2.1"), BYTES("reject"), BYTES("fail"), BYTES("fail"),
                    BYTES("local_policy a<b"), BYTES("a.example"), envelope_from,
                    BYTES("{\"dkim\":[[\"d.example\",\"s\",\"fail\"]],"
                          "\"spf\":[\"e.example\",\"none\"]}")},
        .count = 2,
    };

    assert_true(tally_add(tally, TALLY_DMARC, DAY, dmarc.domain, BYTES_NONE, &row));
}

TEST(aggregate_report_escapes_what_strangers_wrote)
{
    struct tally *tally = open_tally();
    struct buf out;

    buf_init(&out, REPORT_TEXT_MAX);
    add_message(tally, BYTES("</identifiers>&\x01\xff]]>\xc3\xa4"));
    assert_true(report_write_dmarc(tally, &dmarc, &author, &out));
    assert_true(holds(&out, "<org_name>A&amp;B &lt;x&gt;</org_name>"));
    assert_true(holds(&out, "<envelope_from>&lt;/identifiers&gt;&amp;??]]&gt;\xc3\xa4<"));
    assert_true(holds(&out, "<type>local_policy</type><comment>a&lt;b</comment>"));
    assert_true(holds(&out, "<dkim><domain>d.example</domain><selector>s</selector><result>fail<"));
    assert_true(holds(&out, "<error>3 messages are left out"));
    assert_true(holds(&out, "<begin>1795824000</begin><end>1795910399</end>"));
    buf_free(&out);
    remove_tally(tally);
}

TEST(report_that_is_too_long_is_none)
{
    struct tally *tally = open_tally();
    struct buf out;

    buf_init(&out, 900);
    add_message(tally, BYTES("b.example"));
    add_message(tally, BYTES("c.example"));
    assert_false(report_write_dmarc(tally, &dmarc, &author, &out));
    buf_free(&out);
    remove_tally(tally);
}

static void add_session(struct tally *tally, const char *type, const char *result, uint64_t count)
{
    const struct tally_row row = {
        .columns = {bytes_of(type), BYTES("a.example"), bytes_of(result), BYTES("192.0.2.9"),
                    BYTES("mx.a.example"), BYTES("192.0.2.1"), BYTES("\xff\"why\"")},
        .count = count,
    };

    assert_true(tally_add(tally, TALLY_TLS, DAY, tls.domain, BYTES_NONE, &row));
}

static void describe(void *context, struct bytes domain, const char *type,
                     struct bytes policy_domain, json_t *policy)
{
    unsigned *count = context;

    assert_true(bytes_equal(domain, BYTES("a.example")));
    assert_true(bytes_equal(policy_domain, BYTES("a.example")));
    assert_string_equal(type, json_string_value(json_object_get(policy, "policy-type")));
    ++*count;
}

TEST(tls_report_sums_sessions_by_policy)
{
    struct tally *tally = open_tally();
    unsigned described = 0;
    const struct report_describe told = {&described, describe};
    struct buf out;

    buf_init(&out, REPORT_TEXT_MAX);
    add_session(tally, "sts", "success", 50);
    add_session(tally, "sts", "certificate-expired", 3);
    add_session(tally, "sts", "starttls-not-supported", 4);
    add_session(tally, "no-policy-found", "success", 1);
    assert_true(report_write_tls(tally, &tls, &author, &told, &out));
    assert_int_equal(described, 2);
    json_t *report = json_loadb((const char *)buf_bytes(&out).ptr, buf_len(&out), 0, NULL);
    const json_t *policies = json_object_get(report, "policies");
    const json_t *first = json_array_get(policies, 0), *summary = json_object_get(first, "summary");

    assert_int_equal(json_array_size(policies), 2);
    assert_int_equal(json_integer_value(json_object_get(summary, "total-successful-session-count")),
                     50);
    assert_int_equal(json_integer_value(json_object_get(summary, "total-failure-session-count")),
                     7);
    assert_int_equal(json_array_size(json_object_get(first, "failure-details")), 2);
    assert_true(holds(&out, "\"failure-reason-code\":\"\xef\xbf\xbd\\\"why\\\"\""));
    assert_true(holds(&out, "\"contact-info\":\"r@us.example\""));
    json_decref(report);
    buf_free(&out);
    remove_tally(tally);
}

static void check_unpacks(struct bytes packed, struct bytes text)
{
    struct archive *archive = archive_read_new();
    struct archive_entry *entry;
    char *room = malloc(text.len + 1);

    assert_non_null(room);
    assert_int_equal(archive_read_support_filter_gzip(archive), ARCHIVE_OK);
    assert_int_equal(archive_read_support_format_raw(archive), ARCHIVE_OK);
    assert_int_equal(archive_read_open_memory(archive, packed.ptr, packed.len), ARCHIVE_OK);
    assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
    assert_int_equal(archive_read_data(archive, room, text.len + 1), text.len);
    assert_memory_equal(room, text.ptr, text.len);
    archive_read_free(archive);
    free(room);
}

TEST(report_unpacks_to_what_was_packed)
{
    static uint8_t noise[100000]; /* which does not shrink */
    uint64_t seed = 1;
    struct buf out;

    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)((seed = seed * 6364136223846793005u + 1) >> 40);
    for (size_t len = 1; len <= sizeof(noise); len = len * 10) {
        buf_init(&out, REPORT_PACKED_MAX);
        assert_true(report_pack(bytes_range(noise, len), &out));
        assert_int_equal(buf_bytes(&out).ptr[0], 0x1f);
        check_unpacks(buf_bytes(&out), bytes_range(noise, len));
        buf_free(&out);
    }
    buf_init(&out, 1000);
    assert_false(report_pack(bytes_range(noise, sizeof(noise)), &out));
    assert_int_equal(buf_len(&out), 0);
    buf_free(&out);
}

TEST(report_mail_has_lines_of_mail)
{
    static const struct tally_report *const reports[] = {&dmarc, &tls};
    static uint8_t packed[5000];

    for (size_t i = 0; i < ARRAY_LEN(reports); i++) {
        struct buf out;
        struct bytes rest, line;

        buf_init(&out, REPORT_MAIL_MAX);
        assert_true(report_write_mail(reports[i], &author, "x@a.example",
                                      bytes_range(packed, sizeof(packed)), 0, &out));
        assert_true(holds(&out, "To: x@a.example\r\n"));
        assert_true(holds(&out, "TLS-Required: No\r\n") == (reports[i]->kind == TALLY_TLS));
        rest = buf_bytes(&out);
        while (bytes_take_until(&rest, '\n', &line)) {
            expect_row(i, line.len > 0 && line.len <= 999 && line.ptr[line.len - 1] == '\r');
            expect_row(i, bytes_find(bytes_slice(line, 0, line.len - 1), '\r', 0) == line.len - 1);
        }
        assert_int_equal(rest.len, 0);
        buf_free(&out);
    }
}
