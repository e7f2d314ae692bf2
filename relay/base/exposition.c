/* exposition.c - families and samples in either format. */
#include "base/exposition.h"

#include <inttypes.h>

#include "base/utf8.h"

static void put(struct exposition *e, struct bytes text)
{
    if (!e->has_failed && !buf_append(e->out, text))
        e->has_failed = true;
}

/* Backslash and line end everywhere; the quote in labels, and in OpenMetrics in help too. */
static void put_escaped(struct exposition *e, struct bytes text, bool with_quotes)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (c == '\\')
            put(e, BYTES("\\\\"));
        else if (c == '\n')
            put(e, BYTES("\\n"));
        else if (c == '"' && with_quotes)
            put(e, BYTES("\\\""));
        else
            put(e, bytes_slice(text, i, 1));
    }
}

void exposition_family(struct exposition *e, struct bytes name, enum exposition_type type,
                       const char *help)
{
    static const char *const types[] = {
        [EXPOSITION_COUNTER] = "counter",
        [EXPOSITION_GAUGE] = "gauge",
        [EXPOSITION_HISTOGRAM] = "histogram",
    };
    static const char *const units[] = {"seconds", "bytes"};
    bool is_open = e->format == EXPOSITION_OPENMETRICS;
    struct bytes total = BYTES("_total");
    struct bytes family = name;

    check((type == EXPOSITION_COUNTER) == bytes_ends_nocase(name, total));
    if (is_open && type == EXPOSITION_COUNTER)
        family.len -= total.len;
    put(e, BYTES("# HELP "));
    put(e, family);
    put(e, BYTES(" "));
    put_escaped(e, bytes_of(help), is_open);
    put(e, BYTES("\n# TYPE "));
    put(e, family);
    put(e, BYTES(" "));
    put(e, bytes_of(types[type]));
    put(e, BYTES("\n"));
    for (size_t i = 0; is_open && i < ARRAY_LEN(units); i++) {
        struct bytes unit = bytes_of(units[i]);

        if (!bytes_ends_nocase(family, unit) || family.ptr[family.len - unit.len - 1] != '_')
            continue;
        put(e, BYTES("# UNIT "));
        put(e, family);
        put(e, BYTES(" "));
        put(e, unit);
        put(e, BYTES("\n"));
    }
}

void exposition_integer(struct exposition *e, struct bytes series, int64_t value)
{
    put(e, series);
    if (!e->has_failed && !buf_printf(e->out, " %" PRId64 "\n", value))
        e->has_failed = true;
}

void exposition_real(struct exposition *e, struct bytes series, double value)
{
    put(e, series);
    if (!e->has_failed && !buf_printf(e->out, " %.15g\n", value))
        e->has_failed = true;
}

void exposition_labelled(struct exposition *e, const char *name, const char *label,
                         struct bytes label_value, double value)
{
    put(e, bytes_of(name));
    put(e, BYTES("{"));
    put(e, bytes_of(label));
    put(e, BYTES("=\""));
    for (size_t len; label_value.len > 0; label_value = bytes_slice(label_value, len, SIZE_MAX)) {
        size_t beyond_ascii = utf8_character(label_value);

        len = MAX(beyond_ascii, (size_t)1);
        if (beyond_ascii > 0)
            put(e, bytes_slice(label_value, 0, len));
        else if (label_value.ptr[0] < 0x80)
            put_escaped(e, bytes_slice(label_value, 0, 1), true);
        else
            put(e, BYTES("?"));
    }
    exposition_real(e, BYTES("\"}"), value);
}

bool exposition_end(struct exposition *e)
{
    if (e->format == EXPOSITION_OPENMETRICS)
        put(e, BYTES("# EOF\n"));
    return !e->has_failed;
}
