/* client.c - names of the client, confirmed one by one, and only those that matter. */
#include "auth/spf/client.h"

#include "auth/client_address.h"

static bool is_same(struct bytes name, struct bytes domain)
{
    return bytes_equal_nocase(name, domain);
}

static bool is_below(struct bytes name, struct bytes domain)
{
    return name.len > domain.len + 1 && bytes_ends_nocase(name, domain) &&
           name.ptr[name.len - domain.len - 1] == '.';
}

static bool is_any(struct bytes name, struct bytes domain)
{
    return !is_same(name, domain) && !is_below(name, domain);
}

/* The first name for which `fits` holds and whose addresses hold the client's. */
static enum client_answer find(struct spf_check *check, struct bytes domain,
                               bool (*fits)(struct bytes name, struct bytes domain),
                               struct bytes *name_out)
{
    struct machine_client *client = &check->client;

    for (size_t i = 0; i < client->count; i++) {
        struct bytes name = machine_name_bytes(&client->names[i]);

        if (client->confirmed[i] == CLIENT_REFUTED || !fits(name, domain))
            continue;
        if (client->confirmed[i] == CLIENT_UNKNOWN) {
            client->asked = i;
            machine_ask(check, ASKED_CLIENT_ADDRESS, check->is_ip6 ? LOOKUP_AAAA : LOOKUP_A, name);
            return CLIENT_ASKS;
        }
        *name_out = name;
        return CLIENT_NAMED;
    }
    return CLIENT_NAMELESS;
}

static bool ask_names(struct spf_check *check)
{
    char name[CLIENT_REVERSE_MAX];
    struct bytes address = bytes_range(check->address, check->is_ip6 ? 16 : 4);

    if (check->client.is_asked)
        return false;
    check->client.is_asked = true;
    machine_ask(check, ASKED_CLIENT_NAMES, LOOKUP_PTR, client_address_reverse(address, name));
    return true;
}

enum client_answer client_name_in(struct spf_check *check, struct bytes domain,
                                  struct bytes *name_out)
{
    if (ask_names(check))
        return CLIENT_ASKS;
    enum client_answer found = find(check, domain, is_same, name_out);

    return found != CLIENT_NAMELESS ? found : find(check, domain, is_below, name_out);
}

enum client_answer client_name_for(struct spf_check *check, struct bytes domain,
                                   struct bytes *name_out)
{
    enum client_answer found = client_name_in(check, domain, name_out);

    return found != CLIENT_NAMELESS ? found : find(check, domain, is_any, name_out);
}

/* Ten names at most, in the order they came (section 4.6.4). An error leaves none. */
void client_take_names(struct spf_check *check, const struct lookup_answer *answer)
{
    struct machine_client *client = &check->client;
    size_t limit = answer->count < SPF_HOSTS_MAX ? answer->count : SPF_HOSTS_MAX;

    for (size_t i = 0; i < limit; i++) {
        client->confirmed[client->count] = CLIENT_UNKNOWN;
        client->count += machine_name_set(&client->names[client->count], answer->records[i].text);
    }
}

void client_take_address(struct spf_check *check, const struct lookup_answer *answer)
{
    struct machine_client *client = &check->client;
    bool is_client = false;

    for (size_t i = 0; i < answer->count; i++)
        is_client |= machine_is_client(check, answer->records[i].text, 32, 128);
    client->confirmed[client->asked] = is_client ? CLIENT_CONFIRMED : CLIENT_REFUTED;
}
