/*
 * chat_client.c - runs a script of tests/chat/client: chat-client-fake or chat-client-real
 * SCRIPT [SEEDS]. On the fake engine once a seed. Exit code 77: skipped.
 *
 * The script plays the server of every host; `S:` lines are sent, `C:` lines are what delivery
 * sends. A connection of the script is the next one that delivery opens. EXPECT sees the facts of
 * unit/delivery/world.c: "event KIND ADDRESS STATUS code=... class=...", "dsn ...", "dsn-line ...".
 *
 *   CONFIG mx DOMAIN HOSTS|word  see world.h; address "closed" stands for one that refuses
 *   CONFIG retry FIRST FACTOR MAX MAX_AGE DELAY_NOTICE (seconds)
 *   CONFIG connections|recipients|messages_per_connection|idle|rate|connect_timeout N
 *   CONFIG route MATCH TARGET[,TARGET]   targets with port 0: the script's own
 *   CONFIG tls LEVEL             TLS is spoken; "none", "opportunistic", "require", "verify"
 *   CONFIG tls_of MATCH LEVEL [NAME]  a rule before that one
 *   CONFIG dsn_size N            bytes returned
 *   CONFIG notice_wait N         seconds
 *   CONFIG deliver_dsns 1        notifications are sent, not only recorded
 *   CONFIG input_small 1         the script's sockets have small buffers
 *   CONFIG ages_sure 1           what the start found is as old as it seems
 *   CONFIG receive N             delivery reads at most N bytes at a time (on the fake engine)
 *   MESSAGE FROM TO[,TO] [word...]  submits: 8bit utf8 disk large unreadable damaged
 *                                known-damaged hdrs full
 *                                success never failure delay (NOTIFY) size=N envid=X orcpt=X dots
 *                                requiretls tls-optional (RFC 8689)
 *                                found=S (the start found it, S seconds old by the wall clock)
 *   CLOCK back|forward S         sets the wall clock
 *   MX DOMAIN HOSTS|word         changes it
 *   DUE                          everything scheduled is due now
 *   SUSPEND domain|sender|recipient X, RESUME, CANCEL N M (message n, recipient m), WAKE DOMAIN
 *   STOP seconds                 graceful; fact "stopped"
 *   LOAD-ERROR N, READ-ERROR N   the spool fails
 *   EXPLAIN DOMAIN, EXPLAIN-MESSAGE N M   fact "explain {json}"
 *   STATUS                       fact "status waiting=.. in_attempt=.. connections=.. unheld=.."
 *   CONFIGURE [LEVEL]            the settings are loaded again, with this for CONFIG tls
 *   CERTIFICATE KIND             what SECURE shows from now on (support/chat_tls_server.h)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "support/chat.h"
#include "support/chat_tls_server.h"
#include "unit/delivery/world.h"
#ifdef CHAT_FAKE
#include "support/engine_fake.h"
#endif

enum { FACTS_MAX = 16 << 20, SEEDS = 20, EXIT_SKIPPED = 77, MESSAGES_MAX = 2000, TEXT_MAX = 256 };

struct chat_client {
    struct engine *engine;
    struct world world;
    struct buf facts;
    int listen_fd;
    uint16_t closed_port;
    bool has_small_input;
    struct route routes[4];
    const char *targets[4][4];
    struct delivery_settings again; /* for CONFIGURE */
    struct tls_rule rules[4];       /* the last is for all */
    struct tls_rule rules_again[4];
    const char *names[4];
    struct message_id ids[MESSAGES_MAX];
    size_t id_count;
    struct suspension suspension;
    char suspended[TEXT_MAX];
};

static int listen_anywhere(uint16_t *port_out)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t len = sizeof(any);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    check(fd >= 0);
    check(bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0);
    check(getsockname(fd, (struct sockaddr *)&any, &len) == 0);
    *port_out = ntohs(any.sin_port);
    return fd;
}

