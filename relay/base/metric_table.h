/* metric_table.h - every metric: X-macro rows for metric.h. No include guard on purpose. */
/* One row a metric. Rows of one name that differ only in labels stand next to each other:
 * "x_total{kind=\"a\"}", "x_total{kind=\"b\"}"; the help of the first one counts. */
/* clang-format off */
METRIC_GAUGE(CONFIGS, "ringpost_configurations",
             "Configurations in memory: first, newest, and old ones that an attempt still uses")
METRIC_COUNTER(CLOCK_STEPS, "ringpost_clock_steps_total",
               "Times the wall clock was set, by 2 s or more, while the program ran")
METRIC_COUNTER(DIRECTORY_SNAPSHOTS, "ringpost_directory_snapshots_total",
               "Times that changes of the directory were taken over")
METRIC_COUNTER(DIRECTORY_FAILURES, "ringpost_directory_failures_total",
               "Looks that found the directory unreadable; the last good state stayed in force")
METRIC_GAUGE(SESSIONS, "ringpost_smtp_sessions", "SMTP server sessions open now")
METRIC_COUNTER(SESSIONS_ACCEPTED, "ringpost_smtp_sessions_accepted_total",
               "SMTP server sessions opened")
METRIC_COUNTER(SESSIONS_REFUSED, "ringpost_smtp_sessions_refused_total",
               "Connections answered 421 or 554 at once")
METRIC_GAUGE(SMTPD_GREET, "ringpost_smtp_session_states{state=\"greet\"}",
             "SMTP server sessions by state")
METRIC_GAUGE(SMTPD_HANDSHAKE, "ringpost_smtp_session_states{state=\"handshake\"}", "")
METRIC_GAUGE(SMTPD_COMMAND, "ringpost_smtp_session_states{state=\"command\"}", "")
METRIC_GAUGE(SMTPD_AUTH, "ringpost_smtp_session_states{state=\"auth\"}", "")
METRIC_GAUGE(SMTPD_CONTENT, "ringpost_smtp_session_states{state=\"content\"}", "")
METRIC_GAUGE(SMTPD_ASKING, "ringpost_smtp_session_states{state=\"asking\"}", "")
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
METRIC_COUNTER(SMTPD_CONTENT_SLOW, "ringpost_smtp_content_slow_total",
               "Sessions ended because content came too slowly or took too long")
METRIC_COUNTER(SMTPD_TOO_MANY_IDLE, "ringpost_smtp_too_many_idle_commands_total",
               "Sessions ended for too many commands that move nothing")
METRIC_COUNTER(SMTPD_EARLY_TALKERS, "ringpost_smtp_early_talkers_total",
               "Sessions ended because an unknown client did not wait for its turn")
METRIC_COUNTER(SMTPD_STARTTLS_INJECTED, "ringpost_smtp_starttls_injections_total",
               "Sessions ended because text stood behind STARTTLS")
METRIC_COUNTER(SMTPD_LAX_SYNTAX, "ringpost_smtp_lax_syntax_total",
               "MAIL and RCPT taken with a space behind the colon")
METRIC_COUNTER(SMTPD_TOO_MANY_ERRORS, "ringpost_smtp_too_many_errors_total",
               "Sessions closed for too many errors")
METRIC_GAUGE(TLS_SESSIONS, "ringpost_tls_sessions", "Connections under TLS now")
METRIC_COUNTER(TLS_HANDSHAKES_12, "ringpost_tls_handshakes_total{version=\"1.2\"}",
               "Handshakes that clients began and that ended well")
METRIC_COUNTER(TLS_HANDSHAKES_13, "ringpost_tls_handshakes_total{version=\"1.3\"}", "")
METRIC_COUNTER(TLS_RESUMED, "ringpost_tls_resumed_total",
               "Handshakes of these that resumed a session by its ticket")
METRIC_COUNTER(TLS_FAILED_NOT_TLS, "ringpost_tls_handshake_failures_total{reason=\"not-tls\"}",
               "Handshakes that clients began and that failed")
METRIC_COUNTER(TLS_FAILED_VERSION, "ringpost_tls_handshake_failures_total{reason=\"version\"}", "")
METRIC_COUNTER(TLS_FAILED_CIPHER, "ringpost_tls_handshake_failures_total{reason=\"cipher\"}", "")
METRIC_COUNTER(TLS_FAILED_CERTIFICATE,
               "ringpost_tls_handshake_failures_total{reason=\"certificate\"}", "")
METRIC_COUNTER(TLS_FAILED_ALERT, "ringpost_tls_handshake_failures_total{reason=\"alert\"}", "")
METRIC_COUNTER(TLS_FAILED_GONE, "ringpost_tls_handshake_failures_total{reason=\"gone\"}", "")
METRIC_COUNTER(TLS_FAILED_OTHER, "ringpost_tls_handshake_failures_total{reason=\"other\"}", "")
METRIC_COUNTER(TLS_OUT_HANDSHAKES_12, "ringpost_delivery_tls_handshakes_total{version=\"1.2\"}",
               "Handshakes with other servers that ended well")
METRIC_COUNTER(TLS_OUT_HANDSHAKES_13, "ringpost_delivery_tls_handshakes_total{version=\"1.3\"}", "")
METRIC_COUNTER(TLS_OUT_RESUMED, "ringpost_delivery_tls_resumed_total",
               "Handshakes of these that resumed a session")
