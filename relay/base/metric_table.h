/* metric_table.h - every metric: X-macro rows for metric.h. No include guard on purpose. */
/* One row a metric. Rows of one name that differ only in labels stand next to each other:
 * "x_total{kind=\"a\"}", "x_total{kind=\"b\"}"; the help of the first one counts. */
/* clang-format off */
METRIC_GAUGE(SESSIONS, "ringpost_smtp_sessions", "SMTP server sessions open now")
METRIC_COUNTER(SESSIONS_ACCEPTED, "ringpost_smtp_sessions_accepted_total",
               "SMTP server sessions opened")
METRIC_COUNTER(SESSIONS_REFUSED, "ringpost_smtp_sessions_refused_total",
               "Connections answered 421 or 554 at once")
METRIC_GAUGE(SMTPD_GREET, "ringpost_smtp_session_states{state=\"greet\"}",
             "SMTP server sessions by state")
METRIC_GAUGE(SMTPD_COMMAND, "ringpost_smtp_session_states{state=\"command\"}", "")
METRIC_GAUGE(SMTPD_CONTENT, "ringpost_smtp_session_states{state=\"content\"}", "")
METRIC_GAUGE(SMTPD_COMMIT, "ringpost_smtp_session_states{state=\"commit\"}", "")
METRIC_GAUGE(SMTPD_CLOSING, "ringpost_smtp_session_states{state=\"closing\"}", "")
METRIC_COUNTER(SMTPD_COMMANDS, "ringpost_smtp_commands_total", "Command lines taken")
METRIC_COUNTER(SMTPD_CONTENT_BYTES, "ringpost_smtp_content_bytes_total",
               "Bytes of content taken by DATA and BDAT, refused content left out")
METRIC_COUNTER(SMTPD_REFUSED_OTHER, "ringpost_smtp_refused_total{class=\"other\"}",
               "Commands and content refused, by subject of the enhanced code")
METRIC_COUNTER(SMTPD_REFUSED_ADDRESS, "ringpost_smtp_refused_total{class=\"address\"}", "")
METRIC_COUNTER(SMTPD_REFUSED_MAILBOX, "ringpost_smtp_refused_total{class=\"mailbox\"}", "")
METRIC_COUNTER(SMTPD_REFUSED_SYSTEM, "ringpost_smtp_refused_total{class=\"system\"}", "")
METRIC_COUNTER(SMTPD_REFUSED_NETWORK, "ringpost_smtp_refused_total{class=\"network\"}", "")
METRIC_COUNTER(SMTPD_REFUSED_PROTOCOL, "ringpost_smtp_refused_total{class=\"protocol\"}", "")
METRIC_COUNTER(SMTPD_REFUSED_CONTENT, "ringpost_smtp_refused_total{class=\"content\"}", "")
METRIC_COUNTER(SMTPD_REFUSED_POLICY, "ringpost_smtp_refused_total{class=\"policy\"}", "")
METRIC_COUNTER(SMTPD_TIMEOUTS, "ringpost_smtp_timeouts_total",
               "Sessions closed because the client was silent")
METRIC_COUNTER(SMTPD_TOO_MANY_ERRORS, "ringpost_smtp_too_many_errors_total",
               "Sessions closed for too many errors")
