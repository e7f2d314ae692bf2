/* store_route.c - asks the directory. */
#include "delivery/line/store_route.h"

enum { KEPT_MS = 3600 * 1000 };

const struct source store_source = {.name = STORE_HOST, .ehlo = ""};

bool store_is_known(const struct delivery *delivery)
{
    const struct delivery_store *store = &delivery->store;

    return store->is_hosted == NULL || store->version(store->context) != 0;
}

bool store_takes(const struct delivery *delivery, const struct domain *domain)
{
    const struct delivery_store *store = &delivery->store;

    return store->is_hosted != NULL && store->is_hosted(store->context, domain_name(domain));
}

void store_set(const struct delivery *delivery, struct mx_set *set_out, struct mx_host *host_out)
{
    *host_out = (struct mx_host){.name = BYTES(STORE_HOST), .address_count = 1};
    /* Of no meaning to a filer, but hosts are told apart by their addresses. */
    address_from_v4((struct in_addr){0}, 0, &host_out->addresses[0]);
    *set_out = (struct mx_set){
        .status = MX_OK,
        .note = "",
        .host_count = 1,
        .hosts = host_out,
        .site = BYTES(STORE_SITE),
        .expires_ms = engine_now_ms(delivery->engine) + KEPT_MS,
    };
}
