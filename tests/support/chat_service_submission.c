/*
 * chat_service_submission.c - the real submission service on a real spool, CONFIG service
 * submission, and the inbound one, CONFIG service inbound. Facts: "message from=.. to=a,b size=..
 * helo=..", "owner tenant=.. credential=.. class=..", "prefix ..", "content .." as they are read
 * back from the shard, and every event of the journal:
 * "event accepted recipient=.. sender=.. code=.. rule=..".
 *
 *   CONFIG trust 127.0.0.0/8   trusted network; "none"
 *   CONFIG message_size, recipients_max, errors_max, line_length, command_timeout,
 *          content_timeout, content_deadline, content_rate, idle_commands, strict_syntax,
 *          sessions_max, sessions_per_client, received_max
 *   CONFIG login_failures, login_network_failures
 *   CONFIG login 127.0.0.0/8   and its RULEs: support/chat_directory.h
 *   CONFIG resident 0          bytes of messages that the shard keeps in memory
 *   STOP, ABORT                as the program does it; "stopped" becomes a fact
 *   RULE key value             the same settings, changed by a reload
 *
 * Inbound has the directory of chat_directory.c and DNS that refuses all; full@ and small@ have
 * no room for the message, ever for it. More of it:
 *   CONFIG unknown, greet_delay_ms, greylist_ms, sessions_per_network, temperror (1: defer),
 *          dns_ms (of a message's checks)
 *   CONFIG proxy 127.0.0.0/8   who speaks the PROXY protocol
 */
#include "support/chat_service.h"

#include <ftw.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "dns/cache.h"
#include "inbound/receive/greylist.h"
#include "inbound/receive/receive.h"
#include "queue/flow.h"
#include "queue/journal.h"
#include "queue/shard.h"
#include "submission/submission.h"
#include "support/chat_directory.h"

enum { STOP_MS = 30000, REMOVE_FDS = 16 };

struct real_service {
    struct engine *engine;
    struct buf *facts;
    struct blocking_pool *segment_pool;
    struct flows *flows;
    struct shard *shard;
    struct submission *submission;
    struct submission_settings settings;
    bool is_inbound; /* then this is there in place of the submission: */
    struct receive *receive;
    struct receive_settings inbound;
    struct receive_listener inbound_listener;
    struct network proxy;
    struct dns_cache *cache;
    struct resolver *resolver;
    int dns_fd;
    struct sockaddr_in dns_address;
    pthread_t dns_thread;
    struct spool_settings spool;
    struct network trust;
    struct submission_listener listener;
    struct network plaintext;
    struct chat_directory directory_of_tenants;
    char directory[64];
    bool is_stopping, is_closing, is_closed;
    _Atomic int load;
};

/* A message that is being read back. */
struct reading {
    struct real_service *service;
    struct load load;
    struct content_read content_read;
    struct message *message;
    struct buf content;
};

