/* modules: client line */
/* threads: one */
/*
 * test_herd.c - a site that was away for an hour comes back: its mail comes in a ramp, not at once.
 *
 * The clock is virtual and goes on by a second once all that could be done in the last one is done,
 * so the peer is as fast as can be: what a second holds is what fell due in it, and no slow peer
 * hides a herd. Sockets and words are real.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The world in which delivery lives is included: one source file a test. */
#include "support/chat.c"
#include "support/engine_fake.h"
#include "unit/delivery/world.c"

#include "base/log.h"
#include "delivery/line/state.h"
#include "support/unit.h"

enum {
    RECIPIENTS = 8000,
    DOMAINS = 7, /* of the one site */
    AWAY_S = 3600,
    END_S = 3 * AWAY_S,
    RETRY_FIRST_S = 300, /* what retry is without a word in ringpost.yaml */
    RETRY_MAX_S = 4 * 3600,
    JITTER_PERCENT = 20,
    REST_MAX_S = 30 * 60, /* egress.h, hosts.h */
    REST_SPREAD = 4,      /* site.c: what waited for a rest comes over a quarter of it */
    TRIES_MAX = 7,        /* in an hour: after rests of 30 s, 1, 2, 4, 8, 16 min */
    /* Times the even share: where that is 8, a fair draw has 33 once in 10^10 seconds. */
    UNEVEN = 4,
    SESSIONS_MAX = 64,
    INPUT_MAX = 8192,
    SECOND_REAL_MS_MAX = 60 * 1000,
};

struct session {
    int fd; /* -1: none */
    bool is_content;
    unsigned recipient; /* of the transaction */
    size_t len;
    char input[INPUT_MAX];
};

struct herd {
    struct engine *engine;
    struct world world;
    int listen_fd;
    bool refuses; /* every recipient, for now */
    unsigned second;
    struct session sessions[SESSIONS_MAX];
    unsigned session_count, session_count_max;
    unsigned connects[END_S], refused[END_S], delivered[END_S]; /* in each second */
    unsigned delivered_count;
    bool is_delivered[RECIPIENTS];
};

/* --- the site -------------------------------------------------------------------------------- */

static void say(const struct session *session, const char *text)
{
    ssize_t len = (ssize_t)strlen(text);

    assert_int_equal(send(session->fd, text, (size_t)len, MSG_NOSIGNAL), len);
}

static void hang_up(struct herd *herd, struct session *session)
{
    close(session->fd);
    session->fd = -1;
    herd->session_count--;
}

static void on_rcpt(struct herd *herd, struct session *session, const char *line)
{
    assert_int_equal(sscanf(line, "RCPT TO:<r%u@", &session->recipient), 1);
    assert_in_range(session->recipient, 0, RECIPIENTS - 1);
    herd->refused[herd->second] += herd->refuses;
    say(session, herd->refuses ? "451 4.3.2 not now\r\n" : "250 ok\r\n");
}

static void on_dot(struct herd *herd, struct session *session)
{
    assert_false(herd->is_delivered[session->recipient]);
    herd->is_delivered[session->recipient] = true;
    herd->delivered_count++;
    herd->delivered[herd->second]++;
    session->is_content = false;
    say(session, "250 ok\r\n");
}

static void on_line(struct herd *herd, struct session *session, const char *line)
{
    if (session->is_content) {
        if (strcmp(line, ".") == 0)
            on_dot(herd, session);
    } else if (strncmp(line, "EHLO ", 5) == 0) {
        say(session, "250-mx\r\n250 PIPELINING\r\n");
    } else if (strncmp(line, "RCPT ", 5) == 0) {
        on_rcpt(herd, session, line);
    } else if (strcmp(line, "DATA") == 0) {
        session->is_content = !herd->refuses;
        say(session, herd->refuses ? "503 no recipients\r\n" : "354 go on\r\n");
    } else if (strcmp(line, "QUIT") == 0) {
        say(session, "221 bye\r\n");
    } else { /* MAIL, RSET */
        say(session, "250 ok\r\n");
    }
}

/* False: nothing came. */
static bool hear(struct herd *herd, struct session *session)
{
    ssize_t got =
        recv(session->fd, session->input + session->len, sizeof(session->input) - session->len, 0);
    char *end;

    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0) {
        hang_up(herd, session);
        return true;
    }
    session->len += (size_t)got;
    while ((end = memchr(session->input, '\n', session->len)) != NULL) {
        assert_true(end > session->input && end[-1] == '\r');
        end[-1] = '\0';
        on_line(herd, session, session->input);
        session->len -= (size_t)(end + 1 - session->input);
        memmove(session->input, end + 1, session->len);
    }
    return true;
}