/* A copy that lives as long as the world. */
static const char *keep(struct chat_client *chat, struct bytes text)
{
    struct bytes copy;

    check(arena_copy(&chat->world.arena, text, &copy));
    return (const char *)copy.ptr;
}

static struct bytes take_word(struct bytes *text)
{
    struct bytes word;

    if (bytes_take_until(text, ' ', &word))
        return word;
    word = *text;
    *text = BYTES_NONE;
    return word;
}

/* Every "closed" becomes an address that refuses connections. */
static bool set_mx(struct chat_client *chat, struct bytes line)
{
    char text[1024];
    size_t at = 0;

    while (line.len > 0 && at + 64 < sizeof(text)) {
        if (bytes_take_nocase(&line, BYTES("closed"))) {
            at += (size_t)snprintf(text + at, sizeof(text) - at, "127.0.0.1:%u", chat->closed_port);
            continue;
        }
        text[at++] = (char)line.ptr[0];
        line = bytes_slice(line, 1, line.len);
    }
    return world_mx(&chat->world, bytes_range(text, at));
}

static bool set_retry(struct chat_client *chat, struct bytes value)
{
    struct retry_rule *rule = &chat->world.retry;
    uint64_t numbers[5] = {0};

    for (size_t i = 0; i < 5 && value.len > 0; i++)
        if (!bytes_to_u64(take_word(&value), &numbers[i]))
            return false;
    rule->first_s = (unsigned)numbers[0];
    rule->factor = (double)numbers[1];
    rule->max_s = (unsigned)numbers[2];
    rule->max_age_s = (unsigned)numbers[3];
    rule->delay_notice_s = (unsigned)numbers[4];
    return true;
}

static bool add_route(struct chat_client *chat, struct bytes value)
{
    size_t number = chat->world.settings.route_count++;
    struct route *route = &chat->routes[number];
    struct bytes target;
    char text[TEXT_MAX];

    check(number < ARRAY_LEN(chat->routes));
    route->match = keep(chat, take_word(&value));
    route->targets = chat->targets[number];
    while (value.len > 0 && route->target_count < 4) {
        if (!bytes_take_until(&value, ',', &target)) {
            target = value;
            value = BYTES_NONE;
        }
        if (bytes_ends_nocase(target, BYTES(":0"))) {
            target.len -= 2;
            snprintf(text, sizeof(text), "%.*s:%u", BYTES_ARG(target), chat->world.port);
            target = bytes_of(text);
        }
        route->targets[route->target_count++] = keep(chat, target);
    }
    chat->world.settings.routes = chat->routes;
    return true;
}

static bool take_level(struct bytes text, int *level_out)
{
    for (int level = 0; level < TLS_LEVEL_REFUSE; level++) {
        if (!bytes_equal(text, bytes_of(tls_level_name((enum tls_level)level))))
            continue;
        *level_out = level;
        return true;
    }
    return false;
}

/* For all; those for some come before it. */
static bool set_tls(struct chat_client *chat, struct bytes level)
{
    struct delivery_settings *settings = &chat->world.settings;
    struct tls_rule *rule = &chat->rules[settings->tls_rule_count++];

    check(settings->tls_rule_count <= ARRAY_LEN(chat->rules));
    settings->tls_rules = chat->rules;
    rule->match = "*";
    if (chat->world.tls == NULL)
        chat->world.tls = chat_tls_server_clients();
    return take_level(level, &rule->level);
}

static bool add_tls_rule(struct chat_client *chat, struct bytes value)
{
    size_t number = chat->world.settings.tls_rule_count;
    const char *match = keep(chat, take_word(&value));
    struct tls_rule *rule = &chat->rules[number];

    if (!set_tls(chat, take_word(&value)))
        return false;
    rule->match = match;
    if (value.len == 0)
        return true;
    chat->names[number] = keep(chat, value);
    rule->names = &chat->names[number];
    rule->name_count = 1;
    return true;
}