/* Scripts ask what is said, not what a disk does: each seed would wait for its syncs. */
static const char *directory_of_spools(void)
{
    const char *tmp = getenv("TMPDIR");

    if (tmp != NULL)
        return tmp;
    return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

static void *create(struct engine *engine, struct buf *facts)
{
    struct real_service *service = calloc(1, sizeof(*service));

    check(service != NULL);
    login_guard_forget_all();
    event_set_node(0x1234);
    service->engine = engine;
    service->facts = facts;
    service->settings = (struct submission_settings){
        .hostname = "relay.example",
        .sessions = {.sessions_max = 100},
        .smtp = {.message_size_max = 1 << 20, .recipients_max = 1000},
        .login = {.failures_max = 5, .guard = {.block_ms = 60000}},
    };
    check(network_parse(BYTES("127.0.0.0/8"), &service->trust));
    service->listener =
        (struct submission_listener){.name = "test", .trust = &service->trust, .trust_count = 1};
    snprintf(service->directory, sizeof(service->directory), "%.40s/chat-XXXXXX",
             directory_of_spools());
    check(mkdtemp(service->directory) != NULL);
    service->spool = (struct spool_settings){.directory = service->directory,
                                             .segment_size = 8 << 20,
                                             .spare_segments = 1,
                                             .resident_max = 64 << 20};
    return service;
}

static void *create_inbound(struct engine *engine, struct buf *facts)
{
    struct real_service *service = create(engine, facts);

    greylist_forget_all();
    service->is_inbound = true;
    service->inbound = (struct receive_settings){
        .hostname = "relay.example",
        .sessions = {.sessions_max = 100},
        .smtp = {.message_size_max = 1 << 20, .recipients_max = 1000},
        .verify_timeout_ms = 200,
    };
    service->inbound_listener = (struct receive_listener){.name = "inbound"};
    chat_directory_init(&service->directory_of_tenants);
    return service;
}

/* What only inbound has. */
static bool config_inbound(struct real_service *service, struct bytes key, uint64_t value)
{
    struct receive_settings *settings = &service->inbound;

    if (!service->is_inbound)
        return false;
    if (bytes_equal(key, BYTES("unknown")))
        settings->unknown_max = (unsigned)value;
    else if (bytes_equal(key, BYTES("greet_delay_ms")))
        settings->door.greet_delay_ms = (int64_t)value;
    else if (bytes_equal(key, BYTES("greylist_ms")))
        settings->greylist_ms = (int64_t)value;
    else if (bytes_equal(key, BYTES("sessions_per_network")))
        settings->sessions_per_network_max = (unsigned)value;
    else if (bytes_equal(key, BYTES("temperror")))
        settings->rules.temperror = (int)value;
    else if (bytes_equal(key, BYTES("dns_ms")))
        settings->verify_timeout_ms = (unsigned)value;
    else
        return false;
    return true;
}

static void take_limits(struct real_service *service)
{
    service->inbound.smtp = service->settings.smtp;
    service->inbound.sessions = service->settings.sessions;
    service->inbound.received_max = service->settings.received_max;
    service->inbound.tls = service->settings.tls;
    service->inbound_listener.tls = service->listener.tls;
}

static bool config_number(struct real_service *service, struct bytes key, uint64_t value)
{
    struct submission_settings *settings = &service->settings;
    unsigned count = (unsigned)value;

    if (bytes_equal(key, BYTES("message_size")))
        settings->smtp.message_size_max = value;
    else if (bytes_equal(key, BYTES("recipients_max")))
        settings->smtp.recipients_max = count;
    else if (bytes_equal(key, BYTES("errors_max")))
        settings->smtp.errors_max = count;
    else if (bytes_equal(key, BYTES("line_length")))
        settings->smtp.line_length_max = value;
    else if (bytes_equal(key, BYTES("command_timeout")))
        settings->smtp.command_timeout_s = count;
    else if (bytes_equal(key, BYTES("content_timeout")))
        settings->smtp.content_timeout_s = count;
    else if (bytes_equal(key, BYTES("content_deadline")))
        settings->smtp.content_deadline_s = count;
    else if (bytes_equal(key, BYTES("content_rate")))
        settings->smtp.content_rate_min = count;
    else if (bytes_equal(key, BYTES("idle_commands")))
        settings->smtp.idle_commands_max = count;
    else if (bytes_equal(key, BYTES("strict_syntax")))
        settings->smtp.is_strict = value != 0;
    else if (bytes_equal(key, BYTES("sessions_max")))
        settings->sessions.sessions_max = count;
    else if (bytes_equal(key, BYTES("sessions_per_client")))
        settings->sessions.sessions_per_client_max = count;
    else if (bytes_equal(key, BYTES("login_failures")))
        settings->login.failures_max = count;
    else if (bytes_equal(key, BYTES("login_network_failures")))
        settings->login.guard.failures_max = count;
    else if (bytes_equal(key, BYTES("received_max")))
        settings->received_max = count;
    else if (bytes_equal(key, BYTES("resident")))
        service->spool.resident_max = value;
    else if (bytes_equal(key, BYTES("memory")))
        service->spool.memory_max = value;
    else
        return false;
    return true;
}

static bool config(void *context, struct bytes key, struct bytes value)
{
    struct real_service *service = context;
    uint64_t number;

    if (bytes_equal(key, BYTES("trust"))) {
        service->listener.trust_count = bytes_equal(value, BYTES("none")) ? 0 : 1;
        return service->listener.trust_count == 0 || network_parse(value, &service->trust);
    }
    if (bytes_equal(key, BYTES("login"))) {
        chat_directory_init(&service->directory_of_tenants);
        service->listener.plaintext = &service->plaintext;
        service->listener.plaintext_count = 1;
        return network_parse(value, &service->plaintext);
    }
    if (chat_directory_rule(&service->directory_of_tenants, key, value))
        return true;
    if (bytes_equal(key, BYTES("proxy"))) {
        service->inbound.proxies = &service->proxy;
        service->inbound.proxy_count = 1;
        return network_parse(value, &service->proxy);
    }
    return bytes_to_u64(value, &number) &&
           (config_inbound(service, key, number) || config_number(service, key, number));
}

static void set_tls(void *context, struct tls_context *tls_context, enum smtp_tls tls)
{
    struct real_service *service = context;

    service->settings.tls = tls_context;
    service->listener.tls = tls;
}

/* --- what became of it ------------------------------------------------------------------------ */

static void tell(struct reading *reading)
{
    struct real_service *service = reading->service;
    const struct message *message = reading->message;
    struct buf line;
    char id[MESSAGE_ID_TEXT_MAX];

    message_id_format(message->id, id);
    bool is_traced = bytes_find_bytes(message->prefix, bytes_of(id), 0) != message->prefix.len;
    buf_init(&line, 1 << 24);
    check(buf_printf(&line, "message from=%.*s to=", BYTES_ARG(message->reverse_path)));
    for (size_t i = 0; i < message->recipient_count; i++)
        check(buf_printf(&line, "%s%.*s", i > 0 ? "," : "",
                         BYTES_ARG(message->recipients[i].address)));
    check(buf_printf(&line,
                     " size=%llu helo=%.*s body=%s smtputf8=%d needs_smtputf8=%d ret=%d envid=%.*s "
                     "client=%.*s service=%.*s message_id=%.*s extents=%zu received_names_id=%d",
                     (unsigned long long)message->content.size, BYTES_ARG(message->client_ehlo),
                     message->body == SMTP_BODY_8BITMIME ? "8BITMIME" : "7BIT", message->smtputf8,
                     message->needs_smtputf8, (int)message->ret, BYTES_ARG(message->envid),
                     BYTES_ARG(message->client_ip), BYTES_ARG(message->service),
                     BYTES_ARG(message->header_message_id), message->content.extent_count,
                     is_traced));
    chat_fact(service->facts, "%.*s", BYTES_ARG(buf_bytes(&line)));
    chat_fact(service->facts, "owner tenant=%.*s credential=%llu class=%s",
              BYTES_ARG(message->tenant), (unsigned long long)message->credential,
              mail_class_name(message->class));
    for (size_t i = 0; i < message->recipient_count; i++)
        chat_fact(service->facts, "recipient %.*s domain=%.*s notify=%u orcpt=%.*s",
                  BYTES_ARG(message->recipients[i].address),
                  BYTES_ARG(message->recipients[i].domain), message->recipients[i].notify,
                  BYTES_ARG(message->recipients[i].orcpt));
    chat_fact_bytes(service->facts, "prefix", message->prefix);
    chat_fact_bytes(service->facts, "content", buf_bytes(&reading->content));
    check(buf_len(&reading->content) == message->content.size);
    buf_free(&line);
}

static void reading_free(struct reading *reading)
{
    message_release(&reading->message);
    buf_free(&reading->content);
    free(reading);
}

static void on_piece(struct content_read *read, int result, struct bytes piece)
{
    struct reading *reading = container_of(read, struct reading, content_read);
    struct shard *shard = reading->service->shard;

    if (result > 0) {
        check(buf_append(&reading->content, piece));
        shard_read_content(shard, reading->message, &reading->content_read);
        return;
    }
    if (result < 0)
        chat_fact(reading->service->facts, "unreadable %d", result);
    else
        tell(reading);
    shard_read_content_end(shard, &reading->content_read);
    reading_free(reading);
}

static void on_loaded(struct load *load, int result, struct message *message)
{
    struct reading *reading = container_of(load, struct reading, load);

    if (result < 0) {
        chat_fact(reading->service->facts, "unreadable %d", result);
        reading_free(reading);
        return;
    }
    reading->message = message;
    if (message->content.memory.ptr != NULL || message->content.size == 0) {
        check(buf_append(&reading->content, message->content.memory));
        tell(reading);
        reading_free(reading);
        return;
    }
    reading->content_read.done = on_piece;
    shard_read_content(reading->service->shard, message, &reading->content_read);
}

static void on_due(void *context, struct shard *shard, struct pending *pending)
{
    struct real_service *service = context;

    if (pending_number(pending) != 0)
        return;
    struct reading *reading = calloc(1, sizeof(*reading));
    check(reading != NULL);
    reading->service = service;
    buf_init(&reading->content, 1 << 30);
    list_node_init(&reading->load.node);
    list_node_init(&reading->content_read.node);
    reading->load.stub = pending_stub(pending);
    reading->load.done = on_loaded;
    shard_load(shard, &reading->load);
}

static void on_event(void *context, const struct event *event)
{
    struct real_service *service = context;

    if (event->kind == EVENT_REJECTED) /* as the stub tells it, for scripts that run with both */
        chat_fact(service->facts, "refused %u %u.%u.%u rule=%.*s", event->reply_code,
                  event->enhanced_class, event->enhanced_subject, event->enhanced_detail,
                  BYTES_ARG(event->rule));
    chat_fact(service->facts,
              "event %s recipient=%.*s sender=%.*s reply=%u %u.%u.%u rule=%.*s class=%.*s "
              "client=%.*s helo=%.*s service=%.*s size=%llu",
              event_kind_name(event->kind), BYTES_ARG(event->recipient), BYTES_ARG(event->sender),
              event->reply_code, event->enhanced_class, event->enhanced_subject,
              event->enhanced_detail, BYTES_ARG(event->rule), BYTES_ARG(event->class),
              BYTES_ARG(event->client_ip), BYTES_ARG(event->client_ehlo), BYTES_ARG(event->service),
              (unsigned long long)event->size);
}

static void on_journaled(void *context, struct shard *shard, uint64_t position,
                         struct bytes records)
{
    journal_events(shard_index(shard), position, records, on_event, context);
}

static void on_domain_idle(void *context __attribute__((unused)),
                           struct domain *domain __attribute__((unused)))
{
}

static int64_t on_delay_max(void *context __attribute__((unused)),
                            const struct domain *domain __attribute__((unused)))
{
    return INT64_MAX / 2;
}

static void on_recovery_failed(void *context, struct shard *shard, int error)
{
    (void)context, (void)shard, (void)error;
    check(false); /* it recovers nothing later */
}

/* --- life ------------------------------------------------------------------------------------- */

static enum mailbox_room room_of(void *context __attribute__((unused)),
                                 const struct directory_account *account,
                                 uint64_t size __attribute__((unused)))
{
    if (bytes_starts_nocase(account->address, BYTES("full@")))
        return MAILBOX_IS_FULL;
    return bytes_starts_nocase(account->address, BYTES("small@")) ? MAILBOX_IS_TOO_SMALL
                                                                  : MAILBOX_HAS_ROOM;
}

/* A name server that refuses all: checks end as temperror, at once and whatever the clock does. An
 * empty packet ends it. */
static void *refuse_questions(void *context)
{
    struct real_service *service = context;
    struct sockaddr_in peer;
    uint8_t packet[512];

    for (;;) {
        socklen_t peer_len = sizeof(peer);
        ssize_t len = recvfrom(service->dns_fd, packet, sizeof(packet), 0, (struct sockaddr *)&peer,
                               &peer_len);

        if (len == 0)
            return NULL;
        if (len < 12)
            continue;
        packet[2] |= 0x80; /* an answer */
        packet[3] = 5;     /* REFUSED */
        (void)sendto(service->dns_fd, packet, (size_t)len, 0, (struct sockaddr *)&peer, peer_len);
    }
}

static void start_refusing(struct real_service *service)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(service->dns_address);

    service->dns_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check(service->dns_fd >= 0);
    check(bind(service->dns_fd, (struct sockaddr *)&any, sizeof(any)) == 0);
    check(getsockname(service->dns_fd, (struct sockaddr *)&service->dns_address, &len) == 0);
    check(pthread_create(&service->dns_thread, NULL, refuse_questions, service) == 0);
}