METRIC_COUNTER(TLS_BROKEN, "ringpost_tls_broken_total",
               "Connections under TLS that ended over a wrong record or an alert")
METRIC_COUNTER(DNS_QUERIES, "ringpost_dns_queries_total",
               "DNS queries sent, without tries over and over")
METRIC_GAUGE(DNS_IN_FLIGHT, "ringpost_dns_in_flight", "DNS queries waiting for an answer")
METRIC_HISTOGRAM(DNS, "ringpost_dns_latency_seconds", "Time that DNS questions took to be answered")
METRIC_COUNTER(DNS_FAILURES, "ringpost_dns_failures_total",
               "DNS questions that ended without an answer, for any reason")
METRIC_COUNTER(DNS_TIMEOUTS, "ringpost_dns_timeouts_total",
               "DNS questions that no server answered in time")
METRIC_COUNTER(DNS_TRIES_TIMED_OUT, "ringpost_dns_tries_timed_out_total",
               "Single tries of DNS queries that no server answered in time")
METRIC_COUNTER(DNS_CASE_MISMATCHES, "ringpost_dns_case_mismatches_total",
               "DNS answers that did not repeat the case of their question: asked for again")
METRIC_COUNTER(DNS_CACHE_HITS, "ringpost_dns_cache_hits_total",
               "DNS questions answered from memory, negative and stale answers included")
METRIC_COUNTER(DNS_NEGATIVE_HITS, "ringpost_dns_cache_negative_hits_total",
               "DNS questions answered from memory with a negative answer or a failure")
METRIC_COUNTER(DNS_CACHE_MISSES, "ringpost_dns_cache_misses_total",
               "DNS questions that had to be asked")
METRIC_COUNTER(DNS_STALE_ANSWERS, "ringpost_dns_stale_answers_total",
               "DNS questions answered with data past their TTL because the servers failed")
METRIC_GAUGE(DNS_CACHE_ENTRIES, "ringpost_dns_cache_entries", "DNS answers in memory")
METRIC_GAUGE(DNS_CACHE_BYTES, "ringpost_dns_cache_bytes", "Memory of DNS answers")
METRIC_COUNTER(TLS_DANE_VERIFY,
               "ringpost_delivery_tls_demands_total{source=\"dane\",level=\"verify\"}",
               "What receivers were found to demand of TLS, a mail host each: who says so and what")
METRIC_COUNTER(TLS_DANE_REQUIRE,
               "ringpost_delivery_tls_demands_total{source=\"dane\",level=\"require\"}",
               "")
METRIC_COUNTER(TLS_DANE_REFUSE,
               "ringpost_delivery_tls_demands_total{source=\"dane\",level=\"refuse\"}",
               "")
METRIC_COUNTER(TLS_STS_VERIFY,
               "ringpost_delivery_tls_demands_total{source=\"mta-sts\",level=\"verify\"}",
               "")
METRIC_COUNTER(TLS_STS_TESTING,
               "ringpost_delivery_tls_demands_total{source=\"mta-sts\",level=\"opportunistic\"}",
               "")
METRIC_COUNTER(TLS_STS_REFUSE,
               "ringpost_delivery_tls_demands_total{source=\"mta-sts\",level=\"refuse\"}",
               "")
METRIC_GAUGE(STS_POLICIES, "ringpost_mta_sts_policies", "MTA-STS policies in memory")
METRIC_COUNTER(STS_REFRESHES,
               "ringpost_mta_sts_refreshes_total",
               "MTA-STS policies that were asked for again because they became old, without mail")
METRIC_COUNTER(STS_FETCHES,
               "ringpost_mta_sts_fetches_total",
               "MTA-STS policies that were fetched, or tried to be")
METRIC_COUNTER(STS_FETCHES_FAILED,
               "ringpost_mta_sts_failures_total{result=\"sts-policy-fetch-error\"}",
               "Of these, those that brought no policy, by the result type of RFC 8460")
METRIC_COUNTER(STS_FETCHES_INVALID,
               "ringpost_mta_sts_failures_total{result=\"sts-policy-invalid\"}",
               "")
METRIC_COUNTER(STS_FETCHES_WEBPKI,
               "ringpost_mta_sts_failures_total{result=\"sts-webpki-invalid\"}",
               "")
METRIC_GAUGE(SPOOL_MESSAGES, "ringpost_spool_messages", "Unfinished messages")
METRIC_GAUGE(SPOOL_RECIPIENTS, "ringpost_spool_recipients", "Unfinished recipients")
METRIC_GAUGE(SPOOL_SEGMENTS, "ringpost_spool_segments", "Segments in use, spares left out")
METRIC_GAUGE(SPOOL_BYTES_USED, "ringpost_spool_bytes_used", "Bytes written to segments in use")
METRIC_GAUGE(SPOOL_BYTES_LIVE, "ringpost_spool_bytes_live",
             "Bytes of accept records and contents of unfinished messages")
