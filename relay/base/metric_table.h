/* metric_table.h - every metric: X-macro rows for metric.h. No include guard on purpose. */
/* One row a metric. Rows of one name that differ only in labels stand next to each other:
 * "x_total{kind=\"a\"}", "x_total{kind=\"b\"}"; the help of the first one counts. */
/* clang-format off */
METRIC_GAUGE(SESSIONS, "ringpost_smtp_sessions", "SMTP server sessions open now")
METRIC_COUNTER(SESSIONS_ACCEPTED, "ringpost_smtp_sessions_accepted_total",
               "SMTP server sessions opened")
METRIC_COUNTER(SESSIONS_REFUSED, "ringpost_smtp_sessions_refused_total",
               "Connections answered 421 or 554 at once")
