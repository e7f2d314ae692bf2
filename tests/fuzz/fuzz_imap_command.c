/* modules: imap */
/* fuzz_imap_command.c - commands in any pieces are the same; what is taken off them stays inside;
 * names of mailboxes that are read are written as they were. */
#include <stddef.h>
#include <stdint.h>

#include "inbound/imap/append.h"
#include "inbound/imap/fetch_program.h"
#include "inbound/imap/frame.h"
#include "inbound/imap/mailbox_name.h"
#include "inbound/imap/metadata.h"
#include "inbound/imap/notify_program.h"
#include "inbound/imap/scan.h"
#include "inbound/imap/search_program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 4096 };

static void look_at_names(struct arena *arena, struct bytes text)
{
    struct bytes name, again;
    struct buf out;

    buf_init(&out, 1 << 16);
    if (mailbox_name_read(arena, text, false, &name)) {
        check(mailbox_name_put(&out, name, false));
        struct bytes told = buf_bytes(&out), string;

        check(imap_take_astring(arena, &told, &string) && told.len == 0);
        check(mailbox_name_is_inbox(name) || bytes_equal(string, text));
        check(mailbox_name_read(arena, string, false, &again) && bytes_equal(name, again));
    }
    if (text.len > 0)
        (void)mailbox_name_matches(text, bytes_slice(text, 0, text.ptr[0] % 16));
    buf_free(&out);
}

static void look_at_metadata(struct arena *arena, struct bytes text)
{
    struct metadata_request request;

    if (metadata_take_get(arena, text, &request) || metadata_take_set(arena, text, &request)) {
        check(request.count > 0 && request.count <= METADATA_NAMES_MAX);
        for (size_t i = 0; i < request.count; i++) {
            check(annotation_name_is_valid(request.of[i].name));
            check(metadata_matches(&request, request.of[i].name, request.of[i].name));
        }
    }
}

static void look_at_notify(struct arena *arena, struct bytes text)
{
    static struct notify_program program;

    if (!notify_program_take(arena, text, false, &program))
        return;
    check(program.count <= NOTIFY_GROUPS_MAX && program.name_count <= NOTIFY_NAMES_MAX);
    check((program.selected & ~(unsigned)NOTIFY_MESSAGES) == 0);
    check((notify_program_events(&program, BYTES("INBOX"), true) &
           ~notify_program_all_events(&program)) == 0);
}

static void look_at(struct bytes text)
{
    struct search_program program;
    struct fetch_program fetch;
    struct imap_flag_list flags;
    struct replaced replaced;
    struct sequence_set set;
    struct bytes tag, verb, rest = text, string;
    struct arena arena;
    int64_t seconds;

    arena_init(&arena, 1 << 20);
    if (imap_take_tag(&rest, &tag) && imap_take_space(&rest)) {
        struct bytes input = rest;

        if (imap_take_replace(&input, &replaced))
            check(replaced.is_one && input.len < rest.len);
        else
            check(input.len == rest.len);
    }
    rest = text;
    if (imap_take_tag(&rest, &tag) && imap_take_space(&rest) && imap_take_atom(&rest, &verb)) {
        struct bytes input = rest;

        look_at_metadata(&arena, rest);
        look_at_notify(&arena, rest);
        if (search_program_take(&arena, &input, &program))
            check(program.root != NULL && input.len == 0);
        while (imap_take_space(&rest)) {
            input = rest;
            if (sequence_set_take(&arena, &input, true, &set)) {
                sequence_set_resolve(&set, 100);
                for (size_t i = 1; i < set.count; i++)
                    check(set.ranges[i - 1].to < set.ranges[i].from);
            }
            input = rest;
            if (fetch_program_take(&arena, &input, &fetch))
                check(input.len == 0 && fetch.count <= FETCH_ITEMS_MAX);
            input = rest;
            (void)!imap_take_flag_list(&input, &flags);
            input = rest;
            (void)!imap_take_date_time(&input, &seconds);
            input = rest;
            (void)!imap_take_date(&input, &seconds);
            if (imap_take_list_mailbox(&arena, &rest, &string))
                look_at_names(&arena, string);
            else if (!imap_take_literal(&rest, true, &string))
                break;
        }
    }
    arena_free(&arena);
}

/* The number of commands; their texts in `out`, with their lengths before. */
static size_t read(struct bytes input, size_t piece_len, struct buf *out)
{
    struct frame frame;
    size_t count = 0;

    frame_init(&frame, TEXT_MAX);
    while (input.len > 0) {
        struct bytes piece = bytes_slice(input, 0, piece_len), rest = piece;
        enum frame_step step;

        do {
            step = frame_feed(&frame, &rest);
            if (step == FRAME_WHOLE) {
                struct bytes text = frame_text(&frame);

                count++;
                check(buf_printf(out, "%zu ", text.len) && buf_append(out, text));
                look_at(text);
                frame_begin(&frame, TEXT_MAX);
            } else if (step == FRAME_LITERAL && !frame_accept(&frame)) {
                check(frame.literal.size > buf_room(&frame.text));
                step = FRAME_TOO_LONG;
            }
        } while (step != FRAME_TOO_LONG && step != FRAME_BROKEN &&
                 (rest.len > 0 || (step == FRAME_LITERAL && frame.literal_left == 0)));
        if (step == FRAME_TOO_LONG || step == FRAME_BROKEN)
            break;
        check(rest.len == 0);
        input = bytes_slice(input, piece.len, input.len);
    }
    frame_free(&frame);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_range(data, size);
    struct buf whole, cut;

    if (size == 0)
        return 0;
    input = bytes_slice(input, 1, input.len);
    buf_init(&whole, 32 * size + 100);
    buf_init(&cut, 32 * size + 100);
    check(read(input, MAX(input.len, (size_t)1), &whole) == read(input, 1u + data[0] % 32, &cut));
    check(bytes_equal(buf_bytes(&whole), buf_bytes(&cut)));
    buf_free(&whole);
    buf_free(&cut);
    return 0;
}
