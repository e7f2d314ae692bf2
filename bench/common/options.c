/* options.c - the command lines of load and sink. */
#include "bench/common/options.h"

#include <string.h>

enum { EXIT_WRONG_USE = 64 }; /* EX_USAGE of sysexits.h */

bool option_u64(struct bytes value, void *target)
{
    return bytes_to_u64(value, target);
}

static bool take_scaled(struct bytes value, const char *const *units, const uint64_t *factors,
                        uint64_t *out)
{
    uint64_t number;

    if (!bytes_take_u64(&value, &number))
        return false;
    for (size_t i = 0; units[i] != NULL; i++) {
        if (!bytes_equal_nocase(value, bytes_of(units[i])))
            continue;
        if (number > INT64_MAX / factors[i])
            return false;
        *out = number * factors[i];
        return true;
    }
    return false;
}

bool option_size(struct bytes value, void *target)
{
    static const char *const units[] = {"", "k", "kib", "m", "mib", "g", "gib", NULL};
    static const uint64_t factors[] = {1, 1 << 10, 1 << 10, 1 << 20, 1 << 20, 1 << 30, 1 << 30};

    return take_scaled(value, units, factors, target);
}

bool option_ms(struct bytes value, void *target)
{
    static const char *const units[] = {"", "ms", "s", "m", "h", NULL};
    static const uint64_t factors[] = {1000, 1, 1000, 60000, 3600000};
    uint64_t ms;

    if (!take_scaled(value, units, factors, &ms))
        return false;
    *(int64_t *)target = (int64_t)ms;
    return true;
}

bool option_text(struct bytes value, void *target)
{
    *(const char **)target = (const char *)value.ptr;
    return true;
}

bool option_address(struct bytes value, void *target)
{
    struct address address;

    if (!address_parse(value, 0, &address) || address_port(&address) == 0)
        return false;
    *(struct address *)target = address;
    return true;
}

bool option_on_off(struct bytes value, void *target)
{
    bool is_on = bytes_equal(value, BYTES("on"));

    if (!is_on && !bytes_equal(value, BYTES("off")))
        return false;
    *(bool *)target = is_on;
    return true;
}

bool option_set(struct bytes value, void *target)
{
    (void)value;
    *(bool *)target = true;
    return true;
}

bool option_percent(struct bytes value, uint32_t *parts_out)
{
    uint64_t whole;
    uint64_t parts = 0;

    if (!bytes_take_u64(&value, &whole) || whole > 100)
        return false;
    if (bytes_take_nocase(&value, BYTES("."))) {
        uint64_t scale = 1000;

        while (value.len > 0 && byte_is_digit(value.ptr[0])) {
            parts += scale * (value.ptr[0] - '0');
            scale /= 10;
            value = bytes_slice(value, 1, value.len);
        }
    }
    parts += whole * 10000;
    if (!bytes_equal(value, BYTES("%")) || parts > 1000000)
        return false;
    *parts_out = (uint32_t)parts;
    return true;
}

static void print_help(const struct option_spec *specs, size_t count, const char *synopsis)
{
    printf("%s\n\n", synopsis);
    for (size_t i = 0; i < count; i++) {
        char left[64];

        snprintf(left, sizeof(left), "--%s %s", specs[i].name,
                 specs[i].argument != NULL ? specs[i].argument : "");
        printf("  %-30s %s\n", left, specs[i].help);
    }
    printf("  %-30s %s\n", "--help", "this text");
}

static const struct option_spec *find_spec(const struct option_spec *specs, size_t count,
                                           struct bytes name)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal(name, bytes_of(specs[i].name)))
            return &specs[i];
    }
    return NULL;
}

/* "--name value" or "--name=value"; *next_out counts the words used. */
static const char *parse_one(const struct option_spec *specs, size_t count, char **words,
                             int *used_out)
{
    struct bytes word = bytes_of(words[0]);
    struct bytes name = word;

    *used_out = 1;
    if (!bytes_take_nocase(&name, BYTES("--")))
        return "is not an option";
    size_t equals = bytes_find(name, '=', 0);
    struct bytes value = bytes_slice(name, equals + 1, name.len);
    bool has_value = equals < name.len;
    const struct option_spec *spec = find_spec(specs, count, bytes_slice(name, 0, equals));

    if (spec == NULL)
        return "is not an option (see --help)";
    if (spec->argument == NULL) {
        if (has_value)
            return "takes no value";
        return spec->take(BYTES_NONE, spec->target) ? NULL : "cannot be set";
    }
    if (!has_value) {
        if (words[1] == NULL)
            return "needs a value";
        value = bytes_of(words[1]);
        *used_out = 2;
    }
    return spec->take(value, spec->target) ? NULL : "has a value that cannot be used";
}

bool options_parse(const struct option_spec *specs, size_t count, const char *synopsis, int argc,
                   char **argv, int *exit_out)
{
    int used;

    for (int i = 1; i < argc; i += used) {
        if (strcmp(argv[i], "--help") == 0) {
            print_help(specs, count, synopsis);
            *exit_out = 0;
            return false;
        }
        const char *problem = parse_one(specs, count, argv + i, &used);

        if (problem != NULL) {
            fprintf(stderr, "%s: %s%s%s %s\n", argv[0], argv[i], used == 2 ? " " : "",
                    used == 2 ? argv[i + 1] : "", problem);
            *exit_out = EXIT_WRONG_USE;
            return false;
        }
    }
    return true;
}