METRIC_GAUGE(SPOOL_RESIDENT_BYTES, "ringpost_spool_resident_bytes", "Messages kept in memory")
METRIC_GAUGE(MAIL_MEMORY, "ringpost_mail_memory_bytes",
             "What is counted against limits.memory: the queue's index, messages in memory and on "
             "their way in, buffers of connections")
METRIC_COUNTER(SPOOL_MESSAGES_ACCEPTED, "ringpost_spool_messages_accepted_total",
               "Messages made durable")
METRIC_COUNTER(SPOOL_COMMITS_FAILED, "ringpost_spool_commits_failed_total",
               "Commits that failed: no space, a failed write, no memory, shutting down")
METRIC_COUNTER(SPOOL_FLUSHES, "ringpost_spool_flushes_total", "Writes with a sync")
METRIC_COUNTER(SPOOL_FLUSHED_BYTES, "ringpost_spool_flushed_bytes_total", "Bytes of these writes")
METRIC_COUNTER(SPOOL_WRITE_FAILURES, "ringpost_spool_write_failures_total",
               "Writes or syncs that failed and closed their segment")
METRIC_COUNTER(SPOOL_PREPARE_FAILURES, "ringpost_spool_prepare_failures_total",
               "Segments that could not be prepared or removed")
METRIC_COUNTER(SPOOL_SEGMENTS_RECLAIMED, "ringpost_spool_segments_reclaimed_total",
               "Segments whose space was given back")
METRIC_COUNTER(SPOOL_COMPACTED_MESSAGES, "ringpost_spool_compacted_messages_total",
               "Messages moved out of the oldest segment")
METRIC_COUNTER(SPOOL_COMPACTED_BYTES, "ringpost_spool_compacted_bytes_total",
               "Bytes of these messages")
METRIC_COUNTER(SPOOL_READS, "ringpost_spool_reads_total", "Messages and contents read back")
METRIC_COUNTER(SPOOL_LOADS_FAILED, "ringpost_spool_loads_failed_total",
               "Messages that could not be read back")
METRIC_COUNTER(SPOOL_DAMAGED_RECORDS, "ringpost_spool_damaged_records_total",
               "Records whose checksum did not hold")
METRIC_COUNTER(SPOOL_TORN_BYTES, "ringpost_spool_torn_bytes_total",
               "Bytes of unanswered commits that a crash cut off")
METRIC_COUNTER(JOURNAL_DAMAGED, "ringpost_journal_damaged_total",
               "Spots of the spool that could not be read back as events")
METRIC_COUNTER(DELIVERY_ATTEMPTS, "ringpost_delivery_attempts_total",
               "Transactions begun with other servers")
METRIC_COUNTER(DELIVERY_DELIVERED, "ringpost_delivery_outcomes_total{outcome=\"delivered\"}",
               "Recipients by what became of them")
METRIC_COUNTER(DELIVERY_FILED, "ringpost_delivery_outcomes_total{outcome=\"filed\"}", "")
METRIC_COUNTER(DELIVERY_FORWARDED, "ringpost_delivery_outcomes_total{outcome=\"forwarded\"}", "")
METRIC_COUNTER(DELIVERY_DEFERRED, "ringpost_delivery_outcomes_total{outcome=\"deferred\"}", "")
METRIC_COUNTER(DELIVERY_BOUNCED, "ringpost_delivery_outcomes_total{outcome=\"bounced\"}", "")
METRIC_COUNTER(DELIVERY_EXPIRED, "ringpost_delivery_outcomes_total{outcome=\"expired\"}", "")
METRIC_COUNTER(DELIVERY_CANCELLED, "ringpost_delivery_outcomes_total{outcome=\"cancelled\"}", "")
METRIC_COUNTER(SUBMISSION_SCANNED, "ringpost_submission_scanned_total",
               "Messages of users that rspamd was asked about")
METRIC_COUNTER(SUBMISSION_SCAN_REFUSED, "ringpost_submission_scan_refused_total{code=\"550\"}",
               "Messages of users that rspamd refused, for good or for now")
METRIC_COUNTER(SUBMISSION_SCAN_DEFERRED, "ringpost_submission_scan_refused_total{code=\"451\"}",
               "")
METRIC_COUNTER(SUBMISSION_OVER_ACCOUNT_RATE, "ringpost_submission_over_account_rate_total",
               "Messages put off because their user sent too much in an hour")
METRIC_COUNTER(INBOUND_BLOCKED, "ringpost_inbound_blocked_total",
               "Recipients refused because their tenant blocks the sender or client")
METRIC_COUNTER(VACATION_ANSWERED, "ringpost_vacation_total{result=\"answered\"}",
               "Messages that a script would answer, by what came of it")
METRIC_COUNTER(VACATION_BEFORE, "ringpost_vacation_total{result=\"before\"}", "")
METRIC_COUNTER(VACATION_UNANSWERED, "ringpost_vacation_total{result=\"unanswered\"}", "")
METRIC_COUNTER(VACATION_FAILED, "ringpost_vacation_total{result=\"failed\"}", "")
METRIC_COUNTER(DELIVERY_NOTIFICATIONS, "ringpost_delivery_notifications_total",
               "Delivery status notifications written")
METRIC_GAUGE(DELIVERY_THROTTLED, "ringpost_delivery_throttled",
             "Recipients that wait for the rates of their tenants")
