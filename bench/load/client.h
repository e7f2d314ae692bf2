/*
 * client.h - one connection of the load generator, again and again.
 *
 *   WAITING -> CONNECTING -> GREETING -> EHLO -> IDLE -> MAIL -> RCPT.. -> DATA -> DOT -> IDLE
 *      ^                                           \-> QUIT ------.                     |
 *      '---- CLOSING <-- lost in any state, or closed after QUIT <'          OVER <-----'
 *
 * With pipelining MAIL, RCPT and DATA go out at once (RFC 2920), with BDAT the content too; the
 * states are what is waited for. RSET follows a refused DATA. A message whose connection is lost
 * is sent again on the next one.
 */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "io/engine.h"

struct load;

enum client_state {
    CLIENT_WAITING,
    CLIENT_CONNECTING,
    CLIENT_GREETING,
    CLIENT_EHLO,
    CLIENT_IDLE,
    CLIENT_MAIL,
    CLIENT_RCPT,
    CLIENT_DATA,
    CLIENT_DOT,
    CLIENT_RSET,
    CLIENT_QUIT,
    CLIENT_CLOSING,
    CLIENT_OVER,
};

enum {
    CLIENT_COPY_MAX = 65536, /* larger contents are sent from where they stand */
    CLIENT_NAME_MAX = 192,   /* of an address */
    CLIENT_BACKOFF_MS_MIN = 50,
};

struct client {
    struct list_node node; /* in load.idle */
    struct load *load;
    enum client_state state;
    int fd;
    struct op receive;
    struct op send; /* also the connect */
    struct timeout wait;
    struct buf out;      /* the kernel's while send is in flight */
    struct bytes big[2]; /* content too big to copy, sent behind `out` */
    struct buf input;    /* the beginning of a line, or what came while a send was in flight */
    int64_t alive_ms;    /* last sign of life */
    int64_t backoff_ms;
    uint64_t on_connection; /* messages */
    bool has_pipelining, has_chunking;
    bool has_ended; /* by our QUIT: no loss */

    bool has_message;
    bool is_content_sent;
    uint64_t number;
    int64_t due_us;
    int64_t data_us; /* when DATA was sent */
    uint16_t mail_code;
    uint64_t recipient_next; /* whose reply is waited for */
    uint64_t recipients_taken;
    uint16_t *recipient_codes;
};

void client_init(struct client *client, struct load *load);
void client_free(struct client *client);
void client_start(struct client *client);
/* Once a second: time-outs, and the end if the run gave up. */
void client_tick(struct client *client, int64_t now_ms);

/* From load_ready(), in transaction.c: */
void client_begin(struct client *client, uint64_t number, int64_t due_us);
void client_quit(struct client *client);

/* client.c, for transaction.c. Sends what was appended to `out`. */
void client_send(struct client *client);
void client_close(struct client *client);
void client_lost(struct client *client); /* with whatever was under way */
/* transaction.c, for client.c. Runs a line without its LF; false: none was due, or no reply. */
must_use bool client_take_line(struct client *client, struct bytes line);
void client_tell_unknown(struct client *client);
