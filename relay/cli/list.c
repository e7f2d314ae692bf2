/* list.c - the daemon's lines, with last outcomes out of the event files. */
#include "relay/cli/list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/cli/last_outcome.h"

enum { KEY_MAX = 512 };

struct listing {
    const struct cli *cli;
    json_t *kept;   /* in order; NULL: printed, and so is what comes */
    json_t *by_key; /* the same lines, by id and recipient */
};

static const char *text(const json_t *line, const char *key)
{
    const char *value = json_string_value(json_object_get(line, key));

    return value == NULL ? "-" : value;
}

/* --- for people ------------------------------------------------------------------------------- */

/* The reply as the peer gave it, or what we say in place of one. */
static void print_reply(const json_t *outcome)
{
    const json_t *reply = json_object_get(outcome, "reply");
    json_int_t code = json_integer_value(json_object_get(reply, "code"));
    const char *enhanced = json_string_value(json_object_get(reply, "enhanced"));

    fputs(" last=", stdout);
    if (code != 0)
        printf("%lld ", (long long)code);
    if (enhanced != NULL)
        printf("%s ", enhanced);
    cli_print_text(text(reply, "text"));
}

static void print_recipient(const json_t *line)
{
    const json_t *outcome = json_object_get(line, "last_outcome");

    printf("%s %-10s attempts=%lld size=%lld accepted=%s due=%s from=<%s> to=<%s>",
           text(line, "id"), text(line, "state"),
           (long long)json_integer_value(json_object_get(line, "attempts")),
           (long long)json_integer_value(json_object_get(line, "size")), text(line, "accepted"),
           text(line, "due"), text(line, "sender"), text(line, "recipient"));
    if (json_is_object(outcome))
        print_reply(outcome);
    putchar('\n');
}

static void print_line(const struct cli *cli, const json_t *line)
{
    if (!cli->json) {
        print_recipient(line);
        return;
    }
    char *json = json_dumps(line, JSON_COMPACT);

    puts(json == NULL ? "{}" : json);
    free(json);
}

/* --- the last outcomes ------------------------------------------------------------------------ */

static bool make_key(const char *id, const char *recipient, char key[static KEY_MAX])
{
    return snprintf(key, KEY_MAX, "%s %s", id, recipient) < KEY_MAX;
}

static void add_outcome(void *context, const char *id, const char *recipient, json_t *outcome)
{
    struct listing *listing = context;
    char key[KEY_MAX];
    json_t *line = make_key(id, recipient, key) ? json_object_get(listing->by_key, key) : NULL;

    if (line != NULL)
        json_object_set(line, "last_outcome", outcome);
}

static int64_t oldest_ms(const json_t *lines)
{
    int64_t oldest = INT64_MAX;
    const json_t *line;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)lines, i, line)
    {
        oldest = MIN(oldest, last_outcome_wall_ms(line, "accepted"));
    }
    return oldest;
}

/* Prints what was kept; nothing is kept from here on. Without its reply a line is good too. */
static void print_kept(struct listing *listing)
{
    struct event_filter filter = {.since_ms = oldest_ms(listing->kept)};
    const json_t *line;
    size_t i;

    if (json_array_size(listing->kept) > 0)
        (void)last_outcomes_read(listing->cli, &filter, add_outcome, listing);
    json_array_foreach(listing->kept, i, line)
    {
        print_line(listing->cli, line);
    }
    json_decref(listing->by_key);
    json_decref(listing->kept);
    listing->by_key = listing->kept = NULL;
}

static void take_line(void *context, const json_t *line)
{
    struct listing *listing = context;
    json_t *own = (json_t *)(uintptr_t)line;
    char key[KEY_MAX];

    if (listing->kept == NULL) {
        print_line(listing->cli, line);
        return;
    }
    json_object_set_new(own, "last_outcome", json_null());
    json_array_append(listing->kept, own);
    if (make_key(text(line, "id"), text(line, "recipient"), key))
        json_object_set(listing->by_key, key, own);
    if (json_array_size(listing->kept) < LIST_KEPT_MAX)
        return;
    print_kept(listing);
    fprintf(stderr,
            "ringpost: last replies are shown for the first %d recipients; `ringpost queue "
            "explain` tells the others'\n",
            LIST_KEPT_MAX);
}

int cli_list(const struct cli *cli, json_t *request, json_t **done_out)
{
    struct cli plain = *cli;
    struct listing listing = {.cli = cli, .kept = json_array(), .by_key = json_object()};

    check(listing.kept != NULL && listing.by_key != NULL);
    plain.json = false; /* lines come here first */
    int code = cli_control(&plain, request, take_line, &listing, done_out);

    if (listing.kept != NULL)
        print_kept(&listing);
    return code;
}
