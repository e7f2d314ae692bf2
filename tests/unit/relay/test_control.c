/* test_control.c - the control socket's lines: always JSON, whatever was asked. */
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "relay/control.h"
#include "support/unit.h"

static struct control_client client;
static int other_end;
static char answer[65536];

static void connect_pair(void)
{
    int ends[2];

    log_setup(LOG_TO_STDERR, LOG_LEVEL_ERROR);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    client = (struct control_client){.fd = ends[0]};
    other_end = ends[1];
}

/* Everything that was said, which must be one line of JSON with an error. */
static const char *take_error(void)
{
    size_t len = 0;
    ssize_t got;
    static char text[65536];

    close(client.fd);
    while ((got = read(other_end, answer + len, sizeof(answer) - 1 - len)) > 0)
        len += (size_t)got;
    close(other_end);
    answer[len] = '\0';
    assert_true(len > 0 && answer[len - 1] == '\n');
    assert_ptr_equal(strchr(answer, '\n'), answer + len - 1);
    json_t *json = json_loads(answer, 0, NULL);
    assert_non_null(json);
    const char *error = json_string_value(json_object_get(json, "error"));
    assert_non_null(error);
    memcpy(text, error, strlen(error) + 1);
    json_decref(json);
    return text;
}

TEST(fail_with_half_a_character_is_still_json)
{
    connect_pair();
    control_fail(&client, "\"%.*s\" found", 1, "\xc3\xbc");
    assert_string_equal(take_error(), "\"\xef\xbf\xbd\" found");
}

TEST(fail_that_cuts_a_character_is_still_json)
{
    char long_text[2001];

    for (size_t i = 0; i < 2000; i += 2)
        memcpy(long_text + i, "\xc3\xbc", 2);
    long_text[2000] = '\0';
    connect_pair();
    control_fail(&client, "unknown command %s", long_text);
    assert_true(strlen(take_error()) > 1000);
}

TEST(line_that_could_not_be_made_is_an_error_for_the_client)
{
    connect_pair();
    assert_true(control_line(&client, json_pack("{s:s}", "domain", "\xff")));
    assert_string_equal(take_error(), "the answer cannot be written");
}

static void serve(const char *request, size_t len)
{
    connect_pair();
    assert_int_equal(write(other_end, request, len), (ssize_t)len);
    shutdown(other_end, SHUT_WR);
    control_serve(&client);
}

TEST(long_unknown_command_is_named)
{
    char request[8000];
    size_t len = (size_t)snprintf(request, sizeof(request), "{\"command\": \"");

    for (; len < 4000; len += 3)
        memcpy(request + len, "\xe2\x82\xac", 3);
    len += (size_t)snprintf(request + len, sizeof(request) - len, "\"}\n");
    serve(request, len);
    assert_int_equal(strncmp(take_error(), "unknown command \xe2\x82\xac", 19), 0);
}

TEST(request_that_is_no_json_is_told)
{
    static const char request[] = "{\"command\": \"\xff\"}\n";

    serve(request, sizeof(request) - 1);
    assert_int_equal(strncmp(take_error(), "not JSON: ", 10), 0);
}

static void *write_much(void *argument)
{
    size_t left = CONTROL_REQUEST_MAX + 1;
    char block[1024];

    (void)argument;
    memset(block, ' ', sizeof(block));
    while (left > 0) {
        ssize_t sent = send(other_end, block, MIN(left, sizeof(block)), MSG_NOSIGNAL);

        if (sent <= 0)
            break;
        left -= (size_t)sent;
    }
    return NULL;
}

TEST(request_without_end_is_told_its_bound)
{
    pthread_t writer;

    connect_pair();
    assert_int_equal(pthread_create(&writer, NULL, write_much, NULL), 0);
    control_serve(&client);
    pthread_join(writer, NULL);
    assert_string_equal(take_error(), "the request is longer than 65536 bytes");
}
