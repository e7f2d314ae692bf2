/* config_reports.c - what is told to other domains of their mail and their TLS. */
#include "relay/config_wings.h"
#include "smtp/address.h"

enum { ALLOW_MAX = 64, SPREAD_S_MAX = 20 * 3600 };

static bool address_is_valid(struct bytes text)
{
    struct smtp_address address;

    return smtp_parse_address(text, &address) && address.domain.len > 0 && !address.is_utf8;
}

/* It stands in header fields and in what is sent to strangers. */
static bool line_is_valid(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < ' ' || text.ptr[i] == 127)
            return false;
    return text.len > 0 && text.len <= 200;
}

static const struct config_key network = {.kind = CONFIG_NETWORK,
                                          .at = {0, sizeof(struct network)}};

static const struct config_key reports_keys[] = {
    {.name = "dmarc",
     .kind = CONFIG_BOOL,
     .at = AT(reports.dmarc),
     .standard = "false",
     .in_starter = true,
     .says = "Tell domains daily what became of mail in their name: DMARC aggregate reports."},
    {.name = "tls",
     .kind = CONFIG_BOOL,
     .at = AT(reports.tls),
     .standard = "false",
     .in_starter = true,
     .says = "Tell domains daily how TLS with their mail hosts went: TLS reports."},
    {.name = "email",
     .kind = CONFIG_TEXT,
     .at = AT(reports.email),
     .is_valid = address_is_valid,
     .expected = "an address in ASCII, local@domain",
     .example = "reports@example.net",
     .in_starter = true,
     .says = "Whom reports are from; needed where any are sent."},
    {.name = "organization",
     .kind = CONFIG_TEXT,
     .at = AT(reports.organization),
     .is_valid = line_is_valid,
     .expected = "a line of up to 200 bytes",
     .default_said = "hostname",
     .says = "Who reports."},
    {.name = "contact",
     .kind = CONFIG_TEXT,
     .at = AT(reports.contact),
     .is_valid = line_is_valid,
     .expected = "a line of up to 200 bytes",
     .says = "Where more can be asked: an address or a URL."},
    {.name = "spread",
     .kind = CONFIG_SECONDS,
     .at = AT(reports.spread_s),
     .standard = "4h",
     .max = SPREAD_S_MAX,
     .says = "Reports are sent within so long after midnight (UTC), each domain's at a time of its "
             "own."},
    {.name = "ca",
     .kind = CONFIG_TEXT,
     .at = AT(reports.ca),
     .default_said = "the system's",
     .says =
         "File of the certificates that hosts are verified by which TLS reports are posted to."},
    {.name = "allow",
     .kind = CONFIG_LIST,
     .at = AT(reports.allow),
     .count_at = AT(reports.allow_count),
     .item = &network,
     .max = ALLOW_MAX,
     .says = "Networks that are not public and may be posted to all the same."},
    {.kind = CONFIG_END},
};

static const struct config_key section_keys[] = {
    {.name = "reports",
     .kind = CONFIG_SECTION,
     .keys = reports_keys,
     .says = "Reports to other domains, of mail received and of TLS."},
    {.kind = CONFIG_END},
};

static void finish(struct config_reader *reader, struct config *config)
{
    const struct config_reports *reports = &config->reports;

    if ((reports->dmarc || reports->tls) && reports->email == NULL)
        config_error(reader, config_node(reader, "reports"),
                     "reports.email: none is given; expected an address that reports are from");
    config->inbound.rules.tells_record = reports->dmarc;
}

const struct config_key config_reports[] = {
    {.kind = CONFIG_PART, .keys = section_keys, .finish = finish},
    {.kind = CONFIG_END},
};
