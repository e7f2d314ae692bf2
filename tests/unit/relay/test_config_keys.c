/* test_config_keys.c - rows of keys: each kind, what the manual must say, the starter file. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "relay/config.h"
#include "relay/config_describe.h"
#include "relay/config_document.h"
#include "relay/config_reader.h"
#include "relay/config_suggest.h"
#include "support/unit.h"

/* --- a table with each kind ------------------------------------------------------------------- */

struct item {
    const char *name;
    unsigned weight;
};

struct part {
    unsigned first;
};

struct everything {
    const char *text, *word, *pattern;
    bool flag, is_flag_given;
    unsigned count, count_or_auto;
    uint64_t size;
    unsigned small_size, seconds, milliseconds, percent;
    double number, rate;
    int colour;
    struct address address, address4, address6;
    const char *address_text;
    struct part part;
    size_t network_count, item_count, heir_count;
    struct network *networks;
    struct item *items;
    struct part *heirs;
};

#define E(member) CONFIG_PLACE(struct everything, member)

static bool is_upper(struct bytes text)
{
    return text.ptr[0] >= 'A' && text.ptr[0] <= 'Z';
}

static const char *const colours[] = {"red", "green", "blue", NULL};
static const struct config_key network = {.kind = CONFIG_NETWORK,
                                          .at = {0, sizeof(struct network)}};
static const struct config_key item_keys[] = {
    {.name = "name",
     .kind = CONFIG_TEXT,
     .at = CONFIG_PLACE(struct item, name),
     .is_required = true,
     .is_unique = true,
     .example = "one"},
    {.name = "weight",
     .kind = CONFIG_COUNT,
     .at = CONFIG_PLACE(struct item, weight),
     .standard = "7",
     .needs_restart = true},
    {.kind = CONFIG_END},
};
static const struct config_key item = {.kind = CONFIG_SECTION,
                                       .at = {0, sizeof(struct item)},
                                       .keys = item_keys};
static const struct config_key part_keys[] = {
    {.name = "first",
     .kind = CONFIG_COUNT,
     .at = CONFIG_PLACE(struct part, first),
     .standard = "3"},
    {.kind = CONFIG_END},
};
static const struct config_key heir = {.kind = CONFIG_SECTION,
                                       .at = {0, sizeof(struct part)},
                                       .keys = part_keys};
static const struct config_key inner_keys[] = {
    {.name = "seconds", .kind = CONFIG_SECONDS, .at = E(seconds), .min = 60, .max = 3600},
    {.name = "milliseconds", .kind = CONFIG_MILLISECONDS, .at = E(milliseconds), .max = 1500},
    {.name = "percent", .kind = CONFIG_PERCENT, .at = E(percent), .max = 90},
    {.kind = CONFIG_END},
};

static const struct config_key keys[] = {
    {.name = "text", .kind = CONFIG_TEXT, .at = E(text), .needs_restart = true},
    {.name = "word",
     .kind = CONFIG_TEXT,
     .at = E(word),
     .is_valid = is_upper,
     .expected = "a word in capitals"},
    {.name = "pattern", .kind = CONFIG_PATTERN, .at = E(pattern)},
    {.name = "flag", .kind = CONFIG_BOOL, .at = E(flag), .given_at = E(is_flag_given)},
    {.name = "count", .kind = CONFIG_COUNT, .at = E(count), .standard = "5", .min = 2, .max = 9},
    {.name = "count_or_auto",
     .kind = CONFIG_COUNT,
     .at = E(count_or_auto),
     .standard = "auto",
     .word = "auto",
     .min = 1,
     .max = 8},
    {.name = "size", .kind = CONFIG_SIZE, .at = E(size), .min = 1024},
    {.name = "small_size", .kind = CONFIG_SIZE, .at = E(small_size)},
    {.name = "inner", .kind = CONFIG_SECTION, .keys = inner_keys},
    {.name = "number", .kind = CONFIG_NUMBER, .at = E(number), .min = 1, .max = 100},
    {.name = "rate", .kind = CONFIG_RATE, .at = E(rate), .standard = "2/s", .word = "none"},
    {.name = "colour", .kind = CONFIG_NAME, .at = E(colour), .names = colours},
    {.name = "address",
     .kind = CONFIG_ADDRESS,
     .at = E(address),
     .text_at = E(address_text),
     .needs_restart = true},
    {.name = "address4", .kind = CONFIG_IPV4, .at = E(address4)},
    {.name = "address6", .kind = CONFIG_IPV6, .at = E(address6)},
    {.name = "networks",
     .kind = CONFIG_LIST,
     .at = E(networks),
     .count_at = E(network_count),
     .item = &network,
     .needs_restart = true},
    {.name = "items",
     .kind = CONFIG_LIST,
     .at = E(items),
     .count_at = E(item_count),
     .item = &item,
     .min = 1,
     .max = 3},
    {.kind = CONFIG_PART, .at = E(part), .keys = part_keys},
    {.name = "heirs",
     .kind = CONFIG_LIST,
     .at = E(heirs),
     .count_at = E(heir_count),
     .base_at = E(part),
     .item = &heir},
    {.kind = CONFIG_END},
};