METRIC_COUNTER(DELIVERY_POSTPONED, "ringpost_delivery_postponed_total",
               "Recipients given back without an attempt: site at rest, no memory")
METRIC_COUNTER(DELIVERY_CONNECTS, "ringpost_delivery_connects_total",
               "Connections to other servers begun")
METRIC_COUNTER(DELIVERY_CONNECTS_FAILED, "ringpost_delivery_connects_failed_total",
               "Connections that never became ready for mail")
METRIC_COUNTER(DELIVERED_PLAIN,
               "ringpost_delivery_delivered_tls_total{version=\"none\",verified=\"no\"}",
               "Recipients delivered, by the TLS of the connection")
METRIC_COUNTER(DELIVERED_TLS12,
               "ringpost_delivery_delivered_tls_total{version=\"1.2\",verified=\"no\"}",
               "")
METRIC_COUNTER(DELIVERED_TLS12_VERIFIED,
               "ringpost_delivery_delivered_tls_total{version=\"1.2\",verified=\"yes\"}", "")
METRIC_COUNTER(DELIVERED_TLS13,
               "ringpost_delivery_delivered_tls_total{version=\"1.3\",verified=\"no\"}",
               "")
METRIC_COUNTER(DELIVERED_TLS13_VERIFIED,
               "ringpost_delivery_delivered_tls_total{version=\"1.3\",verified=\"yes\"}", "")
/* In the order of enum tls_result. */
METRIC_COUNTER(DELIVERY_TLS_FAILED_STARTTLS,
               "ringpost_delivery_tls_failures_total{result=\"starttls-not-supported\"}",
               "Connections to other servers whose TLS failed, or had none where it was demanded")
METRIC_COUNTER(DELIVERY_TLS_FAILED_MISMATCH,
               "ringpost_delivery_tls_failures_total{result=\"certificate-host-mismatch\"}", "")
METRIC_COUNTER(DELIVERY_TLS_FAILED_EXPIRED,
               "ringpost_delivery_tls_failures_total{result=\"certificate-expired\"}", "")
METRIC_COUNTER(DELIVERY_TLS_FAILED_UNTRUSTED,
               "ringpost_delivery_tls_failures_total{result=\"certificate-not-trusted\"}", "")
METRIC_COUNTER(DELIVERY_TLS_FAILED_OTHER,
               "ringpost_delivery_tls_failures_total{result=\"validation-failure\"}", "")
METRIC_COUNTER(DELIVERY_TLS_FAILED_TLSA,
               "ringpost_delivery_tls_failures_total{result=\"tlsa-invalid\"}", "")
METRIC_COUNTER(DELIVERY_TLS_FAILED_DNSSEC,
               "ringpost_delivery_tls_failures_total{result=\"dnssec-invalid\"}", "")
METRIC_COUNTER(DELIVERY_TLS_FAILED_DANE,
               "ringpost_delivery_tls_failures_total{result=\"dane-required\"}", "")
METRIC_COUNTER(DELIVERY_TLS_FAILED_STS_FETCH,
               "ringpost_delivery_tls_failures_total{result=\"sts-policy-fetch-error\"}", "")
METRIC_COUNTER(DELIVERY_TLS_FAILED_STS_POLICY,
               "ringpost_delivery_tls_failures_total{result=\"sts-policy-invalid\"}", "")
METRIC_COUNTER(DELIVERY_TLS_FAILED_STS_WEBPKI,
               "ringpost_delivery_tls_failures_total{result=\"sts-webpki-invalid\"}", "")
METRIC_COUNTER(DELIVERY_TLS_FALLBACKS, "ringpost_delivery_tls_fallbacks_total",
               "Connections of these that went on in plain, because nothing was demanded")
METRIC_COUNTER(DELIVERY_REUSES, "ringpost_delivery_connection_reuses_total",
               "Messages sent on a connection that had carried another before")
METRIC_COUNTER(DELIVERY_UNKNOWN, "ringpost_delivery_unknown_total",
               "Recipients deferred after the whole message was sent: duplicates are possible")
METRIC_COUNTER(DELIVERY_SURPLUS_REPLIES, "ringpost_delivery_surplus_replies_total",
               "Replies of hosts that answered no command: their connection was broken off")
METRIC_COUNTER(DELIVERY_UNHELD_HEALED, "ringpost_delivery_unheld_healed_total",
               "Sites with waiting mail that nothing would have woken: must stay 0")
METRIC_GAUGE(WAITING_HIGH, "ringpost_delivery_in_line{class=\"high\"}",
             "Recipients in line for their site, or for the lookup of it")
METRIC_GAUGE(WAITING_NORMAL, "ringpost_delivery_in_line{class=\"normal\"}", "")
METRIC_GAUGE(WAITING_BULK, "ringpost_delivery_in_line{class=\"bulk\"}", "")
METRIC_COUNTER(TURNS_HIGH, "ringpost_delivery_turns_total{class=\"high\"}",
               "Messages that connections took out of line")
METRIC_COUNTER(TURNS_NORMAL, "ringpost_delivery_turns_total{class=\"normal\"}", "")
METRIC_COUNTER(TURNS_BULK, "ringpost_delivery_turns_total{class=\"bulk\"}", "")
METRIC_GAUGE(SITE_IDLE, "ringpost_delivery_site_states{state=\"idle\"}",
             "Sites in each state")
