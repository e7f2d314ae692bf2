/* sign.c - ringpost sign: a message with its DKIM signatures. Nothing of it needs a daemon. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "directory/domains.h"
#include "relay/cli/read_file.h"
#include "relay/cli/records.h"
#include "relay/cli/sign_keys.h"
#include "smtp/address.h"

enum {
    MESSAGE_MAX = 256 << 20,
    FIELDS_MAX = 256 << 10, /* what is put before the message */
    NAMES_MAX = 64 << 10,   /* of domain and selectors */
};

struct signing {
    struct cli *cli;
    const char *domain, *canonicalization, *expires, *file;
    const char *selectors[DKIM_IDENTITIES_MAX], *paths[DKIM_IDENTITIES_MAX];
    size_t selector_count, path_count;
    struct dkim_signer_options options;
    struct arena arena;
    struct sign_keys keys;
    struct buf content, fields;
    struct mail_header header;
    struct bytes message; /* of the content, behind what an mbox file puts before it */
};

/* As it goes over the wire: the last line ends, too. */
static int read_content(struct signing *s)
{
    int code = cli_read_message(s->file, &s->content);
    struct bytes all = buf_bytes(&s->content);

    if (code == EXIT_GOOD && all.len > 0 && all.ptr[all.len - 1] != '\n' &&
        !buf_append(&s->content, BYTES("\r\n")))
        code = cli_fail(EXIT_FAILED, "%s: larger than 256 MiB", s->file);
    return code;
}

/* The content from its first field on; the header ended in an empty line or with the content. */
static struct bytes message_of(const struct signing *s, size_t body_len, bool has_body)
{
    struct bytes all = buf_bytes(&s->content);
    size_t len = body_len + (has_body ? 2 : 0);

    for (size_t i = 0; i < s->header.count; i++)
        len += s->header.fields[i].raw.len;
    return bytes_slice(all, all.len - len, len);
}

static int sign_content(struct signing *s)
{
    struct bytes body = buf_bytes(&s->content);
    bool has_body = mail_header_feed(&s->header, &body);
    struct body_hashes hashes;
    struct dkim_signer signer;
    const char *reason;

    mail_header_finish(&s->header);
    if (s->header.missing_separator)
        return cli_fail(EXIT_FAILED, "%s: a line before the empty one is no header field", s->file);
    body_hashes_init(&hashes);
    dkim_signer_init(&signer, &s->options, &hashes);
    body_hashes_feed(&hashes, body);
    body_hashes_finish(&hashes);
    bool is_good = dkim_sign(&signer, &s->header, s->keys.identities, s->keys.count,
                             clock_wall_ms(), &s->fields, &reason);

    body_hashes_free(&hashes);
    if (!is_good)
        return cli_fail(EXIT_FAILED, "%s: %s", s->file, reason);
    s->message = message_of(s, body.len, has_body);
    return EXIT_GOOD;
}

/* The fields one by one: --json has no room for a message of any bytes. */
static json_t *describe(const struct signing *s)
{
    json_t *list = json_array();
    struct bytes rest = buf_bytes(&s->fields);

    for (size_t i = 0; i < s->keys.count; i++) {
        const struct dkim_identity *identity = &s->keys.identities[i];
        size_t end = bytes_find_bytes(rest, BYTES("\r\nDKIM-Signature:"), 0);
        struct bytes field = bytes_slice(rest, 0, end < rest.len ? end + 2 : rest.len);

        rest = bytes_slice(rest, field.len, rest.len);
        field.len -= 2;
        json_array_append_new(list,
                              json_pack("{s:o,s:s,s:o}", "selector", json_text(identity->selector),
                                        "algorithm",
                                        signature_algorithm_name(dkim_key_algorithm(identity->key)),
                                        "field", json_text(field)));
    }
    return json_pack("{s:o,s:o}", "domain", json_text(s->keys.identities[0].domain), "signatures",
                     list);
}