static void receive_in_pieces(struct chat_client *chat, size_t len)
{
#ifdef CHAT_FAKE
    fake_shorten(chat->engine, FAKE_RECEIVE, FAKE_EVERY, len);
#else
    (void)chat;
    (void)len;
#endif
}

static bool config(void *context, struct bytes key, struct bytes value)
{
    struct chat_client *chat = context;
    struct world *world = &chat->world;
    const struct {
        const char *key;
        unsigned *number;
    } numbers[] = {
        {"connections", &world->egress.connections},
        {"recipients", &world->egress.recipients},
        {"messages_per_connection", &world->egress.messages_per_connection},
        {"idle", &world->egress.idle_s},
        {"connect_timeout", &world->settings.connect_timeout_s},
        {"dsn_size", &world->settings.dsn_size_max},
        {"notice_wait", &world->settings.notice_wait_s},
    };
    uint64_t number;

    if (bytes_equal(key, BYTES("mx")))
        return set_mx(chat, value);
    if (bytes_equal(key, BYTES("retry")))
        return set_retry(chat, value);
    if (bytes_equal(key, BYTES("route")))
        return add_route(chat, value);
    if (bytes_equal(key, BYTES("tls")))
        return set_tls(chat, value);
    if (bytes_equal(key, BYTES("tls_of")))
        return add_tls_rule(chat, value);
    if (!bytes_to_u64(value, &number))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (bytes_equal(key, bytes_of(numbers[i].key))) {
            *numbers[i].number = (unsigned)number;
            return true;
        }
    }
    if (bytes_equal(key, BYTES("rate")))
        world->egress.messages_per_s = (double)number;
    else if (bytes_equal(key, BYTES("deliver_dsns")))
        world->delivers_dsns = number != 0;
    else if (bytes_equal(key, BYTES("input_small")))
        chat->has_small_input = number != 0;
    else if (bytes_equal(key, BYTES("ages_sure")))
        world->ages_sure_from_ms = number != 0 ? INT64_MIN : 0;
    else if (bytes_equal(key, BYTES("receive")))
        receive_in_pieces(chat, (size_t)number);
    else
        return false;
    return true;
}

static bool start(void *context)
{
    struct chat_client *chat = context;

    if (chat->has_small_input) {
        int size = 4096;

        check(setsockopt(chat->listen_fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) == 0);
    }
    check(listen(chat->listen_fd, 100) == 0);
    world_start(&chat->world);
    return true;
}

