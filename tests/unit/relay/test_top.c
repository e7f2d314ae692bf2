/* test_top.c - lines of the metrics that are a site's, and others. */
#include "relay/cli/top.h"

#include "support/unit.h"

static const struct {
    const char *line;
    bool is_site;
    const char *name, *site;
    double value;
} lines[] = {
    {"ringpost_site_delivered_total{site=\"mx.example\"} 12", true, "ringpost_site_delivered_total",
     "mx.example", 12},
    {"ringpost_site_waiting{site=\"\"} 0", true, "ringpost_site_waiting", "", 0},
    {"x{site=\"a\\\"} b\"} 1.5", true, "x", "a\\\"} b", 1.5},
    {"# HELP ringpost_site_waiting {site=\"x\"} 1", false, NULL, NULL, 0},
    {"ringpost_queue_unheld 0", false, NULL, NULL, 0},
    {"x{class=\"a\"} 1", false, NULL, NULL, 0},
    {"x{site=\"a\"", false, NULL, NULL, 0},
    {"x{site=\"a\"} ", false, NULL, NULL, 0},
    {"x{site=\"a\"} 1 2", false, NULL, NULL, 0},
    {"", false, NULL, NULL, 0},
};

TEST(top_takes_the_lines_of_sites)
{
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct bytes name, site;
        double value;
        bool is_site = top_site_line(bytes_of(lines[i].line), &name, &site, &value);

        expect_row(i, is_site == lines[i].is_site);
        if (!is_site)
            continue;
        expect_row(i, bytes_equal(name, bytes_of(lines[i].name)));
        expect_row(i, bytes_equal(site, bytes_of(lines[i].site)));
        expect_row(i, value == lines[i].value);
    }
}
