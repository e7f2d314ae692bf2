/* modules: report event base */
/* runs: 3000 */
/* fuzz_report.c - any bytes as a bounce, a complaint or a report. */
#include <stdint.h>

#include "inbound/report/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static void check_bounce(const struct bounce *bounce)
{
    check(bounce->count >= 1 && bounce->count <= BOUNCE_RECIPIENTS_MAX);
    for (size_t i = 0; i < bounce->count; i++) {
        const struct bounce_recipient *recipient = &bounce->recipients[i];

        check(recipient->address.len > 0);
        check(recipient->diagnostic.len <= BOUNCE_TEXT_MAX);
        check(recipient->status.len == 0 || recipient->status.len >= 5); /* "5.1.1" */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    static struct report report;
    const char *why = NULL;

    if (!report_read(bytes_range(input, len), &report, &why)) {
        check(why != NULL);
        return 0;
    }
    if (report.kind == REPORT_BOUNCE)
        check_bounce(&report.bounce);
    if (report.kind == REPORT_COMPLAINT)
        check(report.complaint.type.len > 0 && report.complaint.incidents <= INT64_MAX);
    json_t *object = report_json(&report);

    check(object != NULL); /* whatever bytes the texts have */
    json_decref(object);
    report_free(&report);
    return 0;
}
