/* test_metrics_accept.c - Accept fields of scrapers, and others. */
#include "relay/metrics_accept.h"

#include "support/unit.h"

static const struct {
    struct bytes accept;
    bool is_open;
} rows[] = {
    {BYTES(""), false},
    {BYTES("*/*"), false},
    {BYTES("text/plain"), false},
    {BYTES("application/openmetrics-text"), true},
    {BYTES("Application/OpenMetrics-Text; version=1.0.0; charset=utf-8"), true},
    /* Prometheus 2.42, and one told to prefer text. */
    {BYTES("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
           "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
     true},
    {BYTES("text/plain;version=0.0.4;q=0.8,application/openmetrics-text;version=1.0.0;q=0.7"),
     false},
    {BYTES("application/openmetrics-text;q=0.5 , text/plain ; q=0.5"), true},
    {BYTES("application/openmetrics-text;q=0.123,text/plain;q=0.124"), false},
    {BYTES("application/openmetrics-text;version=0.0.1"), false},
    {BYTES("application/openmetrics-text;version=2.0.0"), false},
    {BYTES("application/openmetrics-text;q=0"), false},
    {BYTES("application/openmetrics-text;q=0.000"), false},
    {BYTES("application/openmetrics-text;q=0.001"), true},
    {BYTES("application/openmetrics-text;q=1.001"), false},
    {BYTES("application/openmetrics-text;q=2"), false},
    {BYTES("application/openmetrics-text;q="), false},
    {BYTES("application/openmetrics-text;q=0.1234"), false},
    {BYTES("application/openmetrics-text;q=0x5"), false},
    {BYTES("application/openmetrics-text;q=0.5x"), false},
    {BYTES("application/openmetrics-textual"), false},
    {BYTES("xapplication/openmetrics-text"), false},
    {BYTES(",,;,application/openmetrics-text;;,"), true},
    {BYTES(";q=1"), false},
    {BYTES("application/openmetrics-text;q=0.19,text/plain;q=0.2"), false},
    {BYTES("application/openmetrics-text;q=x;q=1"), false},
};

TEST(accept_follows_table)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_row(i,
                   (metrics_accept(rows[i].accept) == EXPOSITION_OPENMETRICS) == rows[i].is_open);
}
