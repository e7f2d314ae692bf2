/* report.c - what a run of load came to, as JSON and as a line to watch. */
#include <inttypes.h>

#include "bench/load/load.h"

static void print_latency(const char *name, const struct histogram *histogram, FILE *out)
{
    fprintf(out, ", \"%s\": {\"p50\": %.3f, \"p95\": %.3f, \"p99\": %.3f, \"max\": %.3f}", name,
            (double)histogram_percentile(histogram, 50) / 1000.0,
            (double)histogram_percentile(histogram, 95) / 1000.0,
            (double)histogram_percentile(histogram, 99) / 1000.0,
            (double)histogram->us_max / 1000.0);
}

void load_report(const struct load *load, FILE *out)
{
    const struct load_counts *counts = &load->counts;
    double seconds = (double)(load->end_us - load->start_us) / 1e6;
    uint64_t answered = counts->accepted + counts->rejected;

    fprintf(out,
            "{\"tool\": \"load\", \"accepted\": %" PRIu64 ", \"accepted_recipients\": %" PRIu64
            ", \"rejected\": %" PRIu64 ", \"rejected_recipients\": %" PRIu64
            ", \"unanswered\": %" PRIu64 ", \"unknown\": %" PRIu64,
            counts->accepted, counts->accepted_recipients, counts->rejected,
            counts->rejected_recipients, counts->unanswered, counts->unknown);
    fputs(", \"rejected_by_code\": ", out);
    code_counts_print(&counts->codes, out);
    fprintf(out,
            ", \"connects\": %" PRIu64 ", \"lost_connections\": %" PRIu64
            ", \"broken_replies\": %" PRIu64,
            counts->connects, counts->lost, counts->broken);
    fprintf(out, ", \"seconds\": %.6f, \"rate\": %.1f, \"started\": %.6f, \"ended\": %.6f", seconds,
            seconds > 0 ? (double)counts->accepted / seconds : 0.0,
            (double)load->start_wall_us / 1e6, (double)load->end_wall_us / 1e6);
    print_latency("latency_ms", &load->latency, out);
    if (load->settings.rate != 0)
        print_latency("latency_from_due_ms", &load->from_due, out);
    fprintf(out, ", \"run\": \"%s\", \"cpu_us_per_message\": %.2f}\n", load->settings.run_name,
            answered > 0 ? (double)tool_cpu_us() / (double)answered : 0.0);
    fflush(out);
}

void load_print_progress(struct load *load, FILE *out)
{
    const struct load_counts *counts = &load->counts;

    fprintf(out,
            "%4" PRIu64 "s  %8" PRIu64 "/s  accepted %" PRIu64 "  rejected %" PRIu64
            "  lost connections %" PRIu64 "\n",
            load->ticks + 1, counts->accepted - load->told, counts->accepted, counts->rejected,
            counts->lost);
    load->told = counts->accepted;
}