METRIC_GAUGE(SITE_CONNECTING, "ringpost_delivery_site_states{state=\"connecting\"}", "")
METRIC_GAUGE(SITE_SERVING, "ringpost_delivery_site_states{state=\"serving\"}", "")
METRIC_GAUGE(SITE_THROTTLED, "ringpost_delivery_site_states{state=\"throttled\"}", "")
METRIC_GAUGE(SITE_LIMITED, "ringpost_delivery_site_states{state=\"limited\"}", "")
METRIC_GAUGE(SITE_STARVED, "ringpost_delivery_site_states{state=\"starved\"}", "")
METRIC_GAUGE(SITE_FAILING, "ringpost_delivery_site_states{state=\"failing\"}", "")
METRIC_GAUGE(SITE_RESTING, "ringpost_delivery_site_states{state=\"resting\"}", "")
METRIC_GAUGE(CLIENT_CONNECT, "ringpost_smtp_client_states{state=\"connect\"}",
             "Connections to other servers by state")
METRIC_GAUGE(CLIENT_GREETING, "ringpost_smtp_client_states{state=\"greeting\"}", "")
METRIC_GAUGE(CLIENT_EHLO, "ringpost_smtp_client_states{state=\"ehlo\"}", "")
METRIC_GAUGE(CLIENT_STARTTLS, "ringpost_smtp_client_states{state=\"starttls\"}", "")
METRIC_GAUGE(CLIENT_HANDSHAKE, "ringpost_smtp_client_states{state=\"handshake\"}", "")
METRIC_GAUGE(CLIENT_REOPEN, "ringpost_smtp_client_states{state=\"reopen\"}", "")
METRIC_GAUGE(CLIENT_READY, "ringpost_smtp_client_states{state=\"ready\"}", "")
METRIC_GAUGE(CLIENT_TRANSACTION, "ringpost_smtp_client_states{state=\"transaction\"}", "")
METRIC_GAUGE(CLIENT_QUIT, "ringpost_smtp_client_states{state=\"quit\"}", "")
METRIC_GAUGE(CLIENT_CLOSING, "ringpost_smtp_client_states{state=\"closing\"}", "")
METRIC_COUNTER(INBOUND_MESSAGES, "ringpost_inbound_messages_total",
               "Messages received from the world and durable")
METRIC_COUNTER(INBOUND_RECIPIENTS, "ringpost_inbound_recipients_total",
               "Recipients of these messages")
METRIC_COUNTER(INBOUND_BYTES, "ringpost_inbound_bytes_total", "Content of these messages")
METRIC_COUNTER(INBOUND_UNKNOWN, "ringpost_inbound_unknown_recipients_total",
               "Recipients refused because nobody has that name")
METRIC_COUNTER(INBOUND_HARVESTS, "ringpost_inbound_harvests_total",
               "Sessions ended for too many recipients that nobody is")
METRIC_COUNTER(INBOUND_LISTED, "ringpost_inbound_listed_total",
               "Answers by which a DNS list has a client's address")
METRIC_COUNTER(INBOUND_DOOR_REFUSED, "ringpost_inbound_door_refused_total",
               "Clients refused before the greeting by lists of addresses or for want of a name")
METRIC_COUNTER(INBOUND_PROXY_BAD, "ringpost_inbound_proxy_bad_total",
               "Connections of proxies that did not say for whom")
METRIC_COUNTER(INBOUND_GREYLISTED, "ringpost_inbound_greylisted_total",
               "Recipients put off because the client's network is new")
METRIC_COUNTER(RSPAMD_ANSWERS, "ringpost_rspamd_answers_total", "Messages that rspamd judged")
METRIC_COUNTER(RSPAMD_FAILURES, "ringpost_rspamd_failures_total",
               "Messages that rspamd was asked about and did not judge")
METRIC_COUNTER(INBOUND_REJECTED_UNTOLD, "ringpost_inbound_rejected_untold_total",
               "Refusals without a rejected event: too many in a second, or no room for it")
METRIC_COUNTER(INBOUND_SHED, "ringpost_inbound_shed_total",
               "Sessions closed because they held most of a memory that was used up")
METRIC_GAUGE(STORE_WAITING, "ringpost_store_filings{state=\"waiting\"}",
             "Messages with the store of accounts' mail, by how far they are")
METRIC_GAUGE(STORE_RUNNING, "ringpost_store_filings{state=\"running\"}", "")
METRIC_COUNTER(STORE_FILED, "ringpost_store_filed_total{result=\"filed\"}",
               "Messages that the store was asked to file, once for each account")
METRIC_COUNTER(STORE_NOT_FILED, "ringpost_store_filed_total{result=\"not-filed\"}", "")
METRIC_COUNTER(STORE_BATCHES, "ringpost_store_batches_total",
               "Batches of messages written and synced together")
METRIC_COUNTER(SUBMISSION_MESSAGES, "ringpost_submission_messages_total",
               "Messages submitted and durable")
METRIC_COUNTER(SUBMISSION_RECIPIENTS, "ringpost_submission_recipients_total",
               "Recipients of these messages")
