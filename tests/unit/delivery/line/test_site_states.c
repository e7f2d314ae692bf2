/* test_site_states.c - a site's states are those its header draws, and change as drawn. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "delivery/line/destination.h"
#include "delivery/line/egress_state.h"
#include "support/unit.h"

static const char *const names[] = {
    [SITE_IDLE] = "IDLE",           [SITE_CONNECTING] = "CONNECTING", [SITE_SERVING] = "SERVING",
    [SITE_THROTTLED] = "THROTTLED", [SITE_LIMITED] = "LIMITED",       [SITE_STARVED] = "STARVED",
    [SITE_FAILING] = "FAILING",     [SITE_RESTING] = "RESTING",
};

/* The comment that opens the file. */
static const char *drawing(void)
{
    static char text[16384];
    FILE *file = fopen("delivery/line/site_state.h", "r");

    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);

    fclose(file);
    text[len] = '\0';
    char *end = strstr(text, "*/");

    assert_non_null(end);
    *end = '\0';
    return text;
}

/* A row of the drawing's box: these states follow each other in any order. */
static bool is_working(enum site_state state)
{
    const char *box = strstr(drawing(), ".---");
    const char *end = box != NULL ? strstr(box, "'---") : NULL;

    assert_non_null(end);
    const char *at = strstr(box, names[state]);
    /* IDLE stands left of the box, in its rows. */
    return at != NULL && at < end && state != SITE_IDLE;
}

static bool is_drawn(enum site_state state, enum site_state next)
{
    if (state == next)
        return false;
    if (state == SITE_FAILING)
        return next == SITE_RESTING || next == SITE_IDLE;
    if (state == SITE_RESTING)
        return next == SITE_IDLE;
    return true; /* from IDLE and from work to wherever there is an arrow: all of them */
}

TEST(site_states_are_drawn)
{
    assert_int_equal(ARRAY_LEN(names), SITE_STATE_COUNT);
    for (size_t i = 0; i < SITE_STATE_COUNT; i++) {
        char lower[32] = "";

        for (size_t k = 0; names[i][k] != '\0'; k++)
            lower[k] = (char)tolower((unsigned char)names[i][k]);
        expect_row(i, strstr(drawing(), names[i]) != NULL);
        expect_row(i, strcmp(site_state_name((enum site_state)i), lower) == 0);
        expect_row(i, is_working((enum site_state)i) ==
                          (i != SITE_IDLE && i != SITE_FAILING && i != SITE_RESTING));
    }
}

TEST(site_states_change_as_drawn)
{
    for (size_t i = 0; i < SITE_STATE_COUNT; i++)
        for (size_t k = 0; k < SITE_STATE_COUNT; k++)
            expect_row(i * SITE_STATE_COUNT + k,
                       site_may_enter((enum site_state)i, (enum site_state)k) ==
                           is_drawn((enum site_state)i, (enum site_state)k));
}

/* What one domain costs whose mail waits at a site of its own, with one source: 968 octets before
 * there were providers. Its counts by name are two pointers and a series, its connections' slots
 * three. */
TEST(site_and_its_parts_cost_what_they_did)
{
    assert_in_range(sizeof(struct destination) + sizeof(struct site) + sizeof(struct site_egress) +
                        sizeof(struct egress),
                    1, 968 + 24 + 2 * sizeof(struct series *) + 3 * sizeof(struct egress_holder *));
    assert_in_range(sizeof(struct series) + RECIPIENTS_OF_SITES * sizeof(int64_t), 1, 88);
}