static int print_message(const struct signing *s)
{
    struct bytes fields = buf_bytes(&s->fields);

    if (s->cli->json) {
        cli_print_json(describe(s));
        return EXIT_GOOD;
    }
    bool is_good = fwrite(fields.ptr, 1, fields.len, stdout) == fields.len &&
                   (s->message.len == 0 ||
                    fwrite(s->message.ptr, 1, s->message.len, stdout) == s->message.len) &&
                   fflush(stdout) == 0;
    return is_good ? EXIT_GOOD : cli_fail(EXIT_FAILED, "writing: %s", strerror(errno));
}

static bool read_forms(struct signing *s)
{
    struct bytes body = bytes_of(s->canonicalization), header;

    return bytes_take_until(&body, '/', &header) &&
           canonical_form_parse(header, &s->options.header_form) &&
           canonical_form_parse(body, &s->options.body_form);
}

/* The seconds of x= behind t=. */
static bool read_lifetime(struct signing *s)
{
    uint64_t seconds;

    if (!bytes_to_u64(bytes_of(s->expires), &seconds) || seconds == 0 || seconds > UINT32_MAX)
        return false;
    s->options.lifetime_s = (uint32_t)seconds;
    return true;
}

static int check_arguments(struct signing *s)
{
    if (s->domain == NULL)
        return cli_misuse(s->cli, "no domain; --domain NAME is needed");
    if (s->file == NULL)
        return cli_misuse(s->cli, "no message; a FILE is needed, or - for stdin");
    if (s->selector_count != s->path_count)
        return cli_misuse(s->cli, "each --key FILE needs its --selector NAME");
    if (s->canonicalization != NULL && !read_forms(s))
        return cli_misuse(s->cli,
                          "--canonicalization %s: expected HEADER/BODY, each relaxed or simple",
                          s->canonicalization);
    if (s->expires != NULL && !read_lifetime(s))
        return cli_misuse(s->cli, "--expires %s: expected a number of seconds", s->expires);
    return EXIT_GOOD;
}

static int load_keys(struct signing *s)
{
    struct bytes domain;
    int code = EXIT_GOOD;

    if (!smtp_domain_normalise(&s->arena, bytes_of(s->domain), &domain) || domain.ptr[0] == '[')
        return cli_misuse(s->cli, "--domain %s: not a domain name", s->domain);
    for (size_t i = 0; i < s->path_count && code == EXIT_GOOD; i++)
        code = sign_keys_add(&s->keys, domain, bytes_of(s->selectors[i]), s->paths[i]);
    return code;
}

/* Of one algorithm: as in the daemon, RSA comes first. */
static int add_active(struct signing *s, const struct records *records,
                      const struct domain_row *row, enum signature_algorithm algorithm)
{
    char path[CLI_PATH_MAX + 1024];
    struct bytes domain, selector;
    int code = EXIT_GOOD;

    for (size_t i = 0; i < row->key_count && code == EXIT_GOOD; i++) {
        const struct domain_key_row *key = &row->keys[i];

        if (key->state != DKIM_KEY_ACTIVE || key->algorithm != algorithm ||
            s->keys.count == DKIM_IDENTITIES_MAX)
            continue;
        check(arena_copy(&s->arena, row->name, &domain) &&
              arena_copy(&s->arena, key->selector, &selector));
        snprintf(path, sizeof(path), "%s/keys/%.*s", records->state_dir, BYTES_ARG(key->file));
        code = sign_keys_add(&s->keys, domain, selector, path);
    }
    return code;
}

struct of_directory {
    struct signing *signing;
    const struct records *records;
    int code;
};

static void take_domain(void *context, const struct domain_row *row)
{
    struct of_directory *of = context;

    of->code = add_active(of->signing, of->records, row, SIGNATURE_RSA_SHA256);
    if (of->code == EXIT_GOOD)
        of->code = add_active(of->signing, of->records, row, SIGNATURE_ED25519_SHA256);
}