static void stop_refusing(struct real_service *service)
{
    check(sendto(service->dns_fd, "", 0, 0, (struct sockaddr *)&service->dns_address,
                 sizeof(service->dns_address)) == 0);
    pthread_join(service->dns_thread, NULL);
    close(service->dns_fd);
}

static bool start_inbound(struct real_service *service)
{
    char servers[32];
    struct dns_settings dns = {.servers = servers, .tries = 1};
    const char *why = NULL;

    start_refusing(service);
    snprintf(servers, sizeof(servers), "127.0.0.1:%u", ntohs(service->dns_address.sin_port));

    service->cache = resolver_cache_create(&dns);
    service->resolver = resolver_create(service->engine, service->cache, &dns, &why);
    if (service->resolver == NULL) {
        fprintf(stderr, "resolver_create: %s\n", why);
        return false;
    }
    struct receive_setup setup = {
        .engine = service->engine,
        .shard = service->shard,
        .resolver = service->resolver,
        .lists = service->resolver,
        .reader = service->directory_of_tenants.reader,
        .load = &service->load,
        .room = room_of,
    };

    take_limits(service);
    service->receive = receive_create(&setup, &service->inbound);
    return true;
}

static bool start(void *context)
{
    struct real_service *service = context;
    struct recovery recovery;
    char why[256] = "";

    service->segment_pool = blocking_pool_start(
        &(struct blocking_settings){.name = "segments", .threads = 1, .waiting_max = 16});
    service->flows = flows_create();
    struct shard_setup setup = {
        .engine = service->engine,
        .segment_pool = service->segment_pool,
        .flows = service->flows,
        .settings = &service->spool,
        .hooks = {service, on_due, on_journaled, on_domain_idle, on_delay_max, on_recovery_failed},
    };
    int error = shard_open(&setup, &service->shard, &recovery, why);
    if (error < 0) {
        fprintf(stderr, "shard_open: %d %s\n", error, why);
        return false;
    }
    if (service->is_inbound)
        return start_inbound(service);
    service->submission =
        submission_create(service->engine, service->shard, &service->settings, &service->load);
    if (service->directory_of_tenants.feed != NULL)
        submission_read(service->submission, service->directory_of_tenants.reader);
    return true;
}