static struct arena arena;
static char errors[64 << 10], path[64];
static unsigned error_count;

static void note_error(void *context, const char *text)
{
    size_t len = strlen(errors);

    (void)context;
    error_count++;
    snprintf(errors + len, sizeof(errors) - len, "%s\n", text);
}

static void write_file(struct bytes text)
{
    snprintf(path, sizeof(path), "/tmp/ringpost-keys-XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.ptr, text.len), (ssize_t)text.len);
    close(fd);
    errors[0] = '\0';
    error_count = 0;
}

/* False after errors, which stand in `errors`. The arena stays until the next call. */
static bool read_bytes(struct bytes yaml, size_t arena_max, struct everything *out)
{
    yaml_document_t document;
    struct config_reader reader = {
        .path = "f", .root = keys, .arena = &arena, .error = note_error, .document = &document};

    arena_free(&arena);
    arena_init(&arena, arena_max);
    *out = (struct everything){0};
    write_file(yaml);
    config_set_standards(&reader, keys, out);
    reader.path = path;
    bool is_good = config_document_load(&reader, &document);
    unlink(path);
    reader.path = "f";
    if (!is_good)
        return false;
    config_read_mapping(&reader, yaml_document_get_root_node(&document), keys, out);
    yaml_document_delete(&document);
    assert_int_equal(reader.error_count, error_count);
    assert_string_equal(reader.key_path, "");
    return reader.error_count == 0;
}

static bool read_text(const char *yaml, struct everything *out)
{
    return read_bytes(bytes_of(yaml), 1 << 20, out);
}

TEST(keys_that_are_not_given_have_their_standard)
{
    struct everything e;

    assert_true(read_text("{}", &e));
    assert_int_equal(e.count, 5);
    assert_int_equal(e.count_or_auto, 0);
    assert_true(e.rate == 2.0);
    assert_int_equal(e.part.first, 3);
    assert_false(e.is_flag_given);
    assert_null(e.text);
    assert_int_equal(e.item_count, 0);
}

TEST(keys_of_every_kind_are_read)
{
    struct everything e;

    assert_true(read_text("text: a\nword: Big\npattern: \"*.B\xc3\xbc"
                          "cher.Example\"\nflag: yes\ncount: 9\n"
                          "count_or_auto: 8\nsize: 5GiB\nsmall_size: 7B\n"
                          "inner: {seconds: 1h, milliseconds: 1500ms, percent: 90%}\n"
                          "number: 1.5\nrate: none\ncolour: blue\n"
                          "address: \"[::1]:25\"\naddress4: 192.0.2.1\naddress6: \"2001:db8::1\"\n"
                          "networks: [10.0.0.0/8, \"::1\"]\nheirs: [{first: 8}, {}]\n"
                          "items: [{name: one}, {weight: 9, name: two}]\nfirst: 6\n",
                          &e));
    assert_string_equal(errors, "");
    assert_string_equal(e.text, "a");
    assert_string_equal(e.pattern, "*.xn--bcher-kva.example");
    assert_true(e.flag && e.is_flag_given);
    assert_int_equal(e.count, 9);
    assert_int_equal(e.count_or_auto, 8);
    assert_true(e.size == UINT64_C(5) << 30);
    assert_int_equal(e.small_size, 7);
    assert_int_equal(e.seconds, 3600);
    assert_int_equal(e.milliseconds, 1500);
    assert_int_equal(e.percent, 90);
    assert_true(e.number == 1.5);
    assert_true(e.rate == 0.0);
    assert_int_equal(e.colour, 2);
    assert_int_equal(address_port(&e.address), 25);
    assert_string_equal(e.address_text, "[::1]:25");
    assert_int_equal(e.address4.any.sa_family, AF_INET);
    assert_int_equal(e.address6.any.sa_family, AF_INET6);
    assert_int_equal(e.network_count, 2);
    assert_int_equal(e.networks[1].prefix_len, 128);
    assert_int_equal(e.item_count, 2);
    assert_int_equal(e.items[0].weight, 7);
    assert_int_equal(e.items[1].weight, 9);
    assert_string_equal(e.items[1].name, "two");
    /* What stands behind the list counts for its items all the same. */
    assert_int_equal(e.heirs[0].first, 8);
    assert_int_equal(e.heirs[1].first, 6);
}

static const struct {
    const char *yaml, *said;
} bad[] = {
    {"text: \"\"", "f:1: text: \"\" found; expected text\n"},
    {"text: \"a\\0b\"", "found; expected text\n"},
    {"text: {a: b}", "f:1: text: a mapping found; expected text\n"},
    {"text: [a]", "f:1: text: a list found; expected text\n"},
    {"word: small", "\"small\" found; expected a word in capitals\n"},
    {"pattern: \"*.*.example\"", "found; expected a domain, \"*.suffix\" or \"*\"\n"},
    {"flag: 1", "\"1\" found; expected true or false\n"},
    {"count: 1", "f:1: count: \"1\" is out of bounds; expected from 2 to 9\n"},
    {"count: 10", "\"10\" is out of bounds; expected from 2 to 9\n"},
    {"count: -3", "\"-3\" found; expected a whole number\n"},
    {"count: 18446744073709551616", "found; expected a whole number\n"},
    {"count: [5]", "f:1: count: a list found; expected a whole number\n"},
    {"count_or_auto: 0", "\"0\" found; expected auto or a number from 1 to 8\n"},
    {"count_or_auto: 9", "\"9\" found; expected auto or a number from 1 to 8\n"},
    {"count_or_auto: automatic", "expected auto or a number from 1 to 8\n"},
    {"size: 1023B", "\"1023B\" is out of bounds; expected at least 1KiB\n"},
    {"size: 5", "\"5\" found; expected a size with a unit, such as 25MiB\n"},
    {"small_size: 4GiB", "\"4GiB\" is out of bounds; expected at most 4294967295B\n"},
    {"inner: {seconds: 59s}", "f:1: inner.seconds: \"59s\" is out of bounds; expected from 1m"},
    {"inner: {seconds: 3601s}", "is out of bounds; expected from 1m to 1h\n"},
    {"inner: {seconds: 60500ms}", "found; expected a duration with a unit, such as 30s"},
    {"inner: {milliseconds: 1501ms}", "is out of bounds; expected at most 1500ms\n"},
    {"inner: {percent: 91%}", "is out of bounds; expected at most 90%\n"},
    {"inner: {percent: 91}", "\"91\" found; expected a percentage, such as 20%\n"},
    {"inner: 3", "f:1: inner: a value found; expected a mapping of keys\n"},
    {"inner: [seconds]", "f:1: inner: a list found; expected a mapping of keys\n"},
    {"number: 0.9", "\"0.9\" is out of bounds; expected from 1 to 100\n"},
    {"number: 100.1", "\"100.1\" is out of bounds; expected from 1 to 100\n"},
    {"number: 1e1", "\"1e1\" found; expected a number\n"},
    {"rate: 0/s", "\"0/s\" found; expected a rate, such as 10/s or 600/m, or none\n"},
    {"colour: pink", "\"pink\" found; expected red, green or blue\n"},
    {"address: 127.0.0.1", "\"127.0.0.1\" found; expected an address with a port"},
    {"address4: \"192.0.2.1:25\"", "expected an IPv4 address of this machine, without a port\n"},
    {"address4: \"2001:db8::1\"", "expected an IPv4 address of this machine, without a port\n"},
    {"address6: 192.0.2.1", "expected an IPv6 address of this machine, without a port\n"},
    {"networks: 10.0.0.0/8", "f:1: networks: a value found; expected a list\n"},
    {"networks: [[10.0.0.0/8]]", "f:1: networks[0]: a list found; expected a network"},
    {"networks: [10.0.0.0/8, x]", "f:1: networks[1]: \"x\" found; expected a network"},
    {"items: []", "f:1: items: an empty list; expected at least one\n"},
    {"items: [{}]", "f:1: items[0]: no name; expected name: one\n"},
    {"items: [one]", "f:1: items[0]: a value found; expected a mapping of keys\n"},
    {"items: [{name: a}, {name: b}, {name: c}, {name: d}]", "4 found; expected at most 3\n"},
    {"items:\n - name: a\n - name: b\n - name: a\n",
     "f:4: items: the name \"a\" stands in items[0] too; expected each once\n"},
    {"count: 3\ncount: 4", "f:2: count: given twice\n"},
    {"inner: {percent: 1%, percent: 2%}", "f:1: inner.percent: given twice\n"},
    {"heirs: []\nheirs: []", "f:2: heirs: given twice\n"},
    {"[a]: b", "f:1: a list found; expected a key\n"},
    {"heirs: [{frist: 1}]",
     "f:1: heirs[0].frist: unknown key; did you mean first? expected one of first\n"},
    {"tetx: a", "f:1: tetx: unknown key; did you mean text? expected one of text, word"},
    {"adress: a", "unknown key; did you mean address? "},
    {"percent: 3%", "f:1: percent: unknown key; did you mean inner.percent? expected one of text"},
    {"weight: 3", "unknown key; did you mean items[].weight? expected one of"},
    {"inner: {colour: red}", "f:1: inner.colour: unknown key; did you mean colour? expected one"},
    {"zzz: 3", "f:1: zzz: unknown key; expected one of text, word, pattern"},
    {"\"\": 3", "unknown key; expected one of text"},
    {"- a", "f:1: a list found; expected a mapping of keys\n"},
    {"count: *x", ": not YAML: "},
    {"count: &x 3\nrate: *x", "f:1: rate: \"3\" found; expected a rate"}, /* where it is written */
};

TEST(keys_that_are_wrong_are_told)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct everything e;

        if (read_text(bad[i].yaml, &e) || strstr(errors, bad[i].said) == NULL)
            fail_msg("row %zu: wanted %s, got %s", i, bad[i].said, errors);
        assert_int_equal(error_count, 1);
    }
}