METRIC_COUNTER(SUBMISSION_BYTES, "ringpost_submission_bytes_total", "Content of these messages")
METRIC_COUNTER(SUBMISSION_REJECTED_UNTOLD, "ringpost_submission_rejected_untold_total",
               "Refusals without a rejected event: too many in a second, or no room for it")
METRIC_COUNTER(SUBMISSION_STRANGERS_UNTOLD, "ringpost_submission_strangers_untold_total",
               "Refusals without a rejected event, of clients that neither logged in nor are "
               "trusted: too many in a minute")
METRIC_GAUGE(IMAP_SESSIONS, "ringpost_imap_sessions", "IMAP sessions open now")
METRIC_COUNTER(IMAP_ACCEPTED, "ringpost_imap_sessions_accepted_total", "IMAP sessions opened")
METRIC_COUNTER(IMAP_REFUSED, "ringpost_imap_sessions_refused_total",
               "Connections to IMAP answered BYE at once: limits, or a stop")
METRIC_GAUGE(IMAP_GREET, "ringpost_imap_session_states{state=\"greet\"}", "IMAP sessions by state")
METRIC_GAUGE(IMAP_HANDSHAKE, "ringpost_imap_session_states{state=\"handshake\"}", "")
METRIC_GAUGE(IMAP_COMMAND, "ringpost_imap_session_states{state=\"command\"}", "")
METRIC_GAUGE(IMAP_AUTH, "ringpost_imap_session_states{state=\"auth\"}", "")
METRIC_GAUGE(IMAP_DELAY, "ringpost_imap_session_states{state=\"delay\"}", "")
METRIC_GAUGE(IMAP_WORK, "ringpost_imap_session_states{state=\"work\"}", "")
METRIC_GAUGE(IMAP_UPLOAD, "ringpost_imap_session_states{state=\"upload\"}", "")
METRIC_GAUGE(IMAP_IDLE, "ringpost_imap_session_states{state=\"idle\"}", "")
METRIC_GAUGE(IMAP_CLOSING, "ringpost_imap_session_states{state=\"closing\"}", "")
METRIC_COUNTER(IMAP_COMMANDS, "ringpost_imap_commands_total", "Commands of IMAP sessions")
METRIC_COUNTER(IMAP_BAD, "ringpost_imap_bad_total", "Of these, those that were answered BAD")
METRIC_COUNTER(IMAP_APPENDED, "ringpost_imap_appended_total", "Messages that APPEND filed")
METRIC_COUNTER(IMAP_EXPUNGED, "ringpost_imap_expunged_total",
               "Messages that EXPUNGE, UID EXPUNGE and CLOSE removed")
METRIC_COUNTER(IMAP_COMPRESSED, "ringpost_imap_compressed_total",
               "IMAP sessions that COMPRESS began to compress")
METRIC_COUNTER(IMAP_TIMEOUTS, "ringpost_imap_timeouts_total",
               "IMAP sessions that ended because their client said nothing for too long")
METRIC_COUNTER(IMAP_SHED, "ringpost_imap_shed_total",
               "IMAP sessions closed because they held most of a memory that was used up")
METRIC_GAUGE(POP3_SESSIONS, "ringpost_pop3_sessions", "POP3 sessions open now")
METRIC_COUNTER(POP3_ACCEPTED, "ringpost_pop3_sessions_accepted_total", "POP3 sessions opened")
METRIC_COUNTER(POP3_REFUSED, "ringpost_pop3_sessions_refused_total",
               "Connections to POP3 answered -ERR at once: limits, or a stop")
METRIC_GAUGE(POP3_GREET, "ringpost_pop3_session_states{state=\"greet\"}", "POP3 sessions by state")
METRIC_GAUGE(POP3_HANDSHAKE, "ringpost_pop3_session_states{state=\"handshake\"}", "")
METRIC_GAUGE(POP3_COMMAND, "ringpost_pop3_session_states{state=\"command\"}", "")
METRIC_GAUGE(POP3_AUTH, "ringpost_pop3_session_states{state=\"auth\"}", "")
METRIC_GAUGE(POP3_DELAY, "ringpost_pop3_session_states{state=\"delay\"}", "")
METRIC_GAUGE(POP3_WORK, "ringpost_pop3_session_states{state=\"work\"}", "")
METRIC_GAUGE(POP3_CLOSING, "ringpost_pop3_session_states{state=\"closing\"}", "")
METRIC_COUNTER(POP3_COMMANDS, "ringpost_pop3_commands_total", "Commands of POP3 sessions")
METRIC_COUNTER(POP3_BAD, "ringpost_pop3_bad_total",
               "Of these, those that were none, or not at that moment")
METRIC_COUNTER(POP3_DELETED, "ringpost_pop3_deleted_total", "Messages that QUIT removed")
METRIC_COUNTER(POP3_TIMEOUTS, "ringpost_pop3_timeouts_total",
               "POP3 sessions that ended because their client said nothing for too long")
METRIC_COUNTER(POP3_SHED, "ringpost_pop3_shed_total",
               "POP3 sessions closed because they held most of a memory that was used up")
METRIC_COUNTER(LOGINS_RIGHT, "ringpost_logins_total{result=\"right\"}",
               "Logins by AUTH, by how they end")
