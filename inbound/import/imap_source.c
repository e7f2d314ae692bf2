/* imap_source.c - the folders of another IMAP server, their messages in slices. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "inbound/imap/mailbox_name.h"
#include "inbound/import/imap_session.h"
#include "inbound/import/import_source.h"
#include "inbound/mailbox/mailbox.h"

enum {
    FOLDERS_MAX = 10000,
    MESSAGES_MAX = 16 << 20, /* of a folder */
    SLICE_MESSAGES = 100,
    SLICE_BYTES = 32 << 20,
    COMMAND_MAX = 8 << 10,
};

struct remote_folder {
    struct bytes raw;  /* as the server calls it */
    struct bytes name; /* as we do */
};

struct remote_message {
    uint32_t uid;
    uint64_t size;
    bool is_done;
};

struct imap_source {
    struct import_taker *taker;
    struct imap_session session;
    struct arena names;
    struct bytes prefix; /* of one's own namespace */
    size_t folder_count;
    struct remote_folder *folders;

    /* the folder that is read */
    uint32_t exists, uidvalidity;
    size_t count, capacity;
    struct remote_message *messages;
    size_t slice, slice_end; /* asked for now */
    bool is_begun;           /* content came, and no response yet */
};

/* --- folders ---------------------------------------------------------------------------------- */

static int on_namespace(void *context, const struct imap_reply *reply)
{
    struct imap_source *source = context;
    struct bytes prefix;

    if (bytes_equal_nocase(reply->word, BYTES("NAMESPACE")) &&
        imap_reply_namespace(&source->session.arena, reply->rest, &prefix) &&
        !arena_copy(&source->names, prefix, &source->prefix))
        source->prefix = BYTES_NONE;
    return 0;
}

/* Without the namespace's prefix, in UTF-8, "/" between parts. */
static bool name_folder(struct imap_source *source, const struct imap_listed *listed,
                        struct bytes *name_out)
{
    struct bytes text = listed->name, name;

    if (text.len > source->prefix.len && bytes_starts_nocase(text, source->prefix) &&
        !mailbox_name_is_inbox(text))
        text = bytes_slice(text, source->prefix.len, text.len);
    if ((!mailbox_name_read(&source->session.arena, text, false, &name) &&
         !mailbox_name_read(&source->session.arena, text, true, &name)) ||
        !arena_copy(&source->names, name, name_out))
        return false;
    uint8_t *at = (uint8_t *)name_out->ptr; /* the copy is ours */

    for (size_t i = 0; i < name_out->len && listed->separator != '/'; i++)
        at[i] = at[i] == '/' ? '_' : at[i] == listed->separator ? '/' : at[i];
    return true;
}

static int on_list(void *context, const struct imap_reply *reply)
{
    struct imap_source *source = context;
    struct imap_listed listed;

    if (!bytes_equal_nocase(reply->word, BYTES("LIST")))
        return 0;
    if (!imap_reply_list(&source->session.arena, reply->rest, &listed))
        return imap_session_fail(&source->session, "LIST", "its answer makes no sense");
    if (!listed.is_selectable)
        return 0;
    if (source->folder_count == FOLDERS_MAX)
        return imap_session_fail(&source->session, "LIST", "it has more than 10000 folders");
    struct remote_folder *folder = &source->folders[source->folder_count];

    if (!arena_copy(&source->names, listed.name, &folder->raw))
        return imap_session_fail(&source->session, "LIST", "its names are too long");
    if (name_folder(source, &listed, &folder->name))
        source->folder_count++;
    else
        source->taker->bad(source->taker, (const char *)folder->raw.ptr,
                           "the folder's name cannot be read");
    return 0;
}

static int list_folders(struct imap_source *source)
{
    struct imap_session *session = &source->session;
    int result =
        session->has_namespace ? imap_session_ask(session, BYTES("NAMESPACE"), on_namespace) : 0;

    if (result == 0 || result == IMAP_REFUSED)
        result = imap_session_ask(session, BYTES("LIST \"\" \"*\""), on_list);
    return result == IMAP_REFUSED ? imap_session_fail(session, "LIST", session->refusal) : result;
}

/* --- a folder --------------------------------------------------------------------------------- */

static int on_examine(void *context, const struct imap_reply *reply)
{
    struct imap_source *source = context;
    uint32_t number;

    if (reply->has_number && bytes_equal_nocase(reply->word, BYTES("EXISTS")))
        source->exists = reply->number;
    if (bytes_equal_nocase(reply->word, BYTES("OK")) &&
        imap_reply_code(reply->rest, "UIDVALIDITY", &number))
        source->uidvalidity = number;
    return 0;
}

