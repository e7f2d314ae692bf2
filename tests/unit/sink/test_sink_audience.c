/* test_sink_audience.c - who hears which events. */
/* threads: one */
#include "sink/sink_audience.h"

#include "support/unit.h"

enum { COUNT = 6 };

static struct audience audience;
static struct listener listeners[COUNT];
static unsigned heard[COUNT];
static struct listener *leaving; /* when it hears something */

static void hear(void *context, struct listener *listener)
{
    (void)context;
    heard[listener - listeners]++;
    if (listener == leaving)
        audience_remove(&audience, listener);
}

static void fixture_make(void)
{
    audience_init(&audience);
    leaving = NULL;
    for (size_t i = 0; i < COUNT; i++) {
        listener_init(&listeners[i]);
        heard[i] = 0;
    }
}

static void fixture_remove(void)
{
    while (audience_first(&audience) != NULL)
        audience_remove(&audience, audience_first(&audience));
    audience_free(&audience);
}

static void expect_heard(const unsigned wanted[COUNT])
{
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(heard[i], wanted[i]);
        heard[i] = 0;
    }
}

TEST(tenants_hear_their_own_and_others_everything)
{
    fixture_make();
    audience_add(&audience, &listeners[0], "shop");
    audience_add(&audience, &listeners[1], NULL);
    audience_add(&audience, &listeners[2], "club");
    audience_add(&audience, &listeners[3], "shop");
    audience_tell(&audience, BYTES("shop"), hear, NULL);
    expect_heard((unsigned[COUNT]){1, 1, 0, 1});
    audience_tell(&audience, BYTES("club"), hear, NULL);
    expect_heard((unsigned[COUNT]){0, 1, 1, 0});
    audience_tell(&audience, BYTES("nobody"), hear, NULL);
    audience_tell(&audience, BYTES_NONE, hear, NULL); /* mail of none */
    expect_heard((unsigned[COUNT]){0, 2, 0, 0});
    fixture_remove();
}

TEST(listeners_leave_while_they_hear)
{
    fixture_make();
    for (size_t i = 0; i < COUNT; i++)
        audience_add(&audience, &listeners[i], i % 2 == 0 ? "shop" : NULL);
    for (size_t i = 0; i < COUNT; i++) {
        leaving = &listeners[i];
        audience_tell(&audience, BYTES("shop"), hear, NULL);
        for (size_t k = 0; k < COUNT; k++) {
            assert_int_equal(heard[k], k >= i);
            heard[k] = 0;
        }
    }
    assert_null(audience_first(&audience));
    leaving = NULL;
    audience_add(&audience, &listeners[2], "shop");
    assert_ptr_equal(audience_first(&audience), &listeners[2]);
    audience_tell(&audience, BYTES("shop"), hear, NULL);
    expect_heard((unsigned[COUNT]){0, 0, 1});
    fixture_remove();
}
