/* passage.c - where a message has been, by its header: loops are known by it. */
#include "delivery/filing/filer_private.h"
#include "directory/directory_name.h"

enum { DELIVERED_MAX = 100, ADDRESS_ROOM = 2048 };

static void keep_delivered(struct filer *filer, struct passage *passage, struct bytes value)
{
    struct arena arena;
    struct bytes address;

    arena_init(&arena, ADDRESS_ROOM);
    if (directory_address(&arena, bytes_trim(value), false, &address) &&
        arena_copy(&filer->arena, address, &passage->delivered[passage->delivered_count]))
        passage->delivered_count++;
    arena_free(&arena);
}

static void read_fields(struct filer *filer, struct passage *passage)
{
    struct bytes name = BYTES("Delivered-To");

    passage->received = mail_header_count(&passage->header, BYTES("Received"));
    passage->delivered = arena_alloc(&filer->arena, DELIVERED_MAX * sizeof(*passage->delivered));
    passage->is_endless = passage->header.is_cut || passage->delivered == NULL ||
                          mail_header_count(&passage->header, name) > DELIVERED_MAX;
    for (size_t i = 0; i < passage->header.count && !passage->is_endless; i++)
        if (bytes_equal_nocase(passage->header.fields[i].name, name))
            keep_delivered(filer, passage, passage->header.fields[i].value);
}

const struct passage *filer_passage(struct filer *filer)
{
    struct passage *passage = &filer->passage;
    struct bytes prefix = filer->message->prefix, content = filer->whole;

    if (passage->is_read)
        return passage;
    passage->is_read = true;
    mail_header_init(&passage->header, 2 * MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX + 100);
    (void)mail_header_feed(&passage->header, &prefix);
    if (!mail_header_feed(&passage->header, &content))
        mail_header_finish(&passage->header);
    read_fields(filer, passage);
    return passage;
}

bool filer_is_loop(struct filer *filer, struct bytes by)
{
    const struct passage *passage = filer_passage(filer);

    for (size_t i = 0; i < passage->delivered_count; i++)
        if (bytes_equal(passage->delivered[i], by))
            return true;
    return passage->is_endless;
}

void passage_free(struct passage *passage)
{
    if (passage->is_read)
        mail_header_free(&passage->header);
    *passage = (struct passage){0};
}
