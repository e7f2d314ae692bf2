/*
 * engine.h - one thread, one ring, one loop.
 *
 * A turn of the loop: reap a batch of completions, run them, drain the inbox, fire timeouts, run
 * the turn hooks (the spool's group commit), submit once. Code runs to completion; nothing blocks.
 *
 * An `op` is embedded in its user and belongs to the ring from its start until a completion
 * without ENGINE_MORE. Start functions return void and never call done before they return, not
 * even with an error: a full submission queue is flushed inside, an impossible request completes
 * later with -errno. Memory handed to an op is the kernel's until that last completion, also
 * after engine_cancel().
 *
 * tests/support/engine_fake.c implements this header again, in user space, in seeded random order,
 * with short reads and late completions: tests link it instead of engine.c.
 *
 * Thread: everything belongs to the engine's own thread, except engine_post() and engine_stop().
 */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/list.h"

struct engine;
struct op;

/* Flags of a completion. */
enum {
    ENGINE_MORE = 1 << 0,   /* the op stays in flight (multishot) */
    ENGINE_BUFFER = 1 << 1, /* result bytes stand in a provided buffer: engine_buffer() */
};

/* result: what the system call would have returned, or -errno. */
typedef void op_done(struct op *op, int result, uint32_t flags);

struct op {
    op_done *done;
    bool in_flight;
    uint32_t generation;  /* bumped at each start; the engine drops completions of older ones */
    uint16_t buffer_id;   /* of the completion being run, with ENGINE_BUFFER */
    uint32_t place;       /* the real engine's: in all that was ever submitted */
    void *engine_private; /* the fake engine's */
};

static inline void op_init(struct op *op, op_done *done)
{
    *op = (struct op){.done = done};
}

struct engine_settings {
    unsigned ring_entries; /* submission queue, power of two; 0: 4096, or what may be locked */
    unsigned buffer_count; /* provided receive buffers, power of two; 0: 1024 */
    unsigned buffer_size;  /* bytes of each; 0: 16384 */
    unsigned index;        /* of this engine, for logs */
};

/* Probes what the kernel offers. 0, or -errno with one sentence in *why_out that says what is
 * missing and what to do (static string). The program exits 78 on it. */
must_use int engine_probe(const char **why_out);
/* The same sentence for an -errno that a ring could not be had with. */
const char *engine_setup_why(int error);

/* To be called on the thread that will run it (SINGLE_ISSUER). NULL with errno on failure. Where
 * the limit of locked memory has no room for a ring of the default size, it is a smaller one, and
 * the log says so. */
struct engine *engine_create(const struct engine_settings *settings);
void engine_destroy(struct engine **engine);
/* Runs turns until engine_stop(). */
void engine_run(struct engine *engine);
/* One turn; waits at most wait_ms for something to do (-1: until there is). For tests and tools. */
void engine_turn(struct engine *engine, int wait_ms);
void engine_stop(struct engine *engine); /* any thread; the loop ends after its turn */

int64_t engine_now_ms(const struct engine *engine);  /* monotonic, read once a turn */
int64_t engine_wall_ms(const struct engine *engine); /* wall, read once a turn */
unsigned engine_index(const struct engine *engine);
int64_t engine_busy_us(const struct engine *engine); /* in turns that are over, waits left out */
/* Bytes in all provided receive buffers: what can arrive after a receive was cancelled, at most. */
size_t engine_buffers_size(const struct engine *engine);

/* --- ops ------------------------------------------------------------------------------------ */

/* Multishot accept; result is a connected fd (non-blocking, close-on-exec). Ends (no ENGINE_MORE)
 * on an error such as -EMFILE; the listener starts it again later. */
void engine_accept(struct engine *engine, struct op *op, int fd);
void engine_connect(struct engine *engine, struct op *op, int fd, const struct sockaddr *address,
                    socklen_t address_len); /* address must live until completion */
/* Multishot receive into provided buffers. result 0: end of stream. -ENOBUFS ends the op: start it
 * again when buffers were given back. Data without ENGINE_MORE ends it as well, without more to
 * say: start it again. On AF_UNIX sockets Linux 6.18 forgets to tell of an end that stands right
 * behind data; TCP is not affected.
 * What one wake-up brings is bounded by the kernel alone: 32 buffers on those of today, whatever
 * the user asked for meanwhile, engine_cancel() included. */
