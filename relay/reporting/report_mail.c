/* report_mail.c - names of reports, their packing, and the mail that brings one. */
#include <archive.h>
#include <archive_entry.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "reporting/report_write.h"

enum { S_A_DAY = 86400, LINE_LEN = 76 };

void report_id(const struct report_author *author, const struct tally_report *report,
               char out[static REPORT_ID_MAX])
{
    char day[TALLY_DAY_TEXT_MAX];

    tally_day_format(report->day, day);
    snprintf(out, REPORT_ID_MAX, "%s.%s.%.*s@%.100s", tally_kind_name(report->kind), day,
             (int)MIN(report->domain.len, (size_t)TALLY_DOMAIN_MAX),
             (const char *)report->domain.ptr, author->hostname);
}

void report_file_name(const struct report_author *author, const struct tally_report *report,
                      char out[static REPORT_NAME_MAX])
{
    int64_t begin_s = report->day * S_A_DAY;

    snprintf(out, REPORT_NAME_MAX, "%.253s!%.*s!%" PRId64 "!%" PRId64 ".%s.gz", author->hostname,
             (int)MIN(report->domain.len, (size_t)TALLY_DOMAIN_MAX),
             (const char *)report->domain.ptr, begin_s, begin_s + S_A_DAY - 1,
             report->kind == TALLY_DMARC ? "xml" : "json");
}

/* --- gzip ------------------------------------------------------------------------------------- */

static bool write_archive(struct archive *archive, struct bytes text, void *room, size_t size,
                          size_t *used)
{
    struct archive_entry *entry = archive_entry_new();
    bool is_good = entry != NULL;

    if (is_good) {
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_pathname(entry, "report");
        archive_entry_set_size(entry, (la_int64_t)text.len);
    }
    is_good = is_good && archive_write_add_filter_gzip(archive) == ARCHIVE_OK &&
              archive_write_set_format_raw(archive) == ARCHIVE_OK &&
              archive_write_set_bytes_per_block(archive, 0) == ARCHIVE_OK &&
              archive_write_open_memory(archive, room, size, used) == ARCHIVE_OK &&
              archive_write_header(archive, entry) == ARCHIVE_OK &&
              archive_write_data(archive, text.ptr, text.len) == (la_ssize_t)text.len &&
              archive_write_close(archive) == ARCHIVE_OK;
    archive_entry_free(entry);
    return is_good;
}

bool report_pack(struct bytes text, struct buf *out)
{
    size_t used = 0, size = text.len + text.len / 1000 + 1024; /* what does not shrink grows so */
    uint8_t *room = buf_reserve(out, size);
    struct archive *archive = archive_write_new();
    bool is_good =
        room != NULL && archive != NULL && write_archive(archive, text, room, size, &used);

    archive_write_free(archive);
    if (is_good)
        buf_extend(out, used);
    return is_good;
}

/* --- the mail --------------------------------------------------------------------------------- */

static bool put_base64(struct bytes packed, struct buf *out)
{
    enum { PIECE = LINE_LEN / 4 * 3 };
    bool fits = true;

    for (size_t at = 0; at < packed.len && fits; at += PIECE)
        fits = base64_write(bytes_slice(packed, at, PIECE), out) && buf_append(out, BYTES("\r\n"));
    return fits;
}

static bool put_header(const struct tally_report *report, const struct report_author *author,
                       const char *to, int64_t wall_ms, struct buf *out)
{
    char date[CLOCK_TEXT_MAX], id[REPORT_ID_MAX];
    bool is_tls = report->kind == TALLY_TLS;
    uint64_t hash = bytes_hash(bytes_of(to));

    clock_format_rfc5322(wall_ms, date);
    report_id(author, report, id);
    return buf_printf(out,
                      "From: %s\r\nTo: %s\r\nDate: %s\r\nMessage-ID: <%016" PRIx64 ".%s>\r\n"
                      "Subject: Report Domain: %.*s\r\n Submitter: %s\r\n Report-ID: <%s>\r\n",
                      author->email, to, date, hash, id, BYTES_ARG(report->domain),
                      author->hostname, id) &&
           (!is_tls || buf_printf(out,
                                  "TLS-Report-Domain: %.*s\r\nTLS-Report-Submitter: %s\r\n"
                                  "TLS-Required: No\r\n",
                                  BYTES_ARG(report->domain), author->hostname)) &&
           buf_printf(out,
                      "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: %s;\r\n"
                      " boundary=\"report-boundary\"\r\n\r\n",
                      is_tls ? "multipart/report; report-type=\"tlsrpt\"" : "multipart/mixed");
}

static bool put_prose(const struct tally_report *report, const struct report_author *author,
                      struct buf *out)
{
    char day[TALLY_DAY_TEXT_MAX];

    tally_day_format(report->day, day);
    return buf_printf(
        out,
        "--report-boundary\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
        "This is %s of %s (UTC)\r\nabout the domain %.*s,\r\nsubmitted by %s.\r\n\r\n",
        report->kind == TALLY_TLS ? "an SMTP TLS report (RFC 8460)"
                                  : "a DMARC aggregate report (RFC 9990)",
        day, BYTES_ARG(report->domain), author->hostname);
}

bool report_write_mail(const struct tally_report *report, const struct report_author *author,
                       const char *to, struct bytes packed, int64_t wall_ms, struct buf *out)
{
    char name[REPORT_NAME_MAX];
    const char *type = report->kind == TALLY_TLS ? "application/tlsrpt+gzip" : "application/gzip";

    report_file_name(author, report, name);
    return put_header(report, author, to, wall_ms, out) && put_prose(report, author, out) &&
           buf_printf(out,
                      "--report-boundary\r\nContent-Type: %s;\r\n name=\"%s\"\r\n"
                      "Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment;\r\n"
                      " filename=\"%s\"\r\n\r\n",
                      type, name, name) &&
           put_base64(packed, out) && buf_append(out, BYTES("--report-boundary--\r\n"));
}
