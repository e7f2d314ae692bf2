/* chat.c - runs .chat scripts: the language is described in chat.h. */
#include "support/chat.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    CONNECTIONS_MAX = 10,
    BYTES_MAX = 256 << 20, /* of what waits to be sent or matched */
    PATIENCE_MS = 10000,   /* real time until an expectation has failed */
    SILENCE_TURNS = 60,
    LINES_MAX = 4096,
};

struct peer {
    int fd; /* -1: not open */
    bool was_opened;
    bool eof; /* they closed */
    bool closes_write;
    struct buf in, out;
    /* Under TLS: `out` is sealed into `wire`, of which pieces are sent, a few bytes each as long as
     * little was: so a record is cut anywhere. */
    const struct chat_tls *kind;
    void *tls; /* NULL: `out` is what is sent */
    struct buf wire;
    size_t wire_sent;
};

struct chat {
    const char *path;
    const struct chat_fixture *fixture;
    struct peer peers[CONNECTIONS_MAX];
    struct bytes lines[LINES_MAX];
    size_t line_count, at; /* at: index of the line being run */
    bool has_started;
    bool has_failed;
};

enum verdict_of_line { LINE_DONE, LINE_NOT_YET, LINE_FAILED };

static void complain(struct chat *chat, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void complain(struct chat *chat, const char *format, ...)
{
    va_list args;

    if (chat->has_failed)
        return;
    chat->has_failed = true;
    fprintf(stderr, "%s:%zu: ", chat->path, chat->at + 1);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n    %.*s\n", BYTES_ARG(chat->lines[chat->at]));
}

/* --- text ------------------------------------------------------------------------------------- */

bool chat_glob(struct bytes pattern, struct bytes text)
{
    size_t p = 0;
    size_t t = 0;
    size_t star = SIZE_MAX; /* where to go on when the rest does not match */
    size_t star_text = 0;

    while (t < text.len) {
        bool is_literal = p + 1 < pattern.len && pattern.ptr[p] == '\\';
        uint8_t want = p < pattern.len ? pattern.ptr[p + (is_literal ? 1 : 0)] : 0;
        if (p < pattern.len && !is_literal && want == '*') {
            star = ++p;
            star_text = t;
        } else if (p < pattern.len && (want == text.ptr[t] || (!is_literal && want == '?'))) {
            p += is_literal ? 2 : 1;
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

bool chat_duration(struct bytes text, int64_t *ms_out)
{
    static const struct {
        struct bytes unit;
        int64_t ms;
    } units[] = {{BYTES("ms"), 1}, {BYTES("s"), 1000}, {BYTES("m"), 60000}, {BYTES("h"), 3600000}};
    uint64_t count;

    if (!bytes_take_u64(&text, &count))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (bytes_equal(text, units[i].unit)) {
            *ms_out = (int64_t)count * units[i].ms;
            return true;
        }
    }
    return false;
}

void chat_fact(struct buf *facts, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    bool fits = buf_vprintf(facts, format, args) && buf_append_byte(facts, '\n');
    va_end(args);
    check(fits);
}

void chat_fact_bytes(struct buf *facts, const char *word, struct bytes b)
{
    bool fits = buf_printf(facts, "%s ", word);

    for (size_t i = 0; i < b.len; i++) {
        uint8_t c = b.ptr[i];
        if (c == '\r')
            fits &= buf_append(facts, BYTES("\\r"));
        else if (c == '\n')
            fits &= buf_append(facts, BYTES("\\n"));
        else if (c < 32 || c == 127 || c == '\\')
            fits &= buf_printf(facts, "\\x%02x", c);
        else
            fits &= buf_append_byte(facts, c);
    }
    check(fits && buf_append_byte(facts, '\n'));
}

static bool hex_value(uint8_t c, uint8_t *value_out)
{
    if (byte_is_digit(c))
        *value_out = (uint8_t)(c - '0');
    else if (byte_lower(c) >= 'a' && byte_lower(c) <= 'f')
        *value_out = (uint8_t)(byte_lower(c) - 'a' + 10);
    else
        return false;
    return true;
}

/* Takes `"..."` with its escapes off the front, appends what it stands for. */
static bool take_quoted(struct bytes *input, struct buf *out)
{
    size_t i = 1;

    if (input->len < 2 || input->ptr[0] != '"')
        return false;
    for (; i < input->len && input->ptr[i] != '"'; i++) {
        uint8_t c = input->ptr[i];
        uint8_t high;
        uint8_t low;
        if (c == '\\') {
            if (++i == input->len)
                return false;
            c = input->ptr[i];
            if (c == 'r')
                c = '\r';
            else if (c == 'n')
                c = '\n';
            else if (c == 't')
                c = '\t';
            else if (c == '0')
                c = '\0';
            else if (c == 'x') {
                if (i + 2 >= input->len || !hex_value(input->ptr[i + 1], &high) ||
                    !hex_value(input->ptr[i + 2], &low))
                    return false;
                c = (uint8_t)(high << 4 | low);
                i += 2;
            } else if (c != '"' && c != '\\') {
                return false;
            }
        }
        if (!buf_append_byte(out, c))
            return false;
    }
    if (i >= input->len)
        return false;
    *input = bytes_slice(*input, i + 1, input->len);
    return true;
}

/* --- connections ------------------------------------------------------------------------------ */

static void peer_close(struct peer *peer)
{
    if (peer->tls != NULL)
        peer->kind->free(peer->tls);
    peer->tls = NULL;
    buf_clear(&peer->wire);
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
}

static void peer_secure(struct peer *peer, const struct chat_tls *kind)
{
    peer->kind = kind;
    peer->wire_sent = 0;
    peer->tls = kind->begin(&peer->wire);
}

static void peer_receive_tls(struct peer *peer)
{
    uint8_t raw[16384];

    while (peer->fd >= 0 && !peer->eof) {
        ssize_t got = recv(peer->fd, raw, sizeof(raw), MSG_DONTWAIT);

        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        peer->eof =
            got <= 0 || !peer->kind->open(peer->tls, bytes_range(raw, (size_t)got), &peer->in);
    }
}

/* One piece: the service has a turn before the next. */
static void peer_send_tls(struct peer *peer)
{
    enum { FEW = 5, SMALL = 2000, LARGE = 7919 };

    if (!peer->kind->is_secured(peer->tls)) {
        peer_receive_tls(peer);
    } else if (buf_len(&peer->out) > 0) {
        peer->kind->seal(peer->tls, buf_bytes(&peer->out));
        buf_clear(&peer->out);
    }
    bool is_secured = peer->kind->is_secured(peer->tls);
    if (is_secured && peer->closes_write && buf_len(&peer->out) == 0) {
        peer->kind->end(peer->tls);
        peer->closes_write = false;
    }
    struct bytes piece =
        bytes_slice(buf_bytes(&peer->wire), 0, peer->wire_sent % LARGE < SMALL ? FEW : LARGE);
    if (piece.len == 0)
        return;
    ssize_t sent = send(peer->fd, piece.ptr, piece.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
        buf_consume(&peer->wire, (size_t)sent);
        peer->wire_sent += (size_t)sent;
    } else if (errno != EAGAIN && errno != EINTR) {
        buf_clear(&peer->wire);
        buf_clear(&peer->out);
    }
}

/* Sends what the kernel takes. A peer that is gone takes nothing, which is no failure here. */
static void peer_send(struct peer *peer)
{
    if (peer->fd >= 0 && peer->tls != NULL) {
        peer_send_tls(peer);
        return;
    }
    while (peer->fd >= 0 && buf_len(&peer->out) > 0) {
        struct bytes b = buf_bytes(&peer->out);
        ssize_t sent = send(peer->fd, b.ptr, b.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            buf_consume(&peer->out, (size_t)sent);
            continue;
        }
        if (errno != EAGAIN && errno != EINTR)
            buf_clear(&peer->out);
        return;
    }
    if (peer->fd >= 0 && peer->closes_write) {
        shutdown(peer->fd, SHUT_WR);
        peer->closes_write = false;
    }
}

static void peer_receive(struct peer *peer)
{
    if (peer->tls != NULL) {
        peer_receive_tls(peer);
        return;
    }
    while (peer->fd >= 0 && !peer->eof) {
        uint8_t *place = buf_reserve(&peer->in, 65536);
        check(place != NULL);
        ssize_t got = recv(peer->fd, place, 65536, MSG_DONTWAIT);
        if (got > 0)
            buf_extend(&peer->in, (size_t)got);
        else if (got == 0 || (errno != EAGAIN && errno != EINTR))
            peer->eof = true;
        else
            return;
    }
}

/* A turn of the service; ours sends meanwhile. On the real engine a turn may wait a little. */
static void turn(struct chat *chat)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        peer_send(&chat->peers[i]);
    chat->fixture->turn(chat->fixture->context, 1);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        peer_send(&chat->peers[i]);
}

static void settle(struct chat *chat)
{
    for (unsigned i = 0; i < SILENCE_TURNS; i++)
        turn(chat);
}

/* Has turns until `is_done` holds; false when patience is over. */
static bool wait_until(struct chat *chat, bool (*is_done)(struct chat *chat, void *context),
                       void *context)
{
    int64_t end_ms = clock_monotonic_ms() + PATIENCE_MS;

    for (;;) {
        if (is_done(chat, context))
            return true;
        if (clock_monotonic_ms() >= end_ms)
            return false;
        turn(chat);
    }
}

static bool is_opened(struct chat *chat, void *context)
{
    struct peer *peer = context;

    peer->fd = chat->fixture->open(chat->fixture->context, (unsigned)(peer - chat->peers));
    return peer->fd >= 0;
}

static bool open_peer(struct chat *chat, struct peer *peer)
{
    if (peer->was_opened && peer->fd >= 0)
        return true;
    if (peer->was_opened) {
        complain(chat, "this connection is closed; CONNECT opens it again");
        return false;
    }
    if (!wait_until(chat, is_opened, peer)) {
        complain(chat, "no connection came");
        return false;
    }
    peer->was_opened = true;
    peer->eof = false;
    peer->closes_write = false;
    buf_clear(&peer->in);
    buf_clear(&peer->out);
    if (chat->fixture->is_under_tls)
        peer_secure(peer, chat->fixture->tls);
    return true;
}

/* --- expectations ----------------------------------------------------------------------------- */

struct awaited {
    struct peer *peer;
    struct bytes line; /* in peer->in, without CRLF; after it is used, consumed with taken */
    size_t taken;
};

static bool has_line(struct chat *chat __attribute__((unused)), void *context)
{
    struct awaited *awaited = context;

    peer_receive(awaited->peer);
    struct bytes in = buf_bytes(&awaited->peer->in);
    size_t end = bytes_find_bytes(in, BYTES("\r\n"), 0);
    if (end == in.len)
        return awaited->peer->eof;
    awaited->line = bytes_slice(in, 0, end);
    awaited->taken = end + 2;
    return true;
}

/* Reads one line that matches; with `skips`, drops others before it. */
static void expect_line(struct chat *chat, struct peer *peer, struct bytes pattern, bool skips)
{
    for (;;) {
        struct awaited awaited = {.peer = peer};
        if (!wait_until(chat, has_line, &awaited) || awaited.taken == 0) {
            struct bytes rest = buf_bytes(&peer->in);
            complain(chat, "%s; unread: \"%.*s\"", peer->eof ? "they closed" : "nothing came",
                     (int)MIN(rest.len, (size_t)200), (const char *)rest.ptr);
            return;
        }
        bool matches = chat_glob(pattern, awaited.line);
        if (!matches && !skips)
            complain(chat, "got \"%.*s\"", (int)MIN(awaited.line.len, (size_t)300),
                     (const char *)awaited.line.ptr);
        buf_consume(&peer->in, awaited.taken);
        if (matches || !skips)
            return;
    }
}

static bool has_eof(struct chat *chat __attribute__((unused)), void *context)
{
    struct peer *peer = context;

    peer_receive(peer);
    return peer->eof;
}

static void expect_close(struct chat *chat, struct peer *peer, bool in_silence)
{
    if (!wait_until(chat, has_eof, peer))
        complain(chat, "they did not close");
    else if (in_silence && buf_len(&peer->in) > 0)
        complain(chat, "before closing they said \"%.*s\"", BYTES_ARG(buf_bytes(&peer->in)));
    peer_close(peer);
}

static void expect_silence(struct chat *chat, struct peer *peer)
{
    for (unsigned i = 0; i < SILENCE_TURNS; i++) {
        turn(chat);
        peer_receive(peer);
    }
    if (peer->eof)
        complain(chat, "they closed");
    else if (buf_len(&peer->in) > 0)
        complain(chat, "they said \"%.*s\"", BYTES_ARG(buf_bytes(&peer->in)));
}

static bool is_sent(struct chat *chat __attribute__((unused)), void *context)
{
    struct peer *peer = context;

    return buf_len(&peer->out) == 0 && buf_len(&peer->wire) == 0;
}

static bool has_shaken_hands(struct chat *chat __attribute__((unused)), void *context)
{
    struct peer *peer = context;

    return peer->eof || peer->kind->is_secured(peer->tls);
}

static void expect_secure(struct chat *chat, struct peer *peer, bool is_refused)
{
    if (chat->fixture->tls == NULL || peer->tls != NULL) {
        complain(chat, "no TLS here");
        return;
    }
    (void)wait_until(chat, is_sent, peer); /* what was said in plain goes so */
    peer_secure(peer, chat->fixture->tls);
    bool is_over = wait_until(chat, has_shaken_hands, peer);
    if (!is_over || peer->kind->is_secured(peer->tls) == is_refused)
        complain(chat, "the handshake %s",
                 !is_over     ? "does not end"
                 : is_refused ? "ended well"
                              : "failed");
}

static uint64_t count_facts(struct chat *chat, struct bytes pattern)
{
    struct bytes facts = buf_bytes(chat->fixture->facts);
    struct bytes fact;
    uint64_t count = 0;

    while (bytes_take_until(&facts, '\n', &fact))
        count += chat_glob(pattern, fact) ? 1 : 0;
    return count;
}

struct awaited_fact {
    struct bytes pattern;
    uint64_t count_min;
};

static bool has_facts(struct chat *chat, void *context)
{
    struct awaited_fact *awaited = context;

    return count_facts(chat, awaited->pattern) >= awaited->count_min;
}

static void fail_fact(struct chat *chat, const char *what)
{
    struct bytes facts = buf_bytes(chat->fixture->facts);

    complain(chat, "%s; the facts:\n%.*s", what, (int)MIN(facts.len, (size_t)4000),
             (const char *)facts.ptr);
}

static void expect_fact(struct chat *chat, struct bytes pattern, uint64_t count, bool is_exact)
{
    struct awaited_fact awaited = {pattern, count};

    if (!wait_until(chat, has_facts, &awaited))
        fail_fact(chat, "no such fact");
    else if (is_exact && count_facts(chat, pattern) != count)
        fail_fact(chat, "too many such facts");
}

/* --- lines ------------------------------------------------------------------------------------ */

static bool take_word(struct bytes *input, struct bytes *word_out)
{
    struct bytes rest = *input;

    if (!bytes_take_until(&rest, ' ', word_out)) {
        *word_out = *input;
        rest = BYTES_NONE;
    }
    *input = bytes_trim(rest);
    return word_out->len > 0;
}

/* The connection a word like CLOSE names; 1 when it names none. */
static struct peer *peer_of(struct chat *chat, struct bytes argument)
{
    uint64_t number = 1;

    if (argument.len > 0 &&
        (!bytes_to_u64(argument, &number) || number == 0 || number >= CONNECTIONS_MAX)) {
        complain(chat, "not the number of a connection");
        number = 1;
    }
    return &chat->peers[number];
}

static void run_raw(struct chat *chat, struct peer *peer, struct bytes text)
{
    struct buf bytes;
    uint64_t times = 1;

    buf_init(&bytes, BYTES_MAX);
    bool is_good = take_quoted(&text, &bytes);
    text = bytes_trim(text);
    if (text.len > 0 && (!bytes_take_nocase(&text, BYTES("x ")) || !bytes_to_u64(text, &times)))
        is_good = false;
    if (!is_good)
        complain(chat, "not \"bytes\" or \"bytes\" x times");
    for (uint64_t i = 0; is_good && i < times; i++)
        check(buf_append(&peer->out, buf_bytes(&bytes)));
    buf_free(&bytes);
}

/* "C: ...", "S2*: ...", "C-RAW: ...": false if the line is none of these. */
static bool run_talk(struct chat *chat, struct bytes line)
{
    struct bytes rest = bytes_slice(line, 1, line.len);
    struct bytes number = BYTES_NONE;

    if (line.len < 2 || (line.ptr[0] != 'C' && line.ptr[0] != 'S'))
        return false;
    if (byte_is_digit(rest.ptr[0])) {
        number = bytes_slice(rest, 0, 1);
        rest = bytes_slice(rest, 1, rest.len);
    }
    bool skips = bytes_take_nocase(&rest, BYTES("*"));
    bool is_raw = !skips && bytes_take_nocase(&rest, BYTES("-RAW"));
    if (!bytes_take_nocase(&rest, BYTES(":")))
        return false;
    if (rest.len > 0 && rest.ptr[0] == ' ')
        rest = bytes_slice(rest, 1, rest.len);
    struct peer *peer = peer_of(chat, number);
    if (chat->has_failed || !open_peer(chat, peer))
        return true;
    bool is_ours = (line.ptr[0] == 'C') == (chat->fixture->role == CHAT_PLAYS_CLIENT);
    if (!is_ours && !is_raw) {
        expect_line(chat, peer, rest, skips);
    } else if (is_ours && is_raw) {
        run_raw(chat, peer, rest);
    } else if (is_ours && !skips) {
        check(buf_append(&peer->out, rest));
        check(buf_append(&peer->out, BYTES("\r\n")));
    } else {
        complain(chat, "that is for the other side");
    }
    return true;
}

static bool run_connection_word(struct chat *chat, struct bytes word, struct bytes argument)
{
    struct linger at_once = {.l_onoff = 1};
    static const char *const words[] = {"CONNECT", "SENT",          "CLOSE",       "CLOSE-WRITE",
                                        "RESET",   "EXPECT-CLOSE",  "EXPECT-GONE", "EXPECT-SILENCE",
                                        "SECURE",  "SECURE-REFUSED"};
    enum {
        CONNECT,
        SENT,
        CLOSE,
        CLOSE_WRITE,
        RESET,
        EXPECT_CLOSE,
        EXPECT_GONE,
        EXPECT_SILENCE,
        SECURE,
        SECURE_REFUSED
    };
    size_t i = 0;

    while (i < ARRAY_LEN(words) && !bytes_equal(word, bytes_of(words[i])))
        i++;
    if (i == ARRAY_LEN(words))
        return false;
    struct peer *peer = peer_of(chat, argument);
    if (i == CONNECT)
        peer->was_opened = peer->fd >= 0;
    if (chat->has_failed || !open_peer(chat, peer))
        return true;
    switch (i) {
    case SENT:
        if (!wait_until(chat, is_sent, peer))
            complain(chat, "they do not take what we send: %zu bytes are left",
                     buf_len(&peer->out));
        break;
    case CLOSE:
        (void)wait_until(chat, is_sent, peer);
        peer_close(peer);
        break;
    case CLOSE_WRITE:
        peer->closes_write = true;
        peer_send(peer);
        break;
    case RESET:
        peer_send(peer);
        setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        peer_close(peer);
        break;
    case EXPECT_CLOSE:
        expect_close(chat, peer, true);
        break;
    case EXPECT_GONE:
        expect_close(chat, peer, false);
        break;
    case EXPECT_SILENCE:
        expect_silence(chat, peer);
        break;
    case SECURE:
    case SECURE_REFUSED:
        expect_secure(chat, peer, i == SECURE_REFUSED);
        break;
    }
    return true;
}

static bool run_fact_word(struct chat *chat, struct bytes word, struct bytes argument)
{
    struct bytes number;
    uint64_t count;

    if (bytes_equal(word, BYTES("EXPECT"))) {
        expect_fact(chat, argument, 1, false);
    } else if (bytes_equal(word, BYTES("EXPECT-NOT"))) {
        settle(chat);
        if (count_facts(chat, argument) != 0)
            fail_fact(chat, "there is such a fact");
    } else if (bytes_equal(word, BYTES("EXPECT-COUNT"))) {
        if (!take_word(&argument, &number) || !bytes_to_u64(number, &count))
            complain(chat, "not a number");
        else
            expect_fact(chat, argument, count, true);
    } else {
        return false;
    }
    return true;
}

static void run_time(struct chat *chat, struct bytes argument)
{
    int64_t ms;

    if (!chat_duration(argument, &ms)) {
        complain(chat, "not a duration");
        return;
    }
    settle(chat); /* what was said before is heard before */
    chat->fixture->advance(chat->fixture->context, ms);
    turn(chat);
}

static void run_line(struct chat *chat, struct bytes line)
{
    const struct chat_fixture *fixture = chat->fixture;
    struct bytes argument = line;
    struct bytes word;
    struct bytes key;

    if (bytes_trim(line).len == 0 || line.ptr[0] == '#' || !take_word(&argument, &word))
        return;
    if (bytes_equal(word, BYTES("NEEDS")))
        return;
    if (bytes_equal(word, BYTES("CONFIG"))) {
        if (chat->has_started)
            complain(chat, "CONFIG comes first");
        else if (!take_word(&argument, &key) || !fixture->config(fixture->context, key, argument))
            complain(chat, "the fixture does not know that");
        return;
    }
    if (!chat->has_started && !fixture->start(fixture->context)) {
        complain(chat, "the service did not start");
        return;
    }
    chat->has_started = true;
    if (run_talk(chat, line) || run_connection_word(chat, word, argument) ||
        run_fact_word(chat, word, argument))
        return;
    if (bytes_equal(word, BYTES("TIME")))
        run_time(chat, argument);
    else if (bytes_equal(word, BYTES("SETTLE")))
        settle(chat);
    else if (!fixture->command(fixture->context, word, argument))
        complain(chat, "nobody knows this line");
}

/* Puts `round` in place of {i}. */
static void run_round(struct chat *chat, struct bytes line, uint64_t round)
{
    struct buf out;
    size_t from = 0;

    buf_init(&out, BYTES_MAX);
    for (;;) {
        size_t at = bytes_find_bytes(line, BYTES("{i}"), from);
        check(buf_append(&out, bytes_slice(line, from, at - from)));
        if (at == line.len)
            break;
        check(buf_printf(&out, "%llu", (unsigned long long)round));
        from = at + 3;
    }
    run_line(chat, buf_bytes(&out));
    buf_free(&out);
}

/* From the line after REPEAT to END, so many times; leaves chat->at on END. */
static void run_repeat(struct chat *chat, struct bytes argument)
{
    size_t first = chat->at + 1;
    size_t end = first;
    uint64_t rounds;

    while (end < chat->line_count && !bytes_equal(chat->lines[end], BYTES("END")))
        end++;
    if (end == chat->line_count || !bytes_to_u64(argument, &rounds)) {
        complain(chat, "REPEAT count ... END");
        return;
    }
    for (uint64_t round = 1; round <= rounds; round++)
        for (chat->at = first; chat->at < end && !chat->has_failed; chat->at++)
            run_round(chat, chat->lines[chat->at], round);
    if (!chat->has_failed)
        chat->at = end;
}

static bool read_script(struct chat *chat, struct buf *text)
{
    FILE *file = fopen(chat->path, "rb");
    struct bytes line;

    if (file == NULL) {
        perror(chat->path);
        return false;
    }
    for (;;) {
        uint8_t *place = buf_reserve(text, 65536);
        size_t got = place != NULL ? fread(place, 1, 65536, file) : 0;
        if (got == 0)
            break;
        buf_extend(text, got);
    }
    fclose(file);
    for (struct bytes rest = buf_bytes(text); rest.len > 0;) {
        if (!bytes_take_until(&rest, '\n', &line)) {
            line = rest;
            rest = BYTES_NONE;
        }
        check(chat->line_count < LINES_MAX);
        chat->lines[chat->line_count++] = line;
    }
    return true;
}

static bool needs_clock(const struct chat *chat)
{
    for (size_t i = 0; i < chat->line_count; i++)
        if (bytes_starts_nocase(chat->lines[i], BYTES("TIME ")) ||
            bytes_equal(chat->lines[i], BYTES("NEEDS fake")))
            return true;
    return false;
}

enum chat_result chat_run(const char *path, const struct chat_fixture *fixture)
{
    struct chat *chat = calloc(1, sizeof(*chat));
    enum chat_result result = CHAT_FAILED;
    struct buf text;

    check(chat != NULL);
    chat->path = path;
    chat->fixture = fixture;
    buf_init(&text, BYTES_MAX);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        chat->peers[i].fd = -1;
        buf_init(&chat->peers[i].in, BYTES_MAX);
        buf_init(&chat->peers[i].out, BYTES_MAX);
        buf_init(&chat->peers[i].wire, BYTES_MAX);
    }
    if (!read_script(chat, &text))
        goto done;
    if (fixture->advance == NULL && needs_clock(chat)) {
        result = CHAT_SKIPPED;
        goto done;
    }
    for (; chat->at < chat->line_count && !chat->has_failed; chat->at++) {
        struct bytes line = chat->lines[chat->at];
        if (bytes_take_nocase(&line, BYTES("REPEAT ")))
            run_repeat(chat, line);
        else
            run_line(chat, line);
    }
    result = chat->has_failed ? CHAT_FAILED : CHAT_PASSED;
done:
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        peer_close(&chat->peers[i]);
        buf_free(&chat->peers[i].in);
        buf_free(&chat->peers[i].out);
        buf_free(&chat->peers[i].wire);
    }
    buf_free(&text);
    free(chat);
    return result;
}
