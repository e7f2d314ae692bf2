/* config_dkim.c - signatures of mail that leaves. */
#include "relay/config_wings.h"

/* Header and body; numbers of dkim_forms. */
static const char *const forms[] = {"relaxed/relaxed", "relaxed/simple", "simple/relaxed",
                                    "simple/simple", NULL};

static const struct config_key section_keys[] = {
    {.name = "canonicalization",
     .kind = CONFIG_NAME,
     .at = AT(dkim_forms),
     .standard = "relaxed/relaxed",
     .names = forms,
     .says = "In which form header and body are signed: relaxed survives changes of white space."},
    {.name = "lifetime",
     .kind = CONFIG_SECONDS,
     .at = AT(signer.options.lifetime_s),
     .standard = "0s",
     .max = 10 * 365 * 24 * 3600,
     .says = "How long a signature is good for (x=); 0s: without end."},
    {.name = "keys",
     .kind = CONFIG_COUNT,
     .at = AT(signer.keys_max),
     .standard = "1000",
     .min = 1,
     .max = 1000000,
     .says = "Private keys that an engine keeps in memory; others are read when they are needed."},
    {.kind = CONFIG_END},
};

static const struct config_key dkim_keys[] = {
    {.name = "dkim",
     .kind = CONFIG_SECTION,
     .keys = section_keys,
     .says = "Signatures of tenants' mail."},
    {.kind = CONFIG_END},
};

static void finish(struct config_reader *reader __attribute__((unused)), struct config *config)
{
    struct dkim_signer_options *options = &config->signer.options;

    options->header_form = config->dkim_forms < 2 ? CANONICAL_RELAXED : CANONICAL_SIMPLE;
    options->body_form = config->dkim_forms % 2 == 0 ? CANONICAL_RELAXED : CANONICAL_SIMPLE;
}

const struct config_key config_dkim[] = {
    {.kind = CONFIG_PART, .keys = dkim_keys, .finish = finish},
    {.kind = CONFIG_END},
};