TEST(keys_may_be_aliases_of_each_other)
{
    struct everything e;

    assert_true(read_text("count: &n 6\nfirst: *n\nheirs: [&h {first: 2}, *h, *h]\n", &e));
    assert_int_equal(e.part.first, 6);
    assert_int_equal(e.heir_count, 3);
    assert_int_equal(e.heirs[2].first, 2);
}

TEST(list_that_holds_itself_ends)
{
    struct everything e;

    assert_false(read_text("networks: &n [*n, *n]\n", &e));
    assert_int_equal(error_count, 2);
}

/* A file of some KiB that says three thousand times three thousand wrong things: to look at each,
 * untold, would take a minute. */
TEST(errors_without_end_are_cut_off)
{
    struct everything e;
    size_t len = 0;
    char *yaml = malloc(64 << 10);

    assert_non_null(yaml);
    len += (size_t)snprintf(yaml + len, 64, "heirs: [&h {");
    for (int i = 0; i < 3000; i++)
        len += (size_t)snprintf(yaml + len, 64, "k%d: 1, ", i);
    len += (size_t)snprintf(yaml + len, 64, "first: 1}");
    for (int i = 0; i < 3000; i++)
        len += (size_t)snprintf(yaml + len, 64, ", *h");
    len += (size_t)snprintf(yaml + len, 64, "]\n");
    clock_t began = clock();
    assert_false(read_bytes(bytes_range(yaml, len), 1 << 20, &e));
    assert_true(clock() - began < 5 * CLOCKS_PER_SEC);
    free(yaml);
    assert_int_equal(error_count, CONFIG_ERRORS_MAX + 1);
    assert_non_null(strstr(errors, "more than 100 errors; the rest was not read\n"));
}