static void accept_fd(void *context, int fd)
{
    struct real_service *service = context;

    if (service->is_inbound)
        receive_accept(service->receive, fd, &service->inbound_listener);
    else
        submission_accept(service->submission, fd, &service->listener);
}

static void on_stopped(void *context)
{
    struct real_service *service = context;

    chat_fact(service->facts, "stopped");
    service->is_closing = true;
}

static void on_closed(void *context)
{
    struct real_service *service = context;

    service->is_closed = true;
}

static void stop(struct real_service *service, int64_t after_ms)
{
    if (service->is_stopping)
        return;
    service->is_stopping = true;
    if (service->is_inbound)
        receive_stop(service->receive, engine_now_ms(service->engine) + after_ms, on_stopped,
                     service);
    else
        submission_stop(service->submission, engine_now_ms(service->engine) + after_ms, on_stopped,
                        service);
}

static void abort_sessions(struct real_service *service)
{
    if (service->is_inbound)
        receive_abort(service->receive);
    else
        submission_abort(service->submission);
}

static void configure(struct real_service *service)
{
    take_limits(service);
    if (service->is_inbound)
        receive_configure(service->receive, &service->inbound);
    else
        submission_configure(service->submission, &service->settings);
}

static bool command(void *context, struct bytes word, struct bytes argument)
{
    struct real_service *service = context;
    struct bytes key;

    if (bytes_equal(word, BYTES("STOP"))) {
        stop(service, STOP_MS);
    } else if (bytes_equal(word, BYTES("ABORT"))) {
        abort_sessions(service);
    } else if (bytes_equal(word, BYTES("RULE"))) {
        if (!bytes_take_until(&argument, ' ', &key) || !config(context, key, argument))
            return false;
        configure(service);
    } else {
        return false;
    }
    return true;
}