static int open_connection(void *context, unsigned number)
{
    struct chat_client *chat = context;

    (void)number;
    return accept4(chat->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static void turn(void *context, int wait_ms)
{
    struct chat_client *chat = context;

    engine_turn(chat->engine, wait_ms);
}

#ifdef CHAT_FAKE
static void advance(void *context, int64_t ms)
{
    struct chat_client *chat = context;

    fake_advance_ms(chat->engine, ms);
}
#endif

/* Content of about that many bytes, every tenth line beginning with a dot. */
static void fill_content(struct buf *content, uint64_t size)
{
    check(buf_append(content, BYTES("Subject: large\r\n\r\n")));
    for (unsigned i = 0; buf_len(content) < size; i++)
        check(buf_printf(content, "%sline %u of a large message, to be stuffed and counted\r\n",
                         i % 10 == 0 ? "." : "", i));
}

static bool message_word(struct chat_client *chat, struct bytes word, struct world_message *message,
                         struct buf *content)
{
    uint64_t number;
    static const struct {
        const char *word;
        unsigned notify;
    } notifies[] = {
        {"never", SMTP_NOTIFY_NEVER},
        {"success", SMTP_NOTIFY_SUCCESS},
        {"failure", SMTP_NOTIFY_FAILURE},
        {"delay", SMTP_NOTIFY_DELAY},
    };
    const struct {
        const char *word;
        bool *flag;
    } flags[] = {
        {"8bit", &message->is_8bit},
        {"utf8", &message->is_utf8},
        {"disk", &message->is_on_disk},
        {"large", &message->is_large},
        {"unreadable", &message->is_unreadable},
        {"damaged", &message->is_damaged},
        {"known-damaged", &message->is_known_damaged},
    };

    for (size_t i = 0; i < ARRAY_LEN(notifies); i++)
        if (bytes_equal(word, bytes_of(notifies[i].word)))
            return (message->notify |= notifies[i].notify) != 0;
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (bytes_equal(word, bytes_of(flags[i].word)))
            return *flags[i].flag = true;
    if (bytes_equal(word, BYTES("requiretls")))
        message->tls = MAIL_TLS_REQUIRED;
    else if (bytes_equal(word, BYTES("tls-optional")))
        message->tls = MAIL_TLS_OPTIONAL;
    else if (bytes_equal(word, BYTES("hdrs")))
        message->ret = SMTP_RET_HDRS;
    else if (bytes_equal(word, BYTES("full")))
        message->ret = SMTP_RET_FULL;
    else if (bytes_equal(word, BYTES("dots")))
        message->content = "Subject: dots\r\n\r\n.\r\n..\r\n.x\r\nend\r\n";
    else if (bytes_equal(word, BYTES("latin")))
        message->content = "Subject: 8\r\n\r\ncaf\xe9\r\n";
    else if (bytes_equal(word, BYTES("prefix")))
        message->prefix = "Received: by relay.example\r\n";
    else if (bytes_take_nocase(&word, BYTES("envid=")))
        message->envid = keep(chat, word);
    else if (bytes_take_nocase(&word, BYTES("orcpt=")))
        message->orcpt = keep(chat, word);
    else if (bytes_take_nocase(&word, BYTES("size=")) && bytes_to_u64(word, &number))
        fill_content(content, number);
    else if (bytes_take_nocase(&word, BYTES("found=")) && bytes_to_u64(word, &number))
        message->found_age_s = (unsigned)number;
    else
        return false;
    return true;
}

static bool submit(struct chat_client *chat, struct bytes argument)
{
    struct world_message message = {0};
    struct bytes from = take_word(&argument);
    struct buf content;

    buf_init(&content, 32 << 20);
    message.from = bytes_equal(from, BYTES("<>")) ? "" : keep(chat, from);
    message.to = keep(chat, take_word(&argument));
    while (argument.len > 0)
        if (!message_word(chat, take_word(&argument), &message, &content))
            return false;
    if (buf_len(&content) > 0) {
        message.content = (const char *)buf_bytes(&content).ptr;
        message.content_len = buf_len(&content);
    }
    check(chat->id_count < MESSAGES_MAX);
    chat->ids[chat->id_count++] = world_submit(&chat->world, &message);
    buf_free(&content);
    return true;
}

static bool suspend(struct chat_client *chat, struct bytes argument)
{
    struct bytes what = take_word(&argument);

    chat->suspension = (struct suspension){.number = 1};
    snprintf(chat->suspended, sizeof(chat->suspended), "%.*s", BYTES_ARG(argument));
    if (bytes_equal(what, BYTES("domain")))
        chat->suspension.domain = chat->suspended;
    else if (bytes_equal(what, BYTES("sender")))
        chat->suspension.sender = chat->suspended;
    else if (bytes_equal(what, BYTES("recipient")))
        chat->suspension.recipient = chat->suspended;
    else if (bytes_equal(what, BYTES("minute")))
        chat->suspension.until_ms = engine_now_ms(chat->engine) + 60000;
    else
        return false;
    delivery_suspend(chat->world.delivery, 1, &chat->suspension);
    return true;
}

/* "N M": recipient M of message N, both from 1. */
static struct pending *named_pending(struct chat_client *chat, struct bytes argument)
{
    uint64_t message;
    uint64_t number;

    if (!bytes_to_u64(take_word(&argument), &message) || !bytes_to_u64(argument, &number) ||
        message == 0 || number == 0 || message > chat->id_count)
        return NULL;
    return world_pending(&chat->world, chat->ids[message - 1], number - 1);
}

static void on_stopped(void *context)
{
    struct chat_client *chat = context;

    chat->world.has_stopped = true;
    chat_fact(&chat->facts, "stopped");
}

static void explain(struct chat_client *chat, bool is_said, struct buf *out)
{
    check(is_said);
    chat_fact_bytes(&chat->facts, "explain", buf_bytes(out));
    buf_free(out);
}

static void on_site_line(void *context, struct bytes json)
{
    struct chat_client *chat = context;

    chat_fact_bytes(&chat->facts, "site", json);
}

static void tell_status(struct chat_client *chat)
{
    struct delivery_status s;

    world_status(&chat->world, &s);
    chat_fact(&chat->facts,
              "status waiting=%llu in_attempt=%llu connections=%llu sites=%llu resting=%llu "
              "unheld=%llu unfinished=%zu",
              (unsigned long long)s.waiting, (unsigned long long)s.in_attempt,
              (unsigned long long)s.connections, (unsigned long long)s.sites,
              (unsigned long long)s.resting_sites, (unsigned long long)s.unheld,
              world_unfinished(&chat->world));
    delivery_sites(chat->world.delivery, on_site_line, chat);
}

static bool operate(struct chat_client *chat, struct bytes word, struct bytes argument)
{
    struct world *world = &chat->world;
    struct pending *pending;
    struct buf out;

    buf_init(&out, 1 << 20);
    if (bytes_equal(word, BYTES("EXPLAIN"))) {
        explain(chat, delivery_explain_domain(world->delivery, argument, &out), &out);
        return true;
    }
    if (bytes_equal(word, BYTES("WAKE"))) {
        struct domain *domain = domain_find(world->flows, MAIL_TLS_ANY, argument);

        if (domain != NULL)
            delivery_wake(world->delivery, domain);
        return domain != NULL;
    }
    if ((pending = named_pending(chat, argument)) == NULL)
        return false;
    if (bytes_equal(word, BYTES("EXPLAIN-MESSAGE")))
        explain(chat,
                delivery_explain_pending(world->delivery, pending,
                                         stub_message(pending_stub(pending)), &out),
                &out);
    else if (bytes_equal(word, BYTES("CANCEL")))
        chat_fact(&chat->facts, "cancel %d",
                  delivery_cancel(world->delivery, world->shard, pending, "by the script"));
    else
        return false;
    return true;
}

static bool set_clock(struct chat_client *chat, struct bytes argument)
{
    struct bytes direction = take_word(&argument);
    bool is_back = bytes_equal(direction, BYTES("back"));
    uint64_t seconds;

    if ((!is_back && !bytes_equal(direction, BYTES("forward"))) ||
        !bytes_to_u64(argument, &seconds))
        return false;
#ifdef CHAT_FAKE
    fake_step_wall_ms(chat->engine, (is_back ? -1 : 1) * (int64_t)seconds * 1000);
#else
    (void)chat; /* such scripts move time, too, and are not run on the real engine */
#endif
    return true;
}

static bool command(void *context, struct bytes word, struct bytes argument)
{
    struct chat_client *chat = context;
    struct world *world = &chat->world;
    uint64_t number = 0;
    bool is_number = bytes_to_u64(argument, &number);

    if (bytes_equal(word, BYTES("MESSAGE")))
        return submit(chat, argument);
    if (bytes_equal(word, BYTES("MX")))
        return set_mx(chat, argument);
    if (bytes_equal(word, BYTES("CERTIFICATE")))
        return chat_tls_server_show(argument);
    if (bytes_equal(word, BYTES("SUSPEND")))
        return suspend(chat, argument);
    if (bytes_equal(word, BYTES("DUE")))
        world_retry_all(world);
    else if (bytes_equal(word, BYTES("RESUME")))
        delivery_suspend(world->delivery, 0, NULL);
    else if (bytes_equal(word, BYTES("STATUS")))
        tell_status(chat);
    else if (bytes_equal(word, BYTES("CLOCK")))
        return set_clock(chat, argument);
    else if (bytes_equal(word, BYTES("LOAD-ERROR")) && is_number)
        world->load_error = (unsigned)number;
    else if (bytes_equal(word, BYTES("READ-ERROR")) && is_number)
        world->read_error = (unsigned)number;
    else if (bytes_equal(word, BYTES("OUTCOMES-MAX")) && is_number)
        world->outcomes_max = (size_t)number;
    else if (bytes_equal(word, BYTES("STOP")) && is_number)
        delivery_stop(world->delivery, engine_now_ms(chat->engine) + (int64_t)number * 1000,
                      on_stopped, chat);
    else if (bytes_equal(word, BYTES("CONFIGURE"))) {
        chat->again = world->settings;
        memcpy(chat->rules_again, chat->rules, sizeof(chat->rules));
        chat->again.tls_rules = chat->rules_again;
        if (argument.len > 0 &&
            !take_level(argument, &chat->rules_again[chat->again.tls_rule_count - 1].level))
            return false;
        delivery_configure(world->delivery, &chat->again);
    } else
        return operate(chat, word, argument);
    return true;
}

static int run_once(const char *path)
{
    static struct chat_client chat; /* too large for a stack */
    struct engine_settings settings = {0};
    uint16_t port;

    chat = (struct chat_client){0};
    buf_init(&chat.facts, FACTS_MAX);
    chat.engine = engine_create(&settings);
    if (chat.engine == NULL) {
        perror("engine_create");
        return 1;
    }
    chat.listen_fd = listen_anywhere(&port);
    int closed_fd = listen_anywhere(&chat.closed_port); /* bound, so that nobody listens there */

    world_init(&chat.world, chat.engine, &chat.facts);
    chat.world.port = port;
    struct chat_fixture fixture = {
        .context = &chat,
        .role = CHAT_PLAYS_SERVER,
        .config = config,
        .start = start,
        .open = open_connection,
        .turn = turn,
        .command = command,
        .facts = &chat.facts,
        .tls = &chat_tls_server,
    };

#ifdef CHAT_FAKE
    fixture.advance = advance;
#endif
    enum chat_result result = chat_run(path, &fixture);

    bool is_freed = world_free(&chat.world);

    tls_context_release(&chat.world.tls);
    chat_tls_server_forget();
    if (!is_freed)
        return 1; /* what is in flight would be freed under the engine: leave it */
    engine_destroy(&chat.engine);
    close(chat.listen_fd);
    close(closed_fd);
    buf_free(&chat.facts);
    if (result == CHAT_SKIPPED)
        return EXIT_SKIPPED;
    return result == CHAT_PASSED ? 0 : 1;
}

int main(int argc, char **argv)
{
    unsigned long seeds = 1;
    int code = 0;

    if (argc < 2) {
        fprintf(stderr, "usage: %s SCRIPT [SEEDS]\n", argv[0]);
        return 2;
    }
    log_setup(LOG_TO_STDERR, getenv("CHAT_DEBUG") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
#ifdef CHAT_FAKE
    unsigned long first = 1;
    const char *only = getenv("FAKE_SEED");

    seeds = argc > 2 ? strtoul(argv[2], NULL, 10) : SEEDS;
    if (only != NULL) {
        first = strtoul(only, NULL, 10);
        seeds = 1;
    }
    for (unsigned long seed = first; seed < first + seeds && code == 0; seed++) {
        fake_seed(seed);
        code = run_once(argv[1]);
        if (code != 0 && code != EXIT_SKIPPED)
            fprintf(stderr, "FAKE_SEED=%lu repeats it\n", seed);
    }
#else
    for (unsigned long i = 0; i < seeds && code == 0; i++)
        code = run_once(argv[1]);
#endif
    return code;
}
