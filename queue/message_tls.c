/* message_tls.c - what a message asks of TLS, in words and in its tail. */
#include "queue/message.h"
#include "queue/tail.h"

const char *mail_tls_name(enum mail_tls tls)
{
    static const char *const names[] = {
        [MAIL_TLS_ANY] = "any", [MAIL_TLS_REQUIRED] = "required", [MAIL_TLS_OPTIONAL] = "optional"};

    check((unsigned)tls < ARRAY_LEN(names));
    return names[tls];
}

bool message_ask_tls(struct message *message, enum mail_tls tls)
{
    uint8_t value = (uint8_t)tls;

    check(message->tls == MAIL_TLS_ANY);
    if (tls != MAIL_TLS_ANY &&
        !tail_add(&message->arena, &message->tail, TAIL_TLS, (struct bytes){&value, 1}))
        return false;
    message->tls = tls;
    return true;
}
