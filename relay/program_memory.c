/* program_memory.c - what the allocator says of itself. */
#include <stdint.h>

#include "relay/program.h"

/* Of jemalloc, which the program is linked with unless sanitizers bring their own allocator. */
extern int mallctl(const char *name, void *old, size_t *old_len, void *new, size_t new_len)
    __attribute__((weak));

static size_t read_size(const char *name)
{
    size_t value = 0, len = sizeof(value);

    return mallctl(name, &value, &len, NULL, 0) == 0 ? value : 0;
}

void program_memory_metrics(struct exposition *e)
{
    static const struct {
        const char *kind, *name;
    } kinds[] = {
        {"allocated", "stats.allocated"}, {"active", "stats.active"},
        {"metadata", "stats.metadata"},   {"resident", "stats.resident"},
        {"mapped", "stats.mapped"},       {"retained", "stats.retained"},
    };
    uint64_t epoch = 1;
    size_t len = sizeof(epoch);

    if (mallctl == NULL)
        return;
    (void)mallctl("epoch", &epoch, &len, &epoch, sizeof(epoch)); /* what follows is of now */
    exposition_family(e, BYTES("ringpost_malloc_bytes"), EXPOSITION_GAUGE,
                      "Memory as the allocator (jemalloc) counts it");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        exposition_labelled(e, "ringpost_malloc_bytes", "kind", bytes_of(kinds[i].kind),
                            (double)read_size(kinds[i].name));
}