TEST(arena_that_is_full_is_told_once)
{
    static const struct {
        const char *yaml, *said;
        size_t arena_max;
    } rows[] = {
        {"text: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "f: text: too much", 16},
        {"pattern: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example", "f:1: pattern: ", 16},
        {"networks: [10.0.0.0/8, 10.0.0.0/8, 10.0.0.0/8]\ntext: b", "f: networks: too much", 16},
        {"networks: [10.0.0.0/8, 10.0.0.0/8, 10.0.0.0/8]\ncount: x", "f: networks: too much", 16},
        {"address: \"127.0.0.1:25252\"\ntext: b", "f: address: too much", 0},
        {"items: [{name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}, {name: b}]", "items[0].name: too", 40},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct everything e;

        if (read_bytes(bytes_of(rows[i].yaml), rows[i].arena_max, &e) ||
            strstr(errors, rows[i].said) == NULL)
            fail_msg("row %zu: wanted %s, got %s", i, rows[i].said, errors);
        assert_int_equal(error_count, 1);
    }
}

/* --- what a reload may change ----------------------------------------------------------------- */

TEST(restart_is_needed_by_the_keys_that_say_so)
{
    static const struct {
        const char *old, *next, *key;
    } rows[] = {
        {"text: a", "text: a", ""},
        {"text: a", "text: b", "text"},
        {"text: a", "{}", "text"},
        {"{}", "text: a", "text"},
        {"count: 3", "count: 4", ""},
        {"address: \"127.0.0.1:25\"", "address: \"127.0.0.1:26\"", "address"},
        {"address: \"127.0.0.1:25\"", "address: \"127.0.0.2:25\"", "address"},
        {"address: \"[::1]:25\"", "address: \"[0:0::1]:25\"", ""},
        {"address: \"127.0.0.1:25\"", "{}", "address"},
        {"networks: [10.0.0.0/8]", "networks: [10.0.0.0/8]", ""},
        {"networks: [10.0.0.0/8]", "networks: [10.0.0.0/8, 10.0.0.0/8]", "networks"},
        {"networks: [10.0.0.0/8]", "networks: [10.0.0.0/9]", "networks[0]"},
        {"networks: [10.0.0.0/8]", "networks: []", "networks"},
        {"items: [{name: a}]", "items: [{name: b}]", ""},
        {"items: [{name: a}]", "items: [{name: a}, {name: b}]", "items"},
        {"items: [{name: a}, {name: b}]", "items: [{name: a}, {name: b, weight: 8}]",
         "items[1].weight"},
        {"heirs: [{first: 1}]", "heirs: [{first: 2}, {first: 3}]", ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct everything old, next;
        char key[CONFIG_PATH_MAX] = "?";

        assert_true(read_text(rows[i].old, &old));
        struct arena kept = arena;
        arena = (struct arena){0};
        assert_true(read_text(rows[i].next, &next));
        expect_row(i, config_key_differs(keys, &old, &next, key) == (rows[i].key[0] != '\0'));
        assert_string_equal(key, rows[i].key);
        arena_free(&kept);
    }
}

/* --- near misses ------------------------------------------------------------------------------ */

TEST(suggestions_are_near)
{
    static const struct {
        const char *word, *meant; /* NULL: none */
    } rows[] = {
        {"patern", "pattern"},
        {"patttern", "pattern"},
        {"apttern", "pattern"},
        {"rat", "rate"},
        {"rxte", "rate"},
        {"rxxe", NULL},
        {"sizes", "size"},
        {"z", NULL},
        {"netwroks", "networks"},
        {"adress6", "address6"},
        {"a_key_of_more_than_forty_letters_that_is_no_near_miss", NULL},
    };
    char meant[CONFIG_PATH_MAX];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool is_found = config_suggest(keys, NULL, bytes_of(rows[i].word), meant);

        expect_row(i, is_found == (rows[i].meant != NULL));
        if (is_found)
            assert_string_equal(meant, rows[i].meant);
    }
}

/* --- the manual ------------------------------------------------------------------------------- */

static char manual[128 << 10];

static void load_manual(void)
{
    FILE *file = fopen("docs/man/ringpost.yaml.5", "r");

    assert_non_null(file);
    size_t len = fread(manual, 1, sizeof(manual) - 1, file);
    assert_true(len > 0 && len < sizeof(manual) - 1);
    manual[len] = '\0';
    fclose(file);
}

/* From a line on to the next that begins with one of `ends`; "" where there is no such line. */
static struct bytes block_of(struct bytes text, const char *line, const char *const *ends)
{
    char wanted[CONFIG_PATH_MAX + 16];
    int len = snprintf(wanted, sizeof(wanted), "\n%s\n", line);
    const char *from = memmem(text.ptr, text.len, wanted, (size_t)len);

    if (from == NULL)
        return (struct bytes){0};
    from += len - 1;
    const char *to = (const char *)text.ptr + text.len;
    for (size_t i = 0; ends[i] != NULL; i++) {
        const char *end = memmem(from, (size_t)(to - from), ends[i], strlen(ends[i]));

        to = end == NULL ? to : end;
    }
    return bytes_range(from, (size_t)(to - from));
}

static const char *const section_ends[] = {"\n.Ss ", "\n.Sh ", NULL};
static const char *const entry_ends[] = {"\n.It ", "\n.El", NULL};

/* Section and entry of a key: "limits.memory" is memory in limits, "engines" stands in "The host",
 * "routes[].to" is to in routes. */
static void find_place(const char *key, char section[static CONFIG_PATH_MAX],
                       const char **entry_out)
{
    const char *dot = strchr(key, '.');

    *entry_out = dot == NULL ? key : dot + 1;
    if (dot == NULL)
        snprintf(section, CONFIG_PATH_MAX, ".Ss The host");
    else
        snprintf(section, CONFIG_PATH_MAX, ".Ss %.*s", (int)(dot - key - (dot[-1] == ']' ? 2 : 0)),
                 key);
}

static void expect_in_manual(void *context, const struct config_key *key, const char *key_path)
{
    char line[CONFIG_PATH_MAX + 16], facts[CONFIG_FACTS_MAX + 2], section[CONFIG_PATH_MAX];
    const char *entry;

    (*(unsigned *)context)++;
    if (key->kind == CONFIG_LIST && strchr(key_path, '.') == NULL) {
        snprintf(line, sizeof(line), ".Ss %s", key_path);
        if (block_of(bytes_of(manual), line, section_ends).len == 0)
            fail_msg("%s has no section in ringpost.yaml(5)", key_path);
        return;
    }
    find_place(key_path, section, &entry);
    struct bytes text = block_of(bytes_of(manual), section, section_ends);
    snprintf(line, sizeof(line), ".It Li %s", entry);
    text = block_of(text, line, entry_ends);
    if (text.len == 0)
        fail_msg("%s is missing in ringpost.yaml(5), %s", key_path, section);
    facts[0] = '\n';
    config_facts(key, facts + 1);
    if (text.len < strlen(facts) ||
        memcmp(text.ptr + text.len - strlen(facts), facts, strlen(facts)) != 0)
        fail_msg("%s: ringpost.yaml(5) does not end its entry with: %s", key_path, facts + 1);
    if (text.len == strlen(facts))
        fail_msg("%s: ringpost.yaml(5) says nothing but its facts", key_path);
}

TEST(manual_has_every_key_with_its_facts)
{
    unsigned count = 0;

    load_manual();
    config_each_key(config_keys(), expect_in_manual, &count);
    assert_true(count > 60);
}

struct claim {
    char path[2 * CONFIG_PATH_MAX], of_list[2 * CONFIG_PATH_MAX];
    bool is_declared;
};

static void look_for(void *context, const struct config_key *key, const char *key_path)
{
    struct claim *claim = context;

    (void)key;
    if (strcmp(key_path, claim->path) == 0 || strcmp(key_path, claim->of_list) == 0)
        claim->is_declared = true;
}

TEST(manual_has_no_key_that_is_not_declared)
{
    char section[CONFIG_PATH_MAX] = "";
    unsigned count = 0;

    load_manual();
    for (char *rest = manual, *line; (line = strsep(&rest, "\n")) != NULL;) {
        struct claim claim = {0};

        if (strncmp(line, ".Sh ", 4) == 0)
            section[0] = '\0';
        if (strncmp(line, ".Ss ", 4) == 0)
            snprintf(section, sizeof(section), "%s", line + 4);
        if (section[0] == '\0' || strncmp(line, ".It ", 4) != 0)
            continue;
        assert_memory_equal(line, ".It Li ", 7);
        if (strcmp(section, "The host") == 0)
            section[0] = '\0';
        snprintf(claim.path, sizeof(claim.path), "%s%s%s", section, section[0] == '\0' ? "" : ".",
                 line + 7);
        snprintf(claim.of_list, sizeof(claim.of_list), "%s[].%s", section, line + 7);
        if (section[0] == '\0')
            snprintf(section, sizeof(section), "The host");
        config_each_key(config_keys(), look_for, &claim);
        if (!claim.is_declared)
            fail_msg("ringpost.yaml(5) tells of %s, which is no key", claim.path);
        count++;
    }
    assert_true(count > 60);
}

static void expect_sound(void *context, const struct config_key *key, const char *key_path)
{
    size_t len = key->says == NULL ? 0 : strlen(key->says);

    (void)context;
    if (len < 8 || key->says[len - 1] != '.' || strchr(key->says, '\n') != NULL)
        fail_msg("%s: says no sentence", key_path);
    if (key->is_required && key->example == NULL)
        fail_msg("%s: is required and has no example", key_path);
    if (key->in_starter && key->standard == NULL && key->example == NULL &&
        key->kind != CONFIG_LIST && strcmp(key_path, "hostname") != 0)
        fail_msg("%s: has nothing to stand in the starter file", key_path);
}

TEST(every_row_says_a_sentence)
{
    config_each_key(config_keys(), expect_sound, NULL);
}

/* --- the starter file ------------------------------------------------------------------------- */

/* Without its comments it is good, and with the marks of comments taken away. */
TEST(starter_file_is_good_and_so_are_its_comments)
{
    static const struct config_starter_value values[] = {
        {"hostname", "mta1.example.net"},
        {"state_dir", "/tmp/x"},
        {"listeners", "{address: \"127.0.0.1:2525\", trust: [\"127.0.0.0/8\"]}"},
        {"metrics.listen", "\"127.0.0.1:9925\""},
    };
    struct buf text, bare;

    buf_init(&text, 1 << 20);
    buf_init(&bare, 1 << 20);
    assert_true(config_write_starter(&text, config_keys(), values, ARRAY_LEN(values)));
    write_file(buf_bytes(&text));
    struct config *config = config_load(path, note_error, NULL);
    assert_string_equal(errors, "");
    assert_string_equal(config->hostname, "mta1.example.net");
    assert_true(config->has_metrics);
    assert_int_equal(config->delivery.route_count, 0);
    config_release(&config);
    unlink(path);

    struct bytes rest = buf_bytes(&text), line;
    unsigned number = 0;
    while (bytes_take_until(&rest, '\n', &line)) {
        if (number++ >= 2) /* below the lines about the file */
            (void)bytes_take_nocase(&line, BYTES("# "));
        assert_true(buf_append(&bare, line) && buf_append_byte(&bare, '\n'));
    }
    write_file(buf_bytes(&bare));
    config = config_load(path, note_error, NULL);
    assert_string_equal(errors, "");
    assert_string_equal(config->user, "ringpost");
    assert_int_equal(config->delivery.route_count, 1);
    assert_int_equal(config->dns_server_count, 1);
    assert_int_equal(config->delivery.mx.allow_private_count, 1);
    assert_int_equal(config->delivery.retries[0].jitter_percent, 20);
    config_release(&config);
    unlink(path);
    buf_free(&text);
    buf_free(&bare);
}

TEST(starter_file_that_is_full_is_told)
{
    static const struct config_starter_value value = {"hostname", "a.example"};
    struct buf text;

    buf_init(&text, 100);
    assert_false(config_write_starter(&text, config_keys(), &value, 1));
    buf_free(&text);
}

TEST(quotes_stand_where_yaml_needs_them)
{
    static const struct {
        const char *text, *yaml;
    } rows[] = {
        {"mta-1.example.net", "mta-1.example.net"},
        {"/var/lib/x", "/var/lib/x"},
        {"", "\"\""},
        {"-x", "\"-x\""},
        {"a: b", "\"a: b\""},
        {"a\"b\\c", "\"a\\\"b\\\\c\""},
        {"a\nb", "\"a\\x0ab\""},
        {"b\xc3\xbc", "\"b\xc3\xbc\""},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char yaml[64];
        struct buf quoted;
        struct everything e;

        buf_init(&quoted, 64);
        assert_true(config_quote(&quoted, rows[i].text));
        expect_row(i, bytes_equal(buf_bytes(&quoted), bytes_of(rows[i].yaml)));
        snprintf(yaml, sizeof(yaml), "text: %s", rows[i].yaml);
        if (rows[i].text[0] != '\0') {
            assert_true(read_text(yaml, &e));
            assert_string_equal(e.text, rows[i].text);
        }
        buf_free(&quoted);
    }
}
