/* notify_program.c - groups of mailboxes and events. */
#include "inbound/imap/notify_program.h"

#include "inbound/imap/mailbox_name.h"
#include "inbound/imap/scan.h"

const char notify_event_names[] = "MessageNew MessageExpunge FlagChange MailboxName "
                                  "SubscriptionChange MailboxMetadataChange ServerMetadataChange";

static const struct {
    const char *name;
    enum notify_event event;
} events[] = {
    {"MessageNew", NOTIFY_NEW},
    {"MessageExpunge", NOTIFY_EXPUNGE},
    {"FlagChange", NOTIFY_FLAGS},
    {"MailboxName", NOTIFY_NAME},
    {"SubscriptionChange", NOTIFY_SUBSCRIPTION},
    {"MailboxMetadataChange", NOTIFY_METADATA},
    {"ServerMetadataChange", NOTIFY_SERVER_METADATA},
};

static bool take_event(struct arena *arena, struct bytes *input, struct notify_program *program,
                       bool is_selected, unsigned *events_out)
{
    struct bytes name, rest;
    size_t i = 0;

    if (!imap_take_atom(input, &name))
        return false;
    while (i < ARRAY_LEN(events) && !bytes_equal_nocase(name, bytes_of(events[i].name)))
        i++;
    if (i == ARRAY_LEN(events)) {
        program->has_unknown = true;
        return true;
    }
    *events_out |= events[i].event;
    rest = *input;
    if (events[i].event != NOTIFY_NEW || !imap_take_space(&rest) || rest.len == 0 ||
        rest.ptr[0] != '(')
        return true;
    *input = rest;
    program->has_fetch = true;
    return is_selected && fetch_program_take_list(arena, input, &program->fetch);
}

/* RFC 5465 section 5: new messages and those that go are told together, flags with them. */
static bool are_whole(unsigned wanted, bool is_selected)
{
    bool has_new = (wanted & NOTIFY_NEW) != 0, has_expunge = (wanted & NOTIFY_EXPUNGE) != 0;

    return has_new == has_expunge && (has_new || (wanted & NOTIFY_FLAGS) == 0) &&
           (!is_selected || (wanted & ~(unsigned)NOTIFY_MESSAGES) == 0);
}

static bool take_events(struct arena *arena, struct bytes *input, struct notify_program *program,
                        bool is_selected, unsigned *events_out)
{
    *events_out = 0;
    if (imap_take_word(input, "NONE"))
        return true;
    if (!imap_take_byte(input, '('))
        return false;
    do {
        if (!take_event(arena, input, program, is_selected, events_out))
            return false;
    } while (imap_take_space(input));
    return imap_take_byte(input, ')') && are_whole(*events_out, is_selected);
}

static bool take_name(struct arena *arena, struct bytes *input, bool is_utf8,
                      struct notify_program *program, struct notify_group *group)
{
    struct bytes text;

    if (program->name_count == NOTIFY_NAMES_MAX || !imap_take_astring(arena, input, &text) ||
        !mailbox_name_read(arena, text, is_utf8, &group->names[group->count]))
        return false;
    group->count++;
    program->name_count++;
    return true;
}

static bool take_names(struct arena *arena, struct bytes *input, bool is_utf8,
                       struct notify_program *program, struct notify_group *group)
{
    group->names = arena_alloc(arena, NOTIFY_NAMES_MAX * sizeof(*group->names));
    if (group->names == NULL || !imap_take_space(input))
        return false;
    if (!imap_take_byte(input, '('))
        return take_name(arena, input, is_utf8, program, group);
    do {
        if (!take_name(arena, input, is_utf8, program, group))
            return false;
    } while (imap_take_space(input));
    return imap_take_byte(input, ')');
}

/* False: it is no such filter, or its names are none. */
static bool take_filter(struct arena *arena, struct bytes *input, bool is_utf8,
                        struct notify_program *program, struct notify_group *group)
{
    *group = (struct notify_group){.filter = NOTIFY_PERSONAL};
    if (imap_take_word(input, "PERSONAL") || imap_take_word(input, "INBOXES"))
        return true;
    group->filter = NOTIFY_SUBSCRIBED;
    if (imap_take_word(input, "SUBSCRIBED"))
        return true;
    if (imap_take_word(input, "SUBTREE"))
        group->filter = NOTIFY_SUBTREE;
    else if (imap_take_word(input, "MAILBOXES"))
        group->filter = NOTIFY_MAILBOXES;
    else
        return false;
    return take_names(arena, input, is_utf8, program, group);
}

static bool take_selected(struct arena *arena, struct bytes *input, struct notify_program *program)
{
    if (program->has_selected) /* RFC 5465 section 6.1: one of them, once */
        return false;
    program->has_selected = true;
    return imap_take_space(input) && take_events(arena, input, program, true, &program->selected);
}

static bool take_group(struct arena *arena, struct bytes *input, bool is_utf8,
                       struct notify_program *program)
{
    struct notify_group *group = &program->groups[program->count];
    bool is_selected = false;

    if (!imap_take_byte(input, '('))
        return false;
    if (imap_take_word(input, "SELECTED-DELAYED"))
        is_selected = program->is_delayed = true;
    else if (imap_take_word(input, "SELECTED"))
        is_selected = true;
    if (is_selected)
        return take_selected(arena, input, program) && imap_take_byte(input, ')');
    if (program->count == NOTIFY_GROUPS_MAX ||
        !take_filter(arena, input, is_utf8, program, group) || !imap_take_space(input) ||
        !take_events(arena, input, program, false, &group->events))
        return false;
    program->count++;
    return imap_take_byte(input, ')');
}

bool notify_program_take(struct arena *arena, struct bytes input, bool is_utf8,
                         struct notify_program *program_out)
{
    struct notify_program *program = program_out;

    *program = (struct notify_program){0};
    if (!imap_take_space(&input))
        return false;
    if (imap_take_word(&input, "NONE"))
        return input.len == 0;
    if (!imap_take_word(&input, "SET") || !imap_take_space(&input))
        return false;
    program->tells_status = imap_take_word(&input, "STATUS");
    if (program->tells_status && !imap_take_space(&input))
        return false;
    do {
        if (!take_group(arena, &input, is_utf8, program))
            return false;
    } while (imap_take_space(&input));
    return input.len == 0;
}

static bool is_at_or_below(struct bytes name, struct bytes parent)
{
    return bytes_equal(bytes_slice(name, 0, parent.len), parent) &&
           (name.len == parent.len || name.ptr[parent.len] == '/');
}

static bool has_mailbox(const struct notify_group *group, struct bytes name, bool is_subscribed)
{
    switch (group->filter) {
    case NOTIFY_PERSONAL:
        return true;
    case NOTIFY_SUBSCRIBED:
        return is_subscribed;
    case NOTIFY_SUBTREE:
    case NOTIFY_MAILBOXES:
        break;
    }
    for (size_t i = 0; i < group->count; i++)
        if (group->filter == NOTIFY_SUBTREE ? is_at_or_below(name, group->names[i])
                                            : bytes_equal(name, group->names[i]))
            return true;
    return false;
}

unsigned notify_program_events(const struct notify_program *program, struct bytes name,
                               bool is_subscribed)
{
    unsigned wanted = 0;

    for (size_t i = 0; i < program->count; i++)
        if (has_mailbox(&program->groups[i], name, is_subscribed))
            wanted |= program->groups[i].events;
    return wanted;
}

unsigned notify_program_all_events(const struct notify_program *program)
{
    unsigned wanted = 0;

    for (size_t i = 0; i < program->count; i++)
        wanted |= program->groups[i].events;
    return wanted;
}
