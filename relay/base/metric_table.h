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
METRIC_COUNTER(DNS_QUERIES, "ringpost_dns_queries_total",
               "DNS queries sent, without tries over and over")
METRIC_GAUGE(DNS_IN_FLIGHT, "ringpost_dns_in_flight", "DNS queries waiting for an answer")
METRIC_COUNTER(DNS_LATENCY_US, "ringpost_dns_latency_microseconds_total",
               "Time DNS queries took, all together")
METRIC_COUNTER(DNS_FAILURES, "ringpost_dns_failures_total",
               "DNS questions that ended without an answer, for any reason")
METRIC_COUNTER(DNS_TIMEOUTS, "ringpost_dns_timeouts_total",
               "DNS questions that no server answered in time")
METRIC_COUNTER(DNS_TRIES_TIMED_OUT, "ringpost_dns_tries_timed_out_total",
               "Single tries of DNS queries that no server answered in time")
METRIC_COUNTER(DNS_CACHE_HITS, "ringpost_dns_cache_hits_total",
               "DNS questions answered from memory, negative and stale answers included")
METRIC_COUNTER(DNS_NEGATIVE_HITS, "ringpost_dns_cache_negative_hits_total",
               "DNS questions answered from memory with a negative answer or a failure")
METRIC_COUNTER(DNS_CACHE_MISSES, "ringpost_dns_cache_misses_total",
               "DNS questions that had to be asked")
METRIC_COUNTER(DNS_STALE_ANSWERS, "ringpost_dns_stale_answers_total",
               "DNS questions answered with data past their TTL because the servers failed")
METRIC_GAUGE(DNS_CACHE_ENTRIES, "ringpost_dns_cache_entries", "DNS answers in memory")
