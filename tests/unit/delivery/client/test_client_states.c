/*
 * test_client_states.c - the states of the client and of a transaction are those that their
 * headers draw, and every command has a deadline.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "delivery/client/transaction.h"
#include "support/unit.h"

/* Finds `word` as a whole word in the comment that opens the file. */
static bool is_drawn(const char *path, const char *word)
{
    static char text[16384];
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);

    fclose(file);
    text[len] = '\0';
    char *end = strstr(text, "*/");

    assert_non_null(end);
    *end = '\0';
    for (char *at = text; (at = strstr(at, word)) != NULL; at++)
        if (!isupper((unsigned char)at[-1]) && at[-1] != '_' &&
            !isupper((unsigned char)at[strlen(word)]) && at[strlen(word)] != '_')
            return true;
    return false;
}

TEST(client_states_are_drawn)
{
    static const char *const names[] = {
        [CLIENT_CONNECT] = "CONNECT",
        [CLIENT_GREETING] = "GREETING",
        [CLIENT_EHLO] = "EHLO",
        [CLIENT_READY] = "READY",
        [CLIENT_TRANSACTION] = "TRANSACTION",
        [CLIENT_QUIT] = "QUIT",
        [CLIENT_CLOSING] = "CLOSING",
        [CLIENT_STARTTLS] = "STARTTLS",
        [CLIENT_HANDSHAKE] = "HANDSHAKE",
        [CLIENT_REOPEN] = "REOPEN",
    };

    assert_int_equal(ARRAY_LEN(names), CLIENT_STATE_COUNT);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        expect_row(i, is_drawn("delivery/client/client.h", names[i]));
}

TEST(transaction_walk_is_drawn)
{
    static const char *const names[] = {
        [WALK_LOAD] = "LOAD",       [WALK_RSET] = "RSET",       [WALK_MAIL] = "MAIL",
        [WALK_RCPT] = "RCPT",       [WALK_DATA] = "DATA",       [WALK_DATA_REPLY] = "DATA_REPLY",
        [WALK_CONTENT] = "CONTENT", [WALK_REPLIES] = "REPLIES",
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        expect_row(i, is_drawn("delivery/client/transaction.h", names[i]));
}

TEST(client_commands_all_have_deadlines_and_replies)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        expect_row(i, client_commands[i].name != NULL);
        expect_row(i, client_commands[i].timeout_s > 0);
        expect_row(i, client_commands[i].on_reply != NULL);
    }
}
