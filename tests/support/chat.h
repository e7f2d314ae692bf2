/*
 * chat.h - scripted conversations: one file, one scenario, on any engine.
 *
 * The script plays one side; the service under test, behind a chat_fixture, the other. In
 * tests/chat/server the script is the client: `C:` lines are sent, `S:` lines are expected. In
 * tests/chat/client it is the server, and it is the other way round. Below, "ours" is the side
 * the script plays.
 *
 *   # comment                 also: empty lines
 *   CONFIG key value          for the service; before everything else
 *   NEEDS fake                skipped on the real engine (so is every script with TIME)
 *   NEEDS plain               what it shows is not so under TLS (CMakeLists.txt runs all others so)
 *   C: EHLO x / S: 220 *      ours: sent with CRLF. theirs: one line is read, its CRLF taken off,
 *                             and matched: * any run, ? any byte, \ makes the next one literal
 *   S*: 250 *                 theirs: reads lines until one matches
 *   C-RAW: "a\r\n" x 3        ours: bytes as they are (\r \n \t \0 \" \\ \xHH), n times
 *   C2: ...                   another connection, numbers 1 to 9; without a number: 1
 *   CONNECT 2                 opens a connection; the first line of one does that by itself
 *   SECURE 2                  puts it under TLS, as client or server, and waits for the handshake
 *   SECURE-REFUSED 2          the same, but they refuse the handshake
 *   SENT 2                    all that was to be sent has been taken by the kernel
 *   CLOSE 2                   what is left is sent, then close
 *   CLOSE-WRITE 2             the same, but we go on reading
 *   RESET 2                   closed at once with a TCP reset
 *   EXPECT-CLOSE 2            they close, and say nothing before
 *   EXPECT-GONE 2             they close, whatever they say before
 *   EXPECT-SILENCE 2          they say nothing for a while and do not close
 *   SETTLE                    turns go by: what is under way comes to rest
 *   TIME 5m                   ms, s, m, h: the virtual clock moves
 *   REPEAT 20 ... END         {i} inside stands for 1, 2, ... (not nested)
 *   EXPECT glob               a fact that the fixture recorded matches (waits for it)
 *   EXPECT-NOT glob           none does
 *   EXPECT-COUNT 2 glob       so many do
 *   anything else             the fixture's own commands
 *
 * Consecutive lines of ours are a pipelined group, sent together when the service has its next
 * turn. Theirs are read only by lines that expect something: a script that expects nothing is a
 * peer that does not read.
 */
#pragma once

#include "base/buf.h"

enum chat_role { CHAT_PLAYS_CLIENT, CHAT_PLAYS_SERVER };

/* TLS on our side, for SECURE. What is to be sent goes to the `wire` that begin() was given. */
struct chat_tls {
    void *(*begin)(struct buf *wire);
    bool (*is_secured)(const void *tls);
    /* False: it is over, by the peer's end or a failure. */
    bool (*open)(void *tls, struct bytes raw, struct buf *plain);
    void (*seal)(void *tls, struct bytes plain); /* is_secured() */
    void (*end)(void *tls);                      /* nothing more is sealed */
    void (*free)(void *tls);
};

/* The service under test, as the runner sees it. */
struct chat_fixture {
    void *context;
    enum chat_role role;
    /* False: no such key, or a bad value. */
    bool (*config)(void *context, struct bytes key, struct bytes value);
    /* Once, after the CONFIG lines. */
    bool (*start)(void *context);
    /* Our end of connection `number`, a non-blocking fd: made (playing the client), or the next
     * one that the service has opened (playing the server; -1: none yet, asked again). */
    int (*open)(void *context, unsigned number);
    /* One turn of the engine, waiting at most wait_ms. */
    void (*turn)(void *context, int wait_ms);
    /* Moves the clock; NULL where it is the real one. */
    void (*advance)(void *context, int64_t ms);
    /* A line the runner does not know. False: neither does the fixture. */
    bool (*command)(void *context, struct bytes word, struct bytes argument);
    /* What happened, a line a fact. */
    const struct buf *facts;
    const struct chat_tls *tls; /* NULL: no SECURE */
    bool is_under_tls;          /* every connection, from its first byte on */
};

enum chat_result { CHAT_PASSED, CHAT_FAILED, CHAT_SKIPPED };

/* Runs the script; a failure is told on stderr as "path:line: ...". */
enum chat_result chat_run(const char *path, const struct chat_fixture *fixture);

/* For fixtures. Adds a fact "word rest\n"; bytes that are not printable are escaped. */
void chat_fact(struct buf *facts, const char *format, ...) __attribute__((format(printf, 2, 3)));
void chat_fact_bytes(struct buf *facts, const char *word, struct bytes b);
bool chat_glob(struct bytes pattern, struct bytes text);
/* "5m", "300ms", "2h", "30s". */
bool chat_duration(struct bytes text, int64_t *ms_out);