static int on_uid(void *context, const struct imap_reply *reply)
{
    struct imap_source *source = context;
    struct imap_fetched fetched;

    if (!reply->has_number || !bytes_equal_nocase(reply->word, BYTES("FETCH")))
        return 0;
    if (source->session.reader.has_content ||
        !imap_reply_fetch(&source->session.arena, reply->rest, &fetched))
        return imap_session_fail(&source->session, "FETCH", "its answer makes no sense");
    if (fetched.uid == 0)
        return 0; /* flags that changed meanwhile */
    if (source->count == source->capacity) {
        if (source->count == MESSAGES_MAX)
            return imap_session_fail(&source->session, "FETCH", "a folder has too many messages");
        source->capacity = MAX(source->capacity * 2, (size_t)1024);
        source->messages = realloc(source->messages, source->capacity * sizeof(*source->messages));
        check(source->messages != NULL);
    }
    source->messages[source->count++] =
        (struct remote_message){.uid = fetched.uid, .size = fetched.size};
    return 0;
}

static struct bytes key_of(const struct imap_source *source, uint32_t uid, char text[static 32])
{
    int len = snprintf(text, 32, "%u/%u", source->uidvalidity, uid);

    return bytes_range(text, (size_t)len);
}

static int compare(const void *a, const void *b)
{
    const struct remote_message *x = a, *y = b;

    return (x->uid > y->uid) - (x->uid < y->uid);
}

/* Only what is wanted stays, each UID once. */
static void choose(struct imap_source *source)
{
    struct import_taker *taker = source->taker;
    size_t kept = 0;
    uint32_t last = 0;
    char key[32], label[32];

    if (source->count > 0)
        qsort(source->messages, source->count, sizeof(*source->messages), compare);
    for (size_t i = 0; i < source->count; i++) {
        struct remote_message message = source->messages[i];
        bool is_new = message.uid != last;

        last = message.uid;
        if (!is_new || !taker->wants(taker, key_of(source, message.uid, key)))
            continue;
        if (message.size <= IMPORT_MESSAGE_MAX) {
            source->messages[kept++] = message;
            continue;
        }
        snprintf(label, sizeof(label), "UID %u", message.uid);
        taker->bad(taker, label, "it is larger than 1 GiB");
    }
    source->count = kept;
}

/* --- messages --------------------------------------------------------------------------------- */

static int on_content(void *context, struct bytes b)
{
    struct imap_source *source = context;
    int result = source->is_begun ? 0 : source->taker->begin(source->taker);

    source->is_begun = true;
    return result < 0 ? result : source->taker->data(source->taker, b);
}

static void put_flags(const struct imap_fetched *fetched, struct import_message *message)
{
    static const struct {
        const char *name;
        uint64_t flag;
    } flags[] = {{"\\Answered", MAIL_ANSWERED},
                 {"\\Flagged", MAIL_FLAGGED},
                 {"\\Deleted", MAIL_DELETED},
                 {"\\Seen", MAIL_SEEN},
                 {"\\Draft", MAIL_DRAFT}};

    for (size_t i = 0; i < fetched->flag_count; i++) {
        struct bytes flag = fetched->flags[i];

        for (size_t k = 0; k < ARRAY_LEN(flags); k++)
            if (bytes_equal_nocase(flag, bytes_of(flags[k].name)))
                message->flags |= flags[k].flag;
        if (flag.ptr[0] != '\\' && message->keyword_count < IMPORT_KEYWORDS_MAX)
            message->keywords[message->keyword_count++] = flag;
    }
}

static struct remote_message *find(struct imap_source *source, uint32_t uid)
{
    for (size_t i = source->slice; i < source->slice_end; i++)
        if (source->messages[i].uid == uid && !source->messages[i].is_done)
            return &source->messages[i];
    return NULL;
}

/* All of it was told, or it stands in the response itself. */
static int end_message(struct imap_source *source, const struct imap_fetched *fetched)
{
    struct import_taker *taker = source->taker;
    char key[32], label[32];
    struct import_message message = {
        .key = key_of(source, fetched->uid, key),
        .label = label,
        .has_date = fetched->has_date,
        .date_s = fetched->date_s,
    };
    int result = 0;

    snprintf(label, sizeof(label), "UID %u", fetched->uid);
    if (!source->session.reader.has_content && fetched->body.ptr == NULL) {
        taker->bad(taker, label, "the server does not have its content");
        return 0;
    }
    put_flags(fetched, &message);
    if (!source->is_begun)
        result = taker->begin(taker);
    if (result == 0 && fetched->body.len > 0)
        result = taker->data(taker, fetched->body);
    source->is_begun = false;
    return result < 0 || taker->end(taker, &message) < 0 ? IMPORT_STOPPED : 0;
}

static int on_message(void *context, const struct imap_reply *reply)
{
    struct imap_source *source = context;
    struct imap_fetched fetched;

    if (!reply->has_number || !bytes_equal_nocase(reply->word, BYTES("FETCH")))
        return 0;
    if (!imap_reply_fetch(&source->session.arena, reply->rest, &fetched))
        return imap_session_fail(&source->session, "FETCH", "its answer makes no sense");
    struct remote_message *message = find(source, fetched.uid);

    if (message == NULL || !fetched.has_body) {
        source->is_begun = false; /* content that nobody asked for is dropped */
        return 0;
    }
    message->is_done = true;
    return end_message(source, &fetched);
}