void engine_receive(struct engine *engine, struct op *op, int fd);
/* One receive of at most len_max bytes and at most one provided buffer. Completes once, never with
 * ENGINE_MORE; dearer for each piece than engine_receive(), but nothing comes unasked. */
void engine_receive_once(struct engine *engine, struct op *op, int fd, size_t len_max);
/* The bytes of the completion being run (flags & ENGINE_BUFFER); valid until given back. */
struct bytes engine_buffer(struct engine *engine, const struct op *op, int result);
void engine_buffer_return(struct engine *engine, const struct op *op);
/* What has come for a receive and was not told yet. The answer costs no system call, and a walk
 * over the completions that wait to be run. */
enum engine_unread {
    ENGINE_UNREAD_NONE, /* nothing */
    ENGINE_UNREAD_HERE, /* a completion with bytes, which runs later in this turn or in the next */
    ENGINE_UNREAD_ASK,  /* not known: the kernel has news of some op, or does not wait for this */
};
enum engine_unread engine_unread(const struct engine *engine, const struct op *op);
/* May complete short. MSG_NOSIGNAL is set. */
void engine_send(struct engine *engine, struct op *op, int fd, struct bytes b);
void engine_write(struct engine *engine, struct op *op, int fd, struct bytes b, uint64_t offset);
/* A write that is durable when it completes (RWF_DSYNC). */
void engine_write_durable(struct engine *engine, struct op *op, int fd, struct bytes b,
                          uint64_t offset);
void engine_read(struct engine *engine, struct op *op, int fd, void *into, size_t len,
                 uint64_t offset);
void engine_sync(struct engine *engine, struct op *op, int fd); /* fdatasync */
/* One-shot readiness (POLLIN, POLLOUT); result is the ready mask. */
void engine_poll(struct engine *engine, struct op *op, int fd, unsigned mask);
/* Asks for an early end; the op still completes, with -ECANCELED or with what won the race. */
void engine_cancel(struct engine *engine, struct op *op);
/* Closes fd without waiting. No op may be in flight on it. */
void engine_close(struct engine *engine, int fd);

/* --- timeouts ------------------------------------------------------------------------------- */

struct timeout {
    struct list_node node;
    int64_t at_ms; /* monotonic */
    void (*fire)(struct timeout *timeout);
};

static inline void timeout_init(struct timeout *timeout, void (*fire)(struct timeout *timeout))
{
    *timeout = (struct timeout){.fire = fire};
    list_node_init(&timeout->node);
}

/* Arms or re-arms, counted from engine_now_ms(); never fires before engine_timeout() returns nor
 * earlier than asked. O(1). */
void engine_timeout(struct engine *engine, struct timeout *timeout, int64_t after_ms);
void engine_timeout_cancel(struct engine *engine, struct timeout *timeout); /* armed or not */

/* --- turn hooks ----------------------------------------------------------------------------- */

/* Called once every turn, after completions, inbox and timeouts, before the submit. */
struct turn_hook {
    struct list_node node;
    void (*run)(struct turn_hook *hook);
};
void engine_add_turn_hook(struct engine *engine, struct turn_hook *hook);
void engine_remove_turn_hook(struct engine *engine, struct turn_hook *hook);
/* Called once, at the end of this turn: after the hooks, before the submit. Arming it twice is
 * once; armed from inside a turn end, it runs in the next turn, which does not wait. */
struct turn_end {
    struct list_node node;
    void (*run)(struct turn_end *turn_end);
};

static inline void turn_end_init(struct turn_end *turn_end, void (*run)(struct turn_end *turn_end))
{
    turn_end->run = run;
    list_node_init(&turn_end->node);
}

void engine_at_turn_end(struct engine *engine, struct turn_end *turn_end);
void engine_turn_end_cancel(struct engine *engine, struct turn_end *turn_end); /* armed or not */

/* Have another turn without waiting (there is more to do than this turn was allowed to). */
void engine_turn_again(struct engine *engine);

/* --- inbox ---------------------------------------------------------------------------------- */

/* Other threads' way in. The poster owns the letter until posted, the engine until open() is
 * called, the callee afterwards. */
struct letter {
    struct letter *next;
    void (*open)(struct letter *letter, struct engine *engine);
};
void engine_post(struct engine *engine, struct letter *letter); /* any thread; rings the doorbell */