METRIC_COUNTER(LOGINS_WRONG, "ringpost_logins_total{result=\"wrong\"}", "")
METRIC_COUNTER(LOGINS_BLOCKED, "ringpost_logins_total{result=\"blocked\"}", "")
METRIC_COUNTER(LOGIN_BLOCKS, "ringpost_login_blocks_total",
               "Networks blocked for too many failed logins")
METRIC_COUNTER(DKIM_SIGNED, "ringpost_dkim_messages_total{result=\"signed\"}",
               "Messages of tenants, and our notifications, by what became of their signatures")
METRIC_COUNTER(DKIM_UNSIGNED, "ringpost_dkim_messages_total{result=\"unsigned\"}", "")
METRIC_COUNTER(DKIM_FAILED, "ringpost_dkim_messages_total{result=\"failed\"}", "")
METRIC_COUNTER(ARC_SEALED, "ringpost_arc_messages_total{result=\"sealed\"}",
               "Forwarded messages that were received, by what became of their ARC set")
METRIC_COUNTER(ARC_UNSEALED, "ringpost_arc_messages_total{result=\"unsealed\"}", "")
METRIC_COUNTER(DKIM_SIGNATURES_RSA, "ringpost_dkim_signatures_total{algorithm=\"rsa-sha256\"}",
               "Signatures made")
METRIC_COUNTER(DKIM_SIGNATURES_ED25519,
               "ringpost_dkim_signatures_total{algorithm=\"ed25519-sha256\"}", "")
METRIC_COUNTER(DKIM_PUT_OFF, "ringpost_dkim_put_off_total",
               "Messages whose signatures waited for a later turn of their engine")
METRIC_GAUGE(DKIM_KEYS, "ringpost_dkim_keys", "Private keys in memory, of all engines together")
METRIC_COUNTER(DKIM_KEYS_READ, "ringpost_dkim_key_reads_total{result=\"good\"}",
               "Times that a private key was read")
METRIC_COUNTER(DKIM_KEYS_UNREADABLE, "ringpost_dkim_key_reads_total{result=\"failed\"}", "")
METRIC_COUNTER(SUBMISSION_OVER_QUOTA, "ringpost_submission_over_quota_total",
               "Messages refused because their tenant's quota was used up")
METRIC_COUNTER(SUBMISSION_OVER_BACKLOG, "ringpost_submission_over_backlog_total",
               "Messages put off because too many of their tenant waited for its rates")
METRIC_COUNTER(SUBMISSION_REPEATED, "ringpost_submission_repeated_total",
               "Messages handed in again with their idempotency key, and not taken again")
METRIC_GAUGE(IDEMPOTENCY_KEYS, "ringpost_idempotency_keys", "Idempotency keys that are remembered")
METRIC_COUNTER(TENANTS_BOOK_ERRORS, "ringpost_tenants_book_errors_total",
               "Failed writes of what tenants sent and of idempotency keys; tried again")
METRIC_COUNTER(SUBMISSION_SHED, "ringpost_submission_shed_total",
               "Sessions closed because they held most of a memory that was used up")
METRIC_COUNTER(EVENTS_ACCEPTED, "ringpost_events_total{kind=\"accepted\"}",
               "Events written to the event files")
METRIC_COUNTER(EVENTS_REJECTED, "ringpost_events_total{kind=\"rejected\"}", "")
METRIC_COUNTER(EVENTS_DELIVERED, "ringpost_events_total{kind=\"delivered\"}", "")
METRIC_COUNTER(EVENTS_DEFERRED, "ringpost_events_total{kind=\"deferred\"}", "")
METRIC_COUNTER(EVENTS_BOUNCED, "ringpost_events_total{kind=\"bounced\"}", "")
METRIC_COUNTER(EVENTS_EXPIRED, "ringpost_events_total{kind=\"expired\"}", "")
METRIC_COUNTER(EVENTS_CANCELLED, "ringpost_events_total{kind=\"cancelled\"}", "")
METRIC_COUNTER(EVENTS_SUPPRESSED, "ringpost_events_total{kind=\"suppressed\"}", "")
METRIC_COUNTER(EVENTS_DELAYED, "ringpost_events_total{kind=\"delayed\"}", "")
METRIC_COUNTER(EVENTS_COMPLAINED, "ringpost_events_total{kind=\"complained\"}", "")
METRIC_COUNTER(EVENTS_OPENED, "ringpost_events_total{kind=\"opened\"}", "")
METRIC_COUNTER(EVENTS_CLICKED, "ringpost_events_total{kind=\"clicked\"}", "")
METRIC_COUNTER(EVENTS_UNSUBSCRIBED, "ringpost_events_total{kind=\"unsubscribed\"}", "")
METRIC_COUNTER(EVENTS_RECEIVED, "ringpost_events_total{kind=\"received\"}", "")
METRIC_COUNTER(EVENTS_DAMAGED, "ringpost_events_total{kind=\"damaged\"}", "")
METRIC_COUNTER(EVENTS_RETRIED, "ringpost_events_total{kind=\"retried\"}", "")
METRIC_COUNTER(EVENTS_SUSPENDED, "ringpost_events_total{kind=\"suspended\"}", "")
METRIC_COUNTER(EVENTS_RESUMED, "ringpost_events_total{kind=\"resumed\"}", "")
METRIC_COUNTER(EVENTS_THROTTLED, "ringpost_events_total{kind=\"throttled\"}", "")
METRIC_COUNTER(EVENTS_CHANGED, "ringpost_events_total{kind=\"changed\"}", "")
METRIC_COUNTER(EVENTS_FILED, "ringpost_events_total{kind=\"filed\"}", "")
METRIC_COUNTER(EVENTS_FORWARDED, "ringpost_events_total{kind=\"forwarded\"}", "")
METRIC_COUNTER(EVENTS_REPORTED, "ringpost_events_total{kind=\"reported\"}", "")
METRIC_COUNTER(WEBHOOK_REQUESTS, "ringpost_webhook_requests_total",
               "Requests of webhooks that have ended, those for tokens included")