/* Asks for the messages of the slice. */
static int fetch_slice(struct imap_source *source)
{
    struct buf command;

    buf_init(&command, COMMAND_MAX);
    bool fits = buf_append(&command, BYTES("UID FETCH "));

    for (size_t i = source->slice; i < source->slice_end; i++)
        fits = fits &&
               buf_printf(&command, "%s%u", i > source->slice ? "," : "", source->messages[i].uid);
    fits = fits && buf_append(&command, BYTES(" (UID FLAGS INTERNALDATE BODY.PEEK[])"));
    check(fits);
    source->is_begun = false;
    int result = imap_session_ask(&source->session, buf_bytes(&command), on_message);

    buf_free(&command);
    return result;
}

static void tell_missing(struct imap_source *source, const char *why)
{
    char label[32];

    for (size_t i = source->slice; i < source->slice_end; i++) {
        if (source->messages[i].is_done)
            continue;
        snprintf(label, sizeof(label), "UID %u", source->messages[i].uid);
        source->taker->bad(source->taker, label, why);
    }
}

/* After a NO each of the rest by itself: which of them is it? */
static int fetch_singly(struct imap_source *source)
{
    size_t end = source->slice_end;
    int result = 0;

    for (; source->slice < end && (result == 0 || result == IMAP_REFUSED); source->slice++) {
        source->slice_end = source->slice + 1;
        if (source->messages[source->slice].is_done)
            continue;
        result = fetch_slice(source);
        if (result == 0 || result == IMAP_REFUSED)
            tell_missing(source,
                         result == 0 ? "the server did not send it" : source->session.refusal);
    }
    source->slice_end = end;
    return result == IMAP_REFUSED ? 0 : result;
}

static int fetch_messages(struct imap_source *source)
{
    int result = 0;

    for (size_t at = 0; at < source->count && result == 0; at = source->slice_end) {
        uint64_t bytes = 0;

        source->slice = source->slice_end = at;
        while (source->slice_end < source->count &&
               (source->slice_end == at ||
                (source->slice_end - at < SLICE_MESSAGES &&
                 bytes + source->messages[source->slice_end].size <= SLICE_BYTES)))
            bytes += source->messages[source->slice_end++].size;
        result = fetch_slice(source);
        if (result == 0)
            tell_missing(source, "the server did not send it: it may be gone");
        else if (result == IMAP_REFUSED)
            result = fetch_singly(source);
    }
    return result;
}

/* Nothing is fetched: what would be is counted. */
static int count_messages(struct imap_source *source)
{
    struct import_taker *taker = source->taker;
    int result = 0;

    for (size_t i = 0; i < source->count && result == 0; i++) {
        char key[32];
        struct import_message message = {
            .key = key_of(source, source->messages[i].uid, key),
            .label = key,
            .size = source->messages[i].size,
        };

        result = taker->begin(taker) < 0 || taker->end(taker, &message) < 0 ? IMPORT_STOPPED : 0;
    }
    return result;
}

static int examine(struct imap_source *source, const struct remote_folder *folder)
{
    struct buf command;

    buf_init(&command, COMMAND_MAX);
    source->exists = source->uidvalidity = 0;
    source->count = 0;
    bool fits =
        buf_append(&command, BYTES("EXAMINE ")) && imap_session_quote(&command, folder->raw);
    int result =
        fits ? imap_session_ask(&source->session, buf_bytes(&command), on_examine) : IMAP_REFUSED;

    buf_free(&command);
    if (result == 0 && source->exists > 0)
        result = imap_session_ask(&source->session, BYTES("FETCH 1:* (UID RFC822.SIZE)"), on_uid);
    if (result == 0 && source->exists > 0 && source->uidvalidity == 0)
        result = imap_session_fail(&source->session, "EXAMINE", "it tells no UIDVALIDITY");
    return result;
}

static int take_folder(struct imap_source *source, const struct remote_folder *folder)
{
    int result = source->taker->folder(source->taker, folder->name);

    if (result != IMPORT_TAKE)
        return result == IMPORT_PASS ? 0 : IMPORT_STOPPED;
    result = examine(source, folder);
    if (result == IMAP_REFUSED) {
        source->taker->bad(source->taker, "the folder", source->session.refusal);
        return 0;
    }
    if (result != 0)
        return result;
    choose(source);
    return source->taker->wants_content ? fetch_messages(source) : count_messages(source);
}

int import_imap(const struct import_server *settings, struct import_taker *taker,
                char why[static IMPORT_WHY_MAX])
{
    struct imap_source *source = calloc(1, sizeof(*source));

    check(source != NULL);
    source->taker = taker;
    arena_init(&source->names, 32 << 20);
    source->folders = calloc(FOLDERS_MAX, sizeof(*source->folders));
    check(source->folders != NULL);
    int result = imap_session_open(&source->session, settings, source, on_content, why);

    if (result == 0)
        result = list_folders(source);
    for (size_t i = 0; i < source->folder_count && result == 0; i++)
        result = take_folder(source, &source->folders[i]);
    if (result == 0) /* the answer does not matter */
        (void)!imap_session_ask(&source->session, BYTES("LOGOUT"), NULL);
    imap_session_close(&source->session);
    free(source->folders);
    free(source->messages);
    arena_free(&source->names);
    free(source);
    return result == IMAP_REFUSED ? IMPORT_FAILED : result;
}
