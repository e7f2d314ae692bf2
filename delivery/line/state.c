/* state.c - who still needs these settings, and what a stop waits for. */
#include "delivery/line/state.h"

#include <stdlib.h>

void settings_use(struct delivery *delivery, const struct delivery_settings *settings)
{
    struct settings_use *use =
        calloc(1, sizeof(*use) + settings->source_count * sizeof(use->of_sources[0]));

    check(use != NULL);
    use->settings = settings;
    use->references = 1;
    for (size_t i = 0; i < settings->source_count; i++)
        use->of_sources[i] = series_begin(&family_sources, bytes_of(settings->sources[i].name));
    delivery->use = use;
    delivery->settings = settings;
}

void settings_give_back(struct delivery *delivery, const struct delivery_settings *settings)
{
    if (delivery->settings_unused != NULL)
        delivery->settings_unused(delivery->context, settings);
}

void settings_release(struct delivery *delivery, struct settings_use **use)
{
    struct settings_use *u = *use;

    *use = NULL;
    check(u->references > 0);
    if (--u->references > 0)
        return;
    for (size_t i = 0; i < u->settings->source_count; i++)
        series_put(&u->of_sources[i]);
    settings_give_back(delivery, u->settings);
    free(u);
}

bool delivery_holds_nothing(const struct delivery *delivery)
{
    return delivery->carrier_count == 0 && delivery->site_count == 0 &&
           outcomes_are_none(delivery->outcomes);
}

void delivery_check_stopped(struct delivery *delivery)
{
    if (delivery->is_stopping && !delivery->has_stopped && delivery_holds_nothing(delivery))
        delivery_drive_later(delivery);
}