METRIC_COUNTER(WEBHOOK_FAILURES, "ringpost_webhook_failures_total",
               "Requests of webhooks that will be made again: no answer, or one other than 2xx")
METRIC_COUNTER(RETURNS_BOUNCES, "ringpost_returns_total{report=\"bounce\"}",
               "What came back to signed return paths, complaints@ and reports@, by what it was")
METRIC_COUNTER(RETURNS_COMPLAINTS, "ringpost_returns_total{report=\"complaint\"}", "")
METRIC_COUNTER(RETURNS_DMARC, "ringpost_returns_total{report=\"dmarc\"}", "")
METRIC_COUNTER(RETURNS_TLS, "ringpost_returns_total{report=\"tls\"}", "")
METRIC_COUNTER(RETURNS_OTHERS, "ringpost_returns_total{report=\"other\"}", "")
METRIC_COUNTER(RETURNS_UNTIED, "ringpost_returns_total{report=\"untied\"}", "")
METRIC_COUNTER(RETURNS_UNKNOWN, "ringpost_returns_total{report=\"unknown\"}", "")
METRIC_COUNTER(RETURNS_REPEATED, "ringpost_returns_repeated_total",
               "Bounces, complaints and reports that had been told before: not told again")
METRIC_COUNTER(REPORTS_MESSAGES, "ringpost_reports_counted_total{report=\"dmarc\"}",
               "Messages and TLS sessions that were counted for reports to other domains")
METRIC_COUNTER(REPORTS_SESSIONS, "ringpost_reports_counted_total{report=\"tls\"}", "")
METRIC_COUNTER(REPORTS_SENT, "ringpost_reports_sent_total",
               "Reports that were handed to an address, by mail or POST")
METRIC_COUNTER(REPORTS_FAILED, "ringpost_reports_failed_total",
               "Reports of a domain and a day that no address took, given up")
METRIC_COUNTER(REPORTS_MAILS, "ringpost_reports_messages_total",
               "Messages of ours that became durable: reports to other domains")
METRIC_COUNTER(REPORTS_RECIPIENTS, "ringpost_reports_recipients_total",
               "Recipients of messages that are reports")
METRIC_COUNTER(REPORTS_BYTES, "ringpost_reports_content_bytes_total",
               "Bytes of messages that are reports")
METRIC_GAUGE(EVENTS_LAG_BYTES, "ringpost_events_lag_bytes",
             "Bytes of the spool whose events are not durable in the event files yet")
METRIC_COUNTER(EVENTS_CATCH_UPS, "ringpost_events_catch_ups_total",
               "Times that events were read back from the spool: at a start, or after a drop")
METRIC_COUNTER(EVENTS_DROPPED_RUNS, "ringpost_events_dropped_runs_total",
               "Hand-overs to the event files that found no room; read back from the spool later")
METRIC_COUNTER(EVENTS_ERRORS, "ringpost_events_errors_total",
               "Failed writes of the event files and failed reads of the journal; tried again")
METRIC_COUNTER(LOG_ERROR, "ringpost_log_lines_total{level=\"error\"}", "Lines logged")
METRIC_COUNTER(LOG_WARN, "ringpost_log_lines_total{level=\"warn\"}", "")
METRIC_COUNTER(LOG_INFO, "ringpost_log_lines_total{level=\"info\"}", "")
METRIC_COUNTER(LOG_DEBUG, "ringpost_log_lines_total{level=\"debug\"}", "")
METRIC_COUNTER(LOG_DROPPED, "ringpost_log_dropped_total",
               "Lines of these that nobody took: the log was read too slowly, or a write failed")
METRIC_HISTOGRAM(ACCEPT, "ringpost_accept_latency_seconds",
                 "Time from MAIL to the message's 250, content and commit included")
METRIC_HISTOGRAM(DKIM, "ringpost_dkim_signing_seconds",
                 "Time that an engine took to sign a message, its body's hash left out")
METRIC_HISTOGRAM(TURN, "ringpost_loop_turn_latency_seconds",
                 "Time that an engine's turn took: what everything else on it waited")
METRIC_HISTOGRAM(SYNC, "ringpost_spool_sync_latency_seconds", "Time of a write with its sync")
METRIC_HISTOGRAM(STORE_BATCH, "ringpost_store_batch_latency_seconds",
                 "Time of a batch of the store, syncs included")
METRIC_HISTOGRAM(DELIVERY, "ringpost_delivery_latency_seconds",
                 "Time from accepting to delivered, waits between attempts included")
