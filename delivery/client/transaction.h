/*
 * transaction.h - one message on its way over one connection (RFC 5321 section 3.3).
 *
 *   LOAD --> (RSET) --> MAIL --> RCPT... --> DATA --> DATA_REPLY --354--> CONTENT --> REPLIES
 *                                   \         \--BDAT: content went along -------------^
 *                                    '--nobody accepted, or MAIL refused ---------------^
 *
 * This is how far the sending half has come. With REPLIES and nothing outstanding it is done: every
 * recipient has a judgement, and all of them are settled in one commit.
 */
#pragma once

#include "delivery/client/client.h"
#include "smtp/content.h"

enum transaction_walk {
    WALK_LOAD,
    WALK_RSET,
    WALK_MAIL,
    WALK_RCPT,
    WALK_DATA,
    WALK_DATA_REPLY,
    WALK_CONTENT,
    WALK_REPLIES,
};

enum recipient_status {
    RECIPIENT_ASKED,    /* or not even that */
    RECIPIENT_ACCEPTED, /* by RCPT; what becomes of it is said at the end */
    RECIPIENT_REFUSED,
    RECIPIENT_AGAIN, /* too many for one transaction: in line again, at once */
};

struct transaction_recipient {
    struct pending *pending;
    const struct judgement *judgement;
    struct bytes address; /* with A-labels, where the peer needs them; else empty */
    uint8_t status;
};

struct transaction {
    struct smtp_client *client;
    struct shard *shard;
    struct stub *stub;
    struct message *message;
    struct load load;
    struct content_read read;
    bool is_loading, is_reading, has_read;
    uint8_t walk;
    bool uses_bdat;
    bool mail_accepted, mail_refused;
    bool codes_tell;       /* every 2xx so far had the enhanced code of its step */
    bool is_put_back;      /* the connection's fault: everybody in line again, no attempt */
    bool is_limited;       /* some were too many for it */
    bool is_out_of_place;  /* a RCPT was taken although MAIL was refused */
    bool was_answered;     /* the peer has replied to something of it */
    bool is_all_written;   /* with the final dot, or the last chunk */
    uint8_t surplus_count; /* replies behind the last that was asked for */
    bool is_over;          /* settled; only waits for the shard */
    uint32_t count, next, accepted;
    uint32_t ask_count;        /* of these, in front: by RCPT. The others the peer cannot take */
    bool uses_utf8;            /* SMTPUTF8 is said with MAIL */
    struct bytes reverse_path; /* as the peer can take it */
    struct transaction_recipient *recipients;
    const struct judgement *judgement; /* of those who were accepted */
    uint64_t size;                     /* prefix and content */
    uint64_t sent;                     /* of it, before stuffing */
    struct bytes piece;                /* read from the spool, not sent yet */
    struct dot_writer dots;
    int64_t began_wall_ms, began_ms, mail_ms, content_ms; /* content_ms 0: not begun */
    int32_t wait_ms;
};

/* Takes what was pulled; the client is in TRANSACTION afterwards. */
void transaction_begin(struct smtp_client *client, const struct pull *pull);
/* The sending half: one step; true if there was progress. */
bool transaction_send(struct smtp_client *client);
/* The connection is over: settles, or puts back in line what cannot have been seen by the peer.
 * So it does with all of it where it is the connection's fault, not the message's. */
void transaction_break(struct smtp_client *client, const struct judgement *judgement,
                       bool is_of_connection);
/* Lets go of it without any outcome: the program ends. */
void transaction_abandon(struct smtp_client *client);

/* transaction_judgement.c */
/* A judgement for the recipients that have none: of the peer's reply to MAIL, DATA, the dot. */
void transaction_refuse_all(struct transaction *t, const struct judgement *judgement);
/* Copies a judgement for as long as the transaction lives. */
const struct judgement *transaction_keep(struct transaction *t, const struct judgement *judgement);

/* transaction_content.c: writes content as far as the output has room; true on progress. */
bool transaction_send_content(struct smtp_client *client);
/* All of a message that is in memory. */
bool transaction_write_whole(struct smtp_client *client);

/* transaction_check.c: what the peer cannot take, NULL if it can. */
const struct judgement *transaction_check(struct transaction *t);
/* A notification of ours in the form that the peer takes: none is lost for its encoding. */
void transaction_fit(struct transaction *t);
bool transaction_is_8bit(const struct transaction *t);
/* The session is one for REQUIRETLS (RFC 8689 section 2): the host is who it says by more than the
 * word of DNS, and promises the same. */
bool client_keeps_promise(const struct smtp_client *client);

/* transaction_address.c: whether SMTPUTF8 is needed, and how the sender is written; a judgement
 * where the peer cannot take any of it. */
const struct judgement *transaction_check_utf8(struct transaction *t);
/* Of its recipients those whose address the peer cannot take; sets ask_count. */
void transaction_refuse_utf8(struct transaction *t);
struct bytes transaction_recipient_address(const struct transaction *t, uint32_t number);