static void abort_all(void *context)
{
    struct real_service *service = context;

    if (service->submission == NULL && service->receive == NULL) {
        service->is_closed = true;
        return;
    }
    abort_sessions(service);
    stop(service, 0);
}

static bool is_idle(void *context)
{
    struct real_service *service = context;

    if (service->is_closing) {
        service->is_closing = false;
        shard_close(service->shard, on_closed, service);
    }
    return service->is_closed;
}

static int remove_path(const char *path, const struct stat *status __attribute__((unused)),
                       int type __attribute__((unused)), struct FTW *ftw __attribute__((unused)))
{
    return remove(path);
}

static void free_inbound(struct real_service *service)
{
    check(receive_sessions(service->receive) == 0);
    check(service->load == 0);
    receive_free(&service->receive);
    shard_free(&service->shard);
    resolver_destroy(&service->resolver);
    for (int i = 0; i < 3; i++)
        engine_turn(service->engine, 0); /* what was polled for is freed there */
    dns_cache_free(&service->cache);
    stop_refusing(service);
}

static void free_service(void *context)
{
    struct real_service *service = context;

    if (service->receive != NULL)
        free_inbound(service);

    if (service->submission != NULL) {
        check(submission_sessions(service->submission) == 0);
        check(service->load == 0);
        submission_free(&service->submission);
        shard_free(&service->shard);
    }
    chat_directory_free(&service->directory_of_tenants);
    blocking_pool_stop(&service->segment_pool);
    if (service->flows != NULL)
        flows_free(&service->flows);
    nftw(service->directory, remove_path, REMOVE_FDS, FTW_DEPTH | FTW_PHYS);
    free(service);
}

const struct chat_service chat_service_submission = {
    .name = "submission",
    .create = create,
    .config = config,
    .start = start,
    .accept = accept_fd,
    .set_tls = set_tls,
    .command = command,
    .abort = abort_all,
    .is_idle = is_idle,
    .free = free_service,
};

const struct chat_service chat_service_inbound = {
    .name = "inbound",
    .create = create_inbound,
    .config = config,
    .start = start,
    .accept = accept_fd,
    .set_tls = set_tls,
    .command = command,
    .abort = abort_all,
    .is_idle = is_idle,
    .free = free_service,
};
