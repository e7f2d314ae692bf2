/* report_dmarc.c - the XML of an aggregate report. */
#include <inttypes.h>
#include <string.h>

#include "event/json_text.h"
#include "reporting/dmarc_count.h"
#include "reporting/report_write.h"

enum { S_A_DAY = 86400 };

struct writer {
    struct buf *out;
    bool is_cut;
};

static void put(struct writer *w, const char *text)
{
    w->is_cut |= !buf_append(w->out, bytes_of(text));
}

/* Text with markup escaped; what XML may not hold at all is "?". */
static void put_text(struct writer *w, struct bytes text)
{
    while (text.len > 0) {
        size_t len = json_text_utf8_len(text);
        uint8_t c = text.ptr[0];

        if (len == 0 || (c < ' ' && c != '\t') || c == 127)
            put(w, "?");
        else if (c == '<')
            put(w, "&lt;");
        else if (c == '>')
            put(w, "&gt;");
        else if (c == '&')
            put(w, "&amp;");
        else
            w->is_cut |= !buf_append(w->out, bytes_slice(text, 0, len));
        text = bytes_slice(text, len > 0 ? len : 1, text.len);
    }
}

static void put_element(struct writer *w, const char *name, struct bytes text)
{
    w->is_cut |= !buf_printf(w->out, "<%s>", name);
    put_text(w, text);
    w->is_cut |= !buf_printf(w->out, "</%s>", name);
}

static void put_given(struct writer *w, const char *name, struct bytes text)
{
    if (text.len > 0)
        put_element(w, name, text);
}

/* --- the head --------------------------------------------------------------------------------- */

static void put_metadata(struct writer *w, const struct tally_report *report,
                         const struct report_author *author)
{
    int64_t begin_s = report->day * S_A_DAY;
    char id[REPORT_ID_MAX];

    report_id(author, report, id);
    put(w, "<report_metadata>");
    put_element(w, "org_name", bytes_of(author->organization));
    put_element(w, "email", bytes_of(author->email));
    if (author->contact != NULL)
        put_element(w, "extra_contact_info", bytes_of(author->contact));
    put_element(w, "report_id", bytes_of(id));
    w->is_cut |=
        !buf_printf(w->out,
                    "<date_range><begin>%" PRId64 "</begin><end>%" PRId64 "</end></date_range>",
                    begin_s, begin_s + S_A_DAY - 1);
    if (report->left_out > 0)
        w->is_cut |= !buf_printf(w->out,
                                 "<error>%" PRIu64 " messages are left out: there were more rows "
                                 "than are kept</error>",
                                 report->left_out);
    put(w, "<generator>ringpost " RINGPOST_VERSION "</generator></report_metadata>\n");
}

static void put_policy(struct writer *w, const struct tally_report *report)
{
    static const char *const words[] = {"p", "sp", "np"};
    bool is_testing = bytes_equal(dmarc_count_word(report->policy, "t"), BYTES("y"));

    put(w, "<policy_published>");
    put_element(w, "domain", report->domain);
    put(w, "<discovery_method>treewalk</discovery_method>");
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        put_given(w, words[i], dmarc_count_word(report->policy, words[i]));
    put_given(w, "adkim", dmarc_count_word(report->policy, "adkim"));
    put_given(w, "aspf", dmarc_count_word(report->policy, "aspf"));
    put_element(w, "testing", is_testing ? BYTES("y") : BYTES("n"));
    put(w, "</policy_published>\n");
}

/* --- rows ------------------------------------------------------------------------------------- */

static struct bytes item(const json_t *list, size_t at)
{
    const json_t *value = json_array_get(list, at);

    return json_is_string(value) ? bytes_range(json_string_value(value), json_string_length(value))
                                 : BYTES_NONE;
}

static void put_auth(struct writer *w, struct bytes text)
{
    json_t *auth = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    const json_t *dkim = json_object_get(auth, "dkim"), *spf = json_object_get(auth, "spf");

    put(w, "<auth_results>");
    for (size_t i = 0; i < json_array_size(dkim); i++) {
        const json_t *one = json_array_get(dkim, i);

        put(w, "<dkim>");
        put_element(w, "domain", item(one, 0));
        put_element(w, "selector", item(one, 1));
        put_element(w, "result", item(one, 2));
        put(w, "</dkim>");
    }
    put(w, "<spf>");
    put_element(w, "domain", item(spf, 0));
    put(w, "<scope>mfrom</scope>");
    put_element(w, "result", item(spf, 1));
    put(w, "</spf></auth_results>");
    json_decref(auth);
}

static void put_reason(struct writer *w, struct bytes reason)
{
    struct bytes type;

    if (reason.len == 0)
        return;
    if (!bytes_take_until(&reason, ' ', &type)) {
        type = reason;
        reason = BYTES_NONE;
    }
    put(w, "<reason>");
    put_element(w, "type", type);
    put_given(w, "comment", reason);
    put(w, "</reason>");
}

static void put_row(void *context, const struct tally_row *row)
{
    struct writer *w = context;
    const struct bytes *columns = row->columns;

    put(w, "<record><row>");
    put_element(w, "source_ip", columns[DMARC_SOURCE_IP]);
    w->is_cut |= !buf_printf(w->out, "<count>%" PRIu64 "</count><policy_evaluated>", row->count);
    put_element(w, "disposition", columns[DMARC_DISPOSITION]);
    put_element(w, "dkim", columns[DMARC_DKIM]);
    put_element(w, "spf", columns[DMARC_SPF]);
    put_reason(w, columns[DMARC_REASON]);
    put(w, "</policy_evaluated></row><identifiers>");
    put_element(w, "header_from", columns[DMARC_HEADER_FROM]);
    put_element(w, "envelope_from", columns[DMARC_ENVELOPE_FROM]);
    put(w, "</identifiers>");
    put_auth(w, columns[DMARC_AUTH]);
    put(w, "</record>\n");
}

bool report_write_dmarc(struct tally *tally, const struct tally_report *report,
                        const struct report_author *author, struct buf *out)
{
    struct writer w = {.out = out};

    put(&w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\"><version>1.0</version>\n");
    put_metadata(&w, report, author);
    put_policy(&w, report);
    bool is_read = tally_rows(tally, report, put_row, &w);

    put(&w, "</feedback>\n");
    return is_read && !w.is_cut;
}
