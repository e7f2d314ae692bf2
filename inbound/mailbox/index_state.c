/* index_state.c - an index as a whole. */
#include "inbound/mailbox/index_state.h"

#include <stdlib.h>
#include <string.h>

enum { SNAPSHOT_FRAME = 256 << 10 /* bytes of entries */ };

void index_state_clear(struct index_state *state)
{
    messages_clear(&state->table);
    free(state->vanished);
    *state = (struct index_state){0};
}

/* --- what went -------------------------------------------------------------------------------- */

static void remember_vanished(struct index_state *state, uint32_t uid, uint64_t modseq)
{
    if (state->vanished == NULL) {
        state->vanished = malloc(VANISHED_MAX * sizeof(*state->vanished));
        check(state->vanished != NULL);
    }
    if (state->vanished_count == VANISHED_MAX) {
        size_t half = VANISHED_MAX / 2;

        state->vanished_floor = state->vanished[half - 1].modseq;
        memmove(state->vanished, state->vanished + half, half * sizeof(*state->vanished));
        state->vanished_count = half;
    }
    state->vanished[state->vanished_count++] = (struct vanished){modseq, uid};
}

void index_state_expunge(struct index_state *state, struct message *message, uint64_t modseq)
{
    remember_vanished(state, message->uid, modseq);
    messages_remove(&state->table, message);
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool apply_message(struct index_state *state, const struct index_entry *entry)
{
    const struct message_table *table = &state->table;
    struct message message = {
        .flags = entry->flags,
        .modseq = entry->modseq,
        .email_id = entry->email_id,
        .file_size = entry->file_size,
        .uid = entry->uid,
        .letters = entry->letters,
        .internal_s = entry->internal_s,
        .saved_s = entry->saved_s,
        .lines_lf = entry->lines_lf,
        .cache = entry->cache,
        .bits = entry->bits & MESSAGE_IN_NEW,
    };

    if (entry->uid == 0 || entry->uid == UINT32_MAX || !file_name_is_base(entry->name) ||
        table->count >= MESSAGES_MAX ||
        (table->count > 0 && table->of[table->count - 1].uid >= entry->uid))
        return false;
    messages_add(&state->table, &message, entry->name);
    return true;
}

static void apply_letters(struct message *message, const struct index_entry *entry)
{
    message->letters = entry->letters;
    message->bits &= ~(uint32_t)MESSAGE_IN_NEW;
    message->bits |= entry->bits & MESSAGE_IN_NEW;
}

static bool apply_keyword(struct index_state *state, const struct index_entry *entry)
{
    struct keyword_list *list = &state->keywords;

    if (entry->number > list->count || entry->number >= MAILBOX_KEYWORDS_MAX ||
        entry->letter > LETTER_KEYWORD_COUNT || !keyword_is_valid(entry->name))
        return false;
    if (entry->number == list->count)
        list->count++;
    memcpy(list->names[entry->number], entry->name.ptr, entry->name.len);
    list->names[entry->number][entry->name.len] = '\0';
    if (entry->letter > 0)
        list->of_letter[entry->letter - 1] = (uint8_t)(entry->number + 1);
    return true;
}

static bool apply(struct index_state *state, const struct index_entry *entry, uint64_t modseq)
{
    struct message *message = messages_find(&state->table, entry->uid);

    switch (entry->kind) {
    case INDEX_MESSAGE:
        return apply_message(state, entry);
    case INDEX_KEYWORD:
        return apply_keyword(state, entry);
    case INDEX_VANISHED:
        remember_vanished(state, entry->uid, entry->modseq);
        return true;
    case INDEX_FLOOR:
        state->vanished_floor = entry->modseq;
        return true;
    case INDEX_STAMP:
        state->uidlist_stamp = entry->stamp;
        return true;
    case INDEX_CLOSED:
        state->is_closed = true;
        state->new_stamp = entry->stamp;
        state->cur_stamp = entry->stamp_cur;
        return true;
    case INDEX_FLAGS:
        if (message == NULL)
            return false;
        messages_set_flags(&state->table, message, entry->flags);
        message->modseq = modseq;
        apply_letters(message, entry);
        return true;
    case INDEX_LETTERS:
        if (message == NULL)
            return false;
        apply_letters(message, entry);
        return true;
    case INDEX_EXPUNGE:
        if (message == NULL)
            return false;
        index_state_expunge(state, message, modseq);
        return true;
    case INDEX_CACHE:
        if (message != NULL)
            message->cache = entry->cache;
        return message != NULL;
    case INDEX_LINES:
        if (message != NULL)
            messages_set_lines(&state->table, message, entry->lines_lf);
        return message != NULL;
    case INDEX_KINDS:
        break;
    }
    return false;
}

static bool apply_frame(struct index_state *state, const struct index_frame *frame)
{
    struct bytes entries = frame->entries;
    struct index_entry entry;

    if (frame->modseq < state->modseq || frame->uidnext < state->uidnext ||
        frame->ceiling < frame->modseq)
        return false;
    state->is_closed = false;
    state->modseq = frame->modseq;
    state->ceiling = frame->ceiling;
    while (index_entry_take(&entries, &entry))
        if (!apply(state, &entry, frame->modseq))
            return false;
    const struct message_table *table = &state->table;

    if (entries.len > 0 || (table->count > 0 && table->of[table->count - 1].uid >= frame->uidnext))
        return false;
    state->uidnext = frame->uidnext;
    return true;
}

static enum index_read lose(struct index_state *state, const struct index_header *header)
{
    index_state_clear(state);
    state->uidvalidity = header->uidvalidity;
    memcpy(state->id, header->id, sizeof(state->id));
    return INDEX_LOST;
}

/* Whoever saw what was not durable, or was and is damaged now, finds every message changed. */
static void raise(struct index_state *state, size_t lost)
{
    struct message_table *table = &state->table;

    state->modseq = state->ceiling + 1;
    state->ceiling = state->modseq;
    for (size_t i = 0; i < table->count; i++)
        table->of[i].modseq = state->modseq;
    uint64_t uids = lost == 0 ? 0 : lost / INDEX_MESSAGE_MIN + 1;

    state->uidnext += (uint32_t)MIN(uids, (uint64_t)(UINT32_MAX - state->uidnext));
}

static struct bytes without_zeros(struct bytes text)
{
    while (text.len > 0 && text.ptr[text.len - 1] == 0)
        text.len--;
    return text;
}

enum index_read index_state_read(struct index_state *state, struct bytes text)
{
    struct index_header header = {0};
    struct index_frame frame;
    uint64_t number = 0;
    size_t size = text.len;

    if (!index_header_parse(text, &header))
        return lose(state, &header);
    state->uidvalidity = header.uidvalidity;
    memcpy(state->id, header.id, sizeof(state->id));
    state->uidnext = 1;
    messages_reserve(&state->table, MIN(header.messages, text.len / INDEX_MESSAGE_MIN),
                     MIN(header.names, text.len));
    text = bytes_slice(text, INDEX_HEADER, text.len);
    for (struct bytes rest = text; index_frame_take(&rest, &frame); text = rest) {
        if (frame.number != number + 1 || frame.is_snapshot != (number < header.snapshot))
            break;
        if (!apply_frame(state, &frame))
            return lose(state, &header);
        number++;
        state->size = size - rest.len;
        if (frame.is_snapshot)
            state->snapshot_size = state->size;
        messages_tidy(&state->table);
    }
    if (number < header.snapshot || number == 0)
        return lose(state, &header);
    state->frames = number;
    text = without_zeros(text); /* room, where nothing else is left */
    if (text.len == 0 && state->is_closed)
        return INDEX_WHOLE;
    state->is_closed = false;
    raise(state, text.len);
    return INDEX_CUT;
}

/* --- writing ---------------------------------------------------------------------------------- */

struct index_entry index_entry_of(const struct index_state *state, const struct message *message)
{
    return (struct index_entry){
        .kind = INDEX_MESSAGE,
        .uid = message->uid,
        .flags = message->flags,
        .modseq = message->modseq,
        .email_id = message->email_id,
        .file_size = message->file_size,
        .internal_s = message->internal_s,
        .saved_s = message->saved_s,
        .lines_lf = message->lines_lf,
        .letters = message->letters,
        .cache = message->cache,
        .bits = (uint8_t)(message->bits & MESSAGE_IN_NEW),
        .name = messages_base(&state->table, message),
    };
}

struct writer {
    const struct index_state *state;
    struct buf *out;
    size_t place;
    uint64_t frames;
    uint32_t names; /* bytes */
};

static void begin_frame(struct writer *w)
{
    w->place = index_frame_begin(w->out);
}

static void end_frame(struct writer *w)
{
    struct index_frame frame = {
        .number = ++w->frames,
        .modseq = w->state->modseq,
        .ceiling = w->state->ceiling,
        .uidnext = w->state->uidnext,
        .is_snapshot = true,
    };

    index_frame_end(w->out, w->place, &frame);
}

static void put(struct writer *w, const struct index_entry *entry)
{
    index_entry_put(w->out, entry);
    if (buf_len(w->out) - w->place < SNAPSHOT_FRAME)
        return;
    end_frame(w);
    begin_frame(w);
}

static void put_keywords(struct writer *w)
{
    const struct keyword_list *list = &w->state->keywords;

    for (unsigned i = 0; i < list->count; i++) {
        struct index_entry entry = {.kind = INDEX_KEYWORD,
                                    .number = (uint8_t)i,
                                    .name = bytes_of(list->names[i])};

        for (unsigned letter = 0; letter < LETTER_KEYWORD_COUNT; letter++)
            if (list->of_letter[letter] == i + 1)
                entry.letter = (uint8_t)(letter + 1);
        put(w, &entry);
    }
}

uint64_t index_state_write(const struct index_state *state, struct buf *out)
{
    struct writer w = {.state = state, .out = out};
    struct index_header header = {.uidvalidity = state->uidvalidity};
    uint8_t head[INDEX_HEADER] = {0};
    struct index_entry entry = {.kind = INDEX_FLOOR, .modseq = state->vanished_floor};

    check(buf_append(out, bytes_range(head, sizeof(head))));
    begin_frame(&w);
    put(&w, &entry);
    entry = (struct index_entry){.kind = INDEX_STAMP, .stamp = state->uidlist_stamp};
    put(&w, &entry);
    put_keywords(&w);
    for (size_t i = 0; i < state->vanished_count; i++) {
        entry = (struct index_entry){.kind = INDEX_VANISHED,
                                     .uid = state->vanished[i].uid,
                                     .modseq = state->vanished[i].modseq};
        put(&w, &entry);
    }
    for (size_t i = 0; i < state->table.count; i++) {
        if ((state->table.of[i].bits & MESSAGE_IS_GONE) != 0)
            continue;
        entry = index_entry_of(state, &state->table.of[i]);
        w.names += (uint32_t)entry.name.len;
        put(&w, &entry);
    }
    if (state->is_closed) {
        entry = (struct index_entry){.kind = INDEX_CLOSED,
                                     .stamp = state->new_stamp,
                                     .stamp_cur = state->cur_stamp};
        put(&w, &entry);
    }
    end_frame(&w);
    memcpy(header.id, state->id, sizeof(header.id));
    header.snapshot = w.frames;
    header.messages = state->table.exists;
    header.names = w.names;
    index_header_format(&header, head);
    memcpy(out->ptr + out->start, head, sizeof(head));
    return w.frames;
}
