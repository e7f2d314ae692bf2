/* client_end.c - every way in which a connection ends. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "delivery/client/transaction.h"

/* The peer ended it, with 421 (RFC 5321 section 3.8) or without. */
static bool is_ended(const struct judgement *judgement)
{
    return judgement->code == 421 ||
           (judgement->is_ours && strcmp(judgement->rule, "connection-lost") == 0);
}

/*
 * Whether it is the connection that failed, not this message, so that it is not even an attempt:
 * the next try is on a new connection. Peers close idle connections just when we use them again,
 * some say 421 to one message too many, some lose count of their own replies. A fresh connection
 * has no such excuse, unless the peer serves others and says that they are enough.
 */
static bool is_of_connection(struct smtp_client *c, const struct judgement *judgement)
{
    const struct transaction *t = c->transaction;
    bool is_of_content = t->sent > 0 || (t->is_all_written && pipeline_is_empty(&c->pipeline));

    if (c->messages_done == 0)
        return judgement->code == 421 && !is_of_content &&
               carrier_is_surplus(&c->carrier, judgement);
    if (judgement->code == 421)
        return !is_of_content;
    if (is_ended(judgement))
        return !t->was_answered;
    return judgement->is_ours && strcmp(judgement->class, "protocol") == 0 && t->sent == 0 &&
           !t->is_all_written;
}

/* For the site to learn from: nothing became of a connection that it had let in. */
static void tell_site(struct smtp_client *c, const struct judgement *judgement, bool was_innocent)
{
    if (c->messages_done > 0 || was_innocent)
        return;
    if (c->transaction->mail_ms == 0) /* not even one message was tried on it */
        carrier_useless(&c->carrier, judgement);
    else if (is_ended(judgement))
        carrier_fruitless(&c->carrier, judgement);
}

bool client_fail(struct smtp_client *c, const struct judgement *judgement)
{
    if (c->state == CLIENT_CLOSING)
        return false;
    if (client_falls_back(c, judgement))
        return true;
    log_debug("client=%p site=%s failed=%s", (void *)c, LOG_TEXT(carrier_site_name(&c->carrier)),
              LOG_TEXT(judgement->text));
    if (!c->has_greeted)
        carrier_failed(&c->carrier, judgement);
    if (c->transaction != NULL) {
        bool is_innocent = is_of_connection(c, judgement);

        transaction_break(c, judgement, is_innocent);
        tell_site(c, judgement, is_innocent);
    }
    client_abort(c);
    return true;
}

bool client_fail_with_quit(struct smtp_client *c, const struct judgement *judgement)
{
    check(c->carrier.is_opening);
    log_debug("client=%p site=%s failed=%s", (void *)c, LOG_TEXT(carrier_site_name(&c->carrier)),
              LOG_TEXT(judgement->text));
    carrier_failed(&c->carrier, judgement);
    client_quit(c);
    return true;
}

bool client_fail_ours(struct smtp_client *c, uint16_t subject, uint16_t detail, const char *class,
                      const char *rule, const char *text)
{
    struct judgement judgement =
        judgement_of_ours(JUDGEMENT_DEFERRED, subject, detail, class, rule, bytes_of(text));

    return client_fail(c, &judgement);
}

void client_lost(struct smtp_client *c, int error)
{
    char text[192];

    switch ((enum client_state)c->state) {
    case CLIENT_READY:
    case CLIENT_QUIT:
    case CLIENT_CLOSING:
    case CLIENT_STATE_COUNT:
        client_abort(c);
        return;
    case CLIENT_REOPEN:
        return; /* that is what it waits for */
    case CLIENT_HANDSHAKE:
        snprintf(text, sizeof(text), "the host closed the connection in the handshake%s%s",
                 error != 0 ? ": " : "", error != 0 ? strerrordesc_np(-error) : "");
        client_handshake_failed(c, text);
        return;
    case CLIENT_CONNECT:
        /* Of our own address: it is gone from this machine, or has no port left. */
        if (error == -EADDRNOTAVAIL) {
            const char *source = carrier_source(&c->carrier)->name;

            snprintf(text, sizeof(text), "source %s: %s", source, strerrordesc_np(-error));
            log_limited(LOG_LEVEL_WARN, "source=%s site=%s what=\"cannot send from it: %s\"",
                        LOG_STRING(source), LOG_TEXT(carrier_site_name(&c->carrier)),
                        strerrordesc_np(-error));
            client_fail_ours(c, 4, 1, "connection", FAILED_SOURCE, text);
            return;
        }
        snprintf(text, sizeof(text), "could not connect: %s", strerrordesc_np(-error));
        client_fail_ours(c, 4, 1, "connection", "connect-failed", text);
        return;
    case CLIENT_GREETING:
    case CLIENT_EHLO:
    case CLIENT_STARTTLS:
    case CLIENT_TRANSACTION:
        break;
    }
    struct sent sent;
    const char *when =
        pipeline_first(&c->pipeline, &sent) ? client_commands[sent.command].name : "the content";

    snprintf(text, sizeof(text), "the peer closed the connection before it answered %s%s%s", when,
             error != 0 ? ": " : "", error != 0 ? strerrordesc_np(-error) : "");
    client_fail_ours(c, 4, 2, "connection", "connection-lost", text);
}

void client_lost_unused(struct smtp_client *c, const struct judgement *said)
{
    struct judgement lost =
        judgement_of_ours(JUDGEMENT_DEFERRED, 4, 2, "connection", "connection-lost",
                          BYTES("the peer closed the connection before it was sent any message"));
    struct judgement unasked =
        judgement_of_ours(JUDGEMENT_DEFERRED, 5, 0, "protocol", "reply-unexpected",
                          BYTES("the peer sent a reply that answers no command"));
    bool has_said = !c->conn.eof && conn_is_open(&c->conn);

    if (said == NULL)
        said = has_said ? &unasked : &lost;
    if (c->messages_done == 0)
        carrier_useless(&c->carrier, said);
    client_abort(c);
}

void client_quit(struct smtp_client *c)
{
    client_enter(c, CLIENT_QUIT);
    if (!perform_quit(c)) {
        client_abort(c);
        return;
    }
    client_arm_deadline(c);
}

void client_abort(struct smtp_client *c)
{
    if (c->state == CLIENT_CLOSING)
        return;
    if (c->carrier.is_opening)
        carrier_given_up(&c->carrier);
    if (c->transaction != NULL)
        transaction_abandon(c);
    client_tls_end(c);
    bool has_alert = c->state == CLIENT_HANDSHAKE && c->conn.error != 0;

    client_enter(c, CLIENT_CLOSING);
    if (has_alert)
        conn_finish(&c->conn); /* the peer is told what is wrong with its TLS */
    else
        conn_close(&c->conn);
}

void client_check_free(struct smtp_client *c)
{
    struct smtp_clients *clients = c->clients;

    if (!c->is_closed)
        return;
    if (c->transaction != NULL && (c->transaction->is_loading || c->transaction->is_reading))
        return;
    check(c->state == CLIENT_CLOSING);
    metric_dec(METRIC_CLIENT_CLOSING);
    if (c->transaction != NULL && c->transaction->message != NULL)
        message_release(&c->transaction->message);
    arena_free(&c->arena);
    carrier_gone(&c->carrier);
    slab_release(&clients->slab, &c);
}