/* With the keys that the daemon signs with. */
static int load_of_directory(struct signing *s)
{
    struct records records;
    struct of_directory of = {.signing = s, .records = &records};
    int code = records_open(s->cli, &records);

    if (code != EXIT_GOOD)
        return code;
    code = records_end(&records, domain_list(records.store, bytes_of(s->domain), take_domain, &of));
    if (code == EXIT_GOOD)
        code = of.code;
    if (code == EXIT_GOOD && s->keys.count == 0)
        code = cli_fail(EXIT_FAILED,
                        "%s: none of its keys is active (`ringpost domain verify %s` makes them)",
                        s->domain, s->domain);
    return code;
}

/* An option of which there may be several. */
static bool take_several(struct cli *cli, struct cli_walk *walk, const char *name,
                         const char *values[static DKIM_IDENTITIES_MAX], size_t *count)
{
    const char *value = NULL;

    if (!cli_value(cli, walk, name, &value))
        return false;
    if (value != NULL && *count == DKIM_IDENTITIES_MAX) {
        cli_misuse(cli, "more than %d times %s", DKIM_IDENTITIES_MAX, name);
        walk->is_bad = true;
    } else if (value != NULL) {
        values[(*count)++] = value;
    }
    return true;
}

static int read_arguments(struct signing *s)
{
    struct cli_walk walk = {0};

    while (cli_option(s->cli, &walk)) {
        if (walk.word != NULL && s->file == NULL)
            s->file = walk.word;
        else if (walk.word != NULL ||
                 (!cli_value(s->cli, &walk, "--domain", &s->domain) &&
                  !take_several(s->cli, &walk, "--selector", s->selectors, &s->selector_count) &&
                  !take_several(s->cli, &walk, "--key", s->paths, &s->path_count) &&
                  !cli_value(s->cli, &walk, "--canonicalization", &s->canonicalization) &&
                  !cli_value(s->cli, &walk, "--expires", &s->expires)))
            return cli_misuse(s->cli, "unknown argument %s",
                              walk.name != NULL ? walk.name : walk.word);
    }
    return walk.is_bad ? EXIT_USAGE : check_arguments(s);
}

static int run_sign(struct cli *cli)
{
    struct signing *s = calloc(1, sizeof(*s));

    check(s != NULL);
    s->cli = cli;
    s->options = DKIM_SIGNER_DEFAULTS;
    arena_init(&s->arena, NAMES_MAX);
    buf_init(&s->content, MESSAGE_MAX);
    buf_init(&s->fields, FIELDS_MAX);
    mail_header_init(&s->header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
    int code = read_arguments(s);
    if (code == EXIT_GOOD)
        code = s->path_count > 0 ? load_keys(s) : load_of_directory(s);
    if (code == EXIT_GOOD)
        code = read_content(s);
    if (code == EXIT_GOOD)
        code = sign_content(s);
    if (code == EXIT_GOOD)
        code = print_message(s);
    mail_header_free(&s->header);
    sign_keys_free(&s->keys);
    buf_free(&s->fields);
    buf_free(&s->content);
    arena_free(&s->arena);
    free(s);
    return code;
}

const struct cli_command cli_sign = {
    "sign",
    "sign a message with DKIM keys",
    "usage: ringpost [-c FILE] sign --domain NAME [--selector NAME --key FILE ...]\n"
    "                [--canonicalization HEADER/BODY] [--expires SECONDS] [--json] FILE|-\n\n"
    "Prints the message with a DKIM-Signature for each key before it; lines end in CRLF, whatever\n"
    "they ended in. Without --key these are the active keys that the directory has of the domain;\n"
    "no daemon is needed. A key is an unencrypted PEM file: RSA of 1024 to 4096 bits, or Ed25519.\n"
    "Header and body are signed relaxed, or as --canonicalization says (simple, relaxed).\n"
    "--expires puts an end to the signatures. With --json only these are printed.\n",
    run_sign,
};