static bool let_in(struct herd *herd)
{
    int fd = accept4(herd->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return false; /* nobody is there, or nobody listens */
    struct session *session = herd->sessions;
    int on = 1;

    /* Else a second short reply waits for the acknowledgement of the first: 40 ms of real time. */
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
    while (session->fd >= 0)
        session++;
    assert_true(session < herd->sessions + SESSIONS_MAX);
    *session = (struct session){.fd = fd};
    herd->session_count++;
    herd->session_count_max = MAX(herd->session_count_max, herd->session_count);
    say(session, "220 mx\r\n");
    return true;
}

/* True: something came. */
static bool site_turn(struct herd *herd)
{
    bool came = false;

    while (let_in(herd))
        came = true;
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (herd->sessions[i].fd >= 0)
            came |= hear(herd, &herd->sessions[i]);
    return came;
}

/* --- the hours ------------------------------------------------------------------------------- */

static bool is_settled(const struct herd *herd)
{
    struct delivery_status status;

    world_status(&herd->world, &status);
    assert_int_equal(status.unheld, 0);
    return status.waiting == 0 && status.in_attempt == 0 && status.committing == 0;
}

/* The next second, until nothing is left to do in it. */
static void pass_second(struct herd *herd)
{
    int64_t end_ms = clock_monotonic_ms() + SECOND_REAL_MS_MAX;
    unsigned connects = fake_count(herd->engine, FAKE_CONNECT);
    bool came;

    herd->second++;
    assert_in_range(herd->second, 1, END_S - 1);
    fake_advance_ms(herd->engine, 1000);
    do {
        engine_turn(herd->engine, 0);
        came = site_turn(herd);
        assert_true(clock_monotonic_ms() < end_ms);
    } while (came || !is_settled(herd));
    herd->connects[herd->second] = fake_count(herd->engine, FAKE_CONNECT) - connects;
}

static void submit_all(struct herd *herd)
{
    char line[64], to[64];

    for (unsigned i = 0; i < DOMAINS; i++) {
        snprintf(line, sizeof(line), "d%u.example mx/127.0.0.1", i);
        assert_true(world_mx(&herd->world, bytes_of(line)));
    }
    for (unsigned i = 0; i < RECIPIENTS; i++) {
        snprintf(to, sizeof(to), "r%u@d%u.example", i, i % DOMAINS);
        world_submit(&herd->world, &(struct world_message){.from = "a@send.example", .to = to});
    }
}

static struct herd *herd_begin(void)
{
    struct herd *herd = calloc(1, sizeof(*herd));
    struct engine_settings settings = {0};
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t len = sizeof(any);

    assert_non_null(herd);
    log_setup(LOG_TO_STDERR, LOG_LEVEL_ERROR);
    random_seed(1); /* of the jitter */
    herd->engine = engine_create(&settings);
    fake_calm(herd->engine);
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        herd->sessions[i].fd = -1;
    /* Bound, so that the port is ours; who does not listen refuses. */
    herd->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(herd->listen_fd >= 0);
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(herd->listen_fd, (struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(getsockname(herd->listen_fd, (struct sockaddr *)&any, &len), 0);
    world_init(&herd->world, herd->engine, NULL);
    herd->world.port = ntohs(any.sin_port);
    herd->world.retry.first_s = RETRY_FIRST_S;
    herd->world.retry.factor = 2;
    herd->world.retry.max_s = RETRY_MAX_S;
    herd->world.retry.jitter_percent = JITTER_PERCENT;
    world_start(&herd->world);
    submit_all(herd);
    return herd;
}

static void herd_end(struct herd *herd)
{
    assert_true(world_free(&herd->world));
    for (unsigned i = 0; i < SESSIONS_MAX; i++)
        if (herd->sessions[i].fd >= 0)
            hang_up(herd, &herd->sessions[i]);
    engine_destroy(&herd->engine);
    close(herd->listen_fd);
    free(herd);
}

static unsigned sum(const unsigned *counts, unsigned from_s, unsigned until_s)
{
    unsigned total = 0;

    for (unsigned s = from_s; s < until_s; s++)
        total += counts[s];
    return total;
}

static unsigned busiest(const unsigned *counts, unsigned from_s, unsigned until_s)
{
    unsigned most = 0;

    for (unsigned s = from_s; s < until_s; s++)
        most = MAX(most, counts[s]);
    return most;
}

static unsigned first_of(const unsigned *counts)
{
    unsigned s = 0;

    while (s < END_S && counts[s] == 0)
        s++;
    return s;
}

/* --- tests ----------------------------------------------------------------------------------- */

/* Attempts that recipients have had, told by a failed connection or tried. */
static size_t attempts_of_all(const struct herd *herd)
{
    size_t attempts = 0;

    list_for_each(node, &herd->world.shard->records)
        attempts += container_of(node, struct record, node)->stub.pendings[0].attempts;
    return attempts;
}

/* The site rests, with all that waits for it, and one recipient finds out whether it is back. */
TEST(site_that_refused_connections_for_an_hour_gets_its_mail_over_a_quarter_of_its_rest)
{
    struct herd *herd = herd_begin();

    while (herd->second < AWAY_S)
        pass_second(herd);
    /* As many as the site may have at first, when nothing is known; then one a rest. */
    unsigned tries = sum(herd->connects, 2, AWAY_S + 1);
    size_t attempts = attempts_of_all(herd);

    assert_in_range(herd->connects[1], 1, EGRESS_CONNECTIONS_DEFAULT);
    assert_in_range(tries, 1, TRIES_MAX);
    /* Nor was everybody told each time. */
    assert_in_range(attempts, FAIL_MAX, FAIL_MAX + TRIES_MAX * 100);

    assert_int_equal(listen(herd->listen_fd, SESSIONS_MAX), 0);
    while (herd->delivered_count < RECIPIENTS)
        pass_second(herd);
    unsigned first_s = first_of(herd->delivered);
    unsigned spread_s = REST_MAX_S / REST_SPREAD;
    unsigned most = busiest(herd->delivered, 0, END_S);

    print_message("tries while away %u + %u, attempts %zu, first after %u s, last %u s later, "
                  "busiest second %u of %d, connections %u\n",
                  herd->connects[1], tries, attempts, first_s - AWAY_S, herd->second - first_s,
                  most, RECIPIENTS, herd->session_count_max);
    assert_in_range(first_s, AWAY_S + 1, AWAY_S + REST_MAX_S + 1);
    assert_in_range(most, 1, UNEVEN * RECIPIENTS / spread_s);
    assert_in_range(sum(herd->delivered, first_s, first_s + spread_s / 2), RECIPIENTS * 2 / 5,
                    RECIPIENTS * 3 / 5);
    assert_in_range(herd->session_count_max, 1, EGRESS_CONNECTIONS_DEFAULT);
    herd_end(herd);
}

/* It can be reached, so it does not rest: recipients come as each one's own back-off ends. */
TEST(site_that_refused_recipients_for_an_hour_gets_them_as_their_jitter_lets_them_fall_due)
{
    struct herd *herd = herd_begin();
    /* Attempts at 0, 5, 15, 35 and 75 minutes; the jitter of the last delay alone is as wide as: */
    unsigned first_width_s = RETRY_FIRST_S * 2 * JITTER_PERCENT / 100;
    unsigned last_width_s = 8 * first_width_s;
    unsigned last_delay_s = 8 * RETRY_FIRST_S * (100 + JITTER_PERCENT) / 100;

    herd->refuses = true;
    assert_int_equal(listen(herd->listen_fd, SESSIONS_MAX), 0);
    while (herd->second < AWAY_S)
        pass_second(herd);
    unsigned most_refused = busiest(herd->refused, 2, AWAY_S + 1);

    assert_int_equal(herd->refused[1], RECIPIENTS); /* new mail is tried at once */
    assert_in_range(most_refused, 1, UNEVEN * RECIPIENTS / first_width_s);
    assert_int_equal(sum(herd->refused, 0, AWAY_S + 1), 4 * RECIPIENTS);
    herd->refuses = false;
    while (herd->delivered_count < RECIPIENTS)
        pass_second(herd);
    unsigned most = busiest(herd->delivered, 0, END_S);

    print_message("attempts while away %u, busiest second of retries %u; first after %u s, last %u "
                  "s, busiest second %u of %d, connections %u\n",
                  sum(herd->refused, 0, AWAY_S + 1), most_refused,
                  first_of(herd->delivered) - AWAY_S, herd->second - AWAY_S, most, RECIPIENTS,
                  herd->session_count_max);
    assert_in_range(most, 1, UNEVEN * RECIPIENTS / last_width_s);
    assert_in_range(herd->second, AWAY_S + 1, AWAY_S + last_delay_s + 1);
    assert_in_range(herd->session_count_max, 1, EGRESS_CONNECTIONS_DEFAULT);
    herd_end(herd);
}
