/* account_list.c - LIST: what folders there are, with their parents and subscriptions. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "inbound/mailbox/account_private.h"
#include "inbound/mailbox/file_read.h"
#include "inbound/mailbox/folder_name.h"
#include "inbound/mailbox/special_use.h"
#include "inbound/mailbox/subscriptions.h"
#include "inbound/store/mail_file.h"

enum { LIST_MEMORY_MAX = 256 << 20, SMALL_FILE_MAX = 4 << 20 };

struct listing {
    int account;
    struct arena *arena;
    struct mailbox_entry *of;
    size_t count, capacity;
    size_t folders;
    struct special_uses uses;
};

static struct mailbox_entry *add(struct listing *listing, struct bytes name)
{
    struct bytes copy;

    if (listing->count == listing->capacity) {
        listing->capacity = MAX(listing->capacity * 2, (size_t)64);
        listing->of = realloc(listing->of, listing->capacity * sizeof(*listing->of));
        check(listing->of != NULL);
    }
    check(arena_copy(listing->arena, name, &copy));
    struct mailbox_entry *entry = &listing->of[listing->count++];

    *entry = (struct mailbox_entry){.name = copy};
    return entry;
}

static bool add_folder(void *context, const char *folder)
{
    struct listing *listing = context;
    uint8_t name[MAILBOX_NAME_MAX];
    struct stat status;
    size_t len;

    if (!folder_name_decode(bytes_of(folder), name, &len) ||
        mail_file_stat(listing->account, folder, &status) < 0 || !S_ISDIR(status.st_mode))
        return true;
    add(listing, bytes_range(name, len))->use = special_use_of(&listing->uses, folder);
    return ++listing->folders < 2 * ACCOUNT_MAILBOXES_MAX;
}

static void add_subscribed(void *context, const char *folder)
{
    struct listing *listing = context;
    uint8_t name[MAILBOX_NAME_MAX];
    size_t len = 5;
    struct mailbox_entry *entry;

    if (folder[0] == '\0')
        entry = add(listing, BYTES("INBOX"));
    else if (folder_name_decode(bytes_of(folder), name, &len))
        entry = add(listing, bytes_range(name, len));
    else
        return;
    entry->is_missing = entry->is_subscribed = true;
}

static bool is_inbox(const struct mailbox_entry *entry)
{
    return bytes_equal(entry->name, BYTES("INBOX"));
}

static int by_name(const void *a, const void *b)
{
    const struct mailbox_entry *x = a, *y = b;

    if (is_inbox(x) != is_inbox(y))
        return is_inbox(x) ? -1 : 1;
    return bytes_compare(x->name, y->name);
}

/* One of each name: what any of them says holds. */
static void join(struct listing *listing)
{
    size_t kept = 0;

    if (listing->count == 0)
        return;
    qsort(listing->of, listing->count, sizeof(*listing->of), by_name);
    for (size_t i = 1; i < listing->count; i++) {
        struct mailbox_entry *last = &listing->of[kept];
        const struct mailbox_entry *entry = &listing->of[i];

        if (!bytes_equal(last->name, entry->name)) {
            listing->of[++kept] = *entry;
            continue;
        }
        last->is_missing &= entry->is_missing;
        last->is_subscribed |= entry->is_subscribed;
        last->has_children |= entry->has_children;
        last->use = MAX(last->use, entry->use);
    }
    listing->count = kept + 1;
}

static void add_parents(struct listing *listing)
{
    size_t count = listing->count;
    struct bytes before = BYTES_NONE;
    bool is_before_of_mailbox = false;

    for (size_t i = 0; i < count; i++) {
        struct bytes name = listing->of[i].name;
        bool is_mailbox = !listing->of[i].is_missing; /* else it is only subscribed */

        for (size_t at = bytes_find(name, '/', 0); at < name.len;
             at = bytes_find(name, '/', at + 1)) {
            struct bytes parent = bytes_slice(name, 0, at);

            /* Sorted, so most children of one come behind each other. */
            if (bytes_equal(parent, before) && (is_before_of_mailbox || !is_mailbox))
                continue;
            struct mailbox_entry *entry = add(listing, parent);

            entry->is_missing = true;
            entry->has_children = is_mailbox;
            before = entry->name;
            is_before_of_mailbox = is_mailbox;
        }
    }
    join(listing);
}

static int read_small(int account, const char *name, struct buf *text)
{
    buf_init(text, SMALL_FILE_MAX);
    int error = file_read(account, name, text);

    return error == -ENOENT ? 0 : error;
}

int account_read_uses(struct mail_account *account, struct special_uses *uses_out)
{
    struct buf text;
    int error = read_small(account->maildir.fd, "ringpost.special", &text);

    memset(uses_out, 0, sizeof(*uses_out));
    if (error == 0)
        special_uses_parse(uses_out, buf_bytes(&text));
    buf_free(&text);
    return error;
}

static int fill(struct mail_account *account, struct listing *listing)
{
    struct buf text;
    int error = account_read_uses(account, &listing->uses);

    if (error == 0)
        error = mail_file_list(listing->account, add_folder, listing);
    if (error < 0)
        return error;
    add(listing, BYTES("INBOX"));
    error = read_small(listing->account, "subscriptions", &text);
    if (error == 0)
        subscriptions_parse(buf_bytes(&text), add_subscribed, listing);
    buf_free(&text);
    join(listing);
    add_parents(listing);
    return error;
}

int mail_account_list(struct mail_account *account, struct mailbox_list *list_out)
{
    struct arena *arena = malloc(sizeof(*arena));
    struct listing listing = {.account = account->maildir.fd, .arena = arena};

    check(arena != NULL);
    arena_init(arena, LIST_MEMORY_MAX);
    pthread_mutex_lock(&account->mutex);
    int error = fill(account, &listing);

    pthread_mutex_unlock(&account->mutex);
    *list_out = (struct mailbox_list){listing.count, listing.of, arena};
    if (error < 0)
        mailbox_list_free(list_out);
    return error;
}

void mailbox_list_free(struct mailbox_list *list)
{
    struct arena *arena = list->memory;

    if (arena != NULL)
        arena_free(arena);
    free(arena);
    free(list->entries);
    *list = (struct mailbox_list){0};
}
