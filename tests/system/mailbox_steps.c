/*
 * mailbox_steps.c - mailboxes of an account, by lines: test_mailbox.py holds them beside Dovecot.
 *
 *   mailbox_steps DIRECTORY DOMAIN LOCAL < lines
 *
 *   create NAME              delete NAME          rename FROM TO      subscribe NAME
 *   open NAME                what follows is of this mailbox
 *   append FLAGS TEXT        "\Seen,work" or "-"; prints the UID
 *   many COUNT               so many messages
 *   flags UID + FLAGS        or - or =
 *   copy UID NAME            or move; prints the UID there
 *   expunge                  all with \Deleted
 *   show                     "uidvalidity V uidnext N", then "UID flags,in,order size" a line
 *   list                     "name attributes" a line
 *   time STEP ...            the same, and prints how many microseconds it took
 *
 * At the end all is closed in order. A step that fails ends it with its line and error.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "inbound/mailbox/mailbox_change.h"

static struct mail_account *account;
static struct mailbox *mailbox;

static const struct {
    const char *name;
    uint64_t flag;
} system_flags[] = {
    {"\\Answered", MAIL_ANSWERED}, {"\\Deleted", MAIL_DELETED}, {"\\Draft", MAIL_DRAFT},
    {"\\Flagged", MAIL_FLAGGED},   {"\\Seen", MAIL_SEEN},
};

static int parse_flags(struct bytes text, uint64_t *flags_out)
{
    struct bytes word;

    *flags_out = 0;
    while (text.len > 0 && !bytes_equal(text, BYTES("-"))) {
        size_t end = bytes_find(text, ',', 0);
        uint64_t before = *flags_out;
        unsigned number;

        word = bytes_slice(text, 0, end);
        text = bytes_slice(text, end + 1, text.len);
        for (size_t i = 0; i < ARRAY_LEN(system_flags); i++)
            if (bytes_equal_nocase(word, bytes_of(system_flags[i].name)))
                *flags_out |= system_flags[i].flag;
        if (*flags_out != before || word.ptr[0] == '\\')
            continue;
        int error = mailbox_keyword(mailbox, word, true, &number);

        if (error < 0)
            return error;
        *flags_out |= MAIL_KEYWORD(number);
    }
    return 0;
}

static int append(struct bytes text, uint64_t flags, uint32_t *uid_out)
{
    struct mailbox_upload upload;
    int error = mailbox_upload_begin(account, &upload);

    if (error < 0)
        return error;
    error = mailbox_upload_write(&upload, text);
    upload.flags = flags;
    if (error == 0)
        error = mailbox_append(mailbox, &upload, 1);
    *uid_out = upload.uid;
    mailbox_upload_end(account, &upload);
    return error;
}

static int append_line(struct bytes rest)
{
    struct bytes flags_text, subject = rest;
    char text[512];
    uint64_t flags;
    uint32_t uid;

    if (!bytes_take_until(&subject, ' ', &flags_text))
        return -1;
    int error = parse_flags(flags_text, &flags);

    snprintf(text, sizeof(text), "Subject: %.*s\r\n\r\nhello\r\n", BYTES_ARG(subject));
    if (error == 0)
        error = append(bytes_of(text), flags, &uid);
    if (error == 0)
        printf("%" PRIu32 "\n", uid);
    return error;
}

static int append_many(struct bytes rest)
{
    uint64_t count;

    if (!bytes_to_u64(rest, &count))
        return -1;
    while (count > 0) {
        static struct mailbox_upload uploads[MAILBOX_CHANGE_MAX];
        size_t slice = MIN(count, (uint64_t)MAILBOX_CHANGE_MAX);
        int error = 0;

        for (size_t i = 0; i < slice && error == 0; i++) {
            error = mailbox_upload_begin(account, &uploads[i]);
            if (error == 0)
                error = mailbox_upload_write(&uploads[i], BYTES("Subject: x\r\n\r\nhello\r\n"));
        }
        if (error == 0)
            error = mailbox_append(mailbox, uploads, slice);
        for (size_t i = 0; i < slice; i++)
            mailbox_upload_end(account, &uploads[i]);
        if (error < 0)
            return error;
        count -= slice;
    }
    return 0;
}

static int change_flags(struct bytes rest)
{
    struct mailbox_flags_change change = {0};
    struct bytes uid_text, how;
    uint64_t uid;

    if (!bytes_take_until(&rest, ' ', &uid_text) || !bytes_to_u64(uid_text, &uid) ||
        !bytes_take_until(&rest, ' ', &how))
        return -1;
    int error = parse_flags(rest, &change.flags);
    uint32_t one = (uint32_t)uid;

    change.how = how.ptr[0] == '+' ? STORE_ADD : how.ptr[0] == '-' ? STORE_REMOVE : STORE_SET;
    return error < 0 ? error : mailbox_store_flags(mailbox, &one, 1, &change);
}

static int copy(struct bytes rest, bool moves)
{
    struct mailbox *to;
    struct uid_pair pair = {0};
    struct bytes uid_text;
    uint64_t uid;
    size_t count;

    if (!bytes_take_until(&rest, ' ', &uid_text) || !bytes_to_u64(uid_text, &uid))
        return -1;
    int error = mailbox_open(account, rest, &to);

    if (error < 0)
        return error;
    uint32_t one = (uint32_t)uid;

    error = mailbox_copy(mailbox, to, &one, 1, moves, &pair, &count);
    mailbox_close(&to);
    printf("%" PRIu32 "\n", pair.to);
    return error;
}

static void show_message(const struct mailbox_message *message)
{
    char name[MAILBOX_KEYWORD_LEN_MAX + 1];
    const char *comma = "";

    printf("%" PRIu32 " ", message->uid);
    for (size_t i = 0; i < ARRAY_LEN(system_flags); i++) {
        if ((message->flags & system_flags[i].flag) == 0)
            continue;
        printf("%s%s", comma, system_flags[i].name);
        comma = ",";
    }
    for (unsigned i = 0; i < MAILBOX_KEYWORDS_MAX && mailbox_keyword_name(mailbox, i, name); i++) {
        if ((message->flags & MAIL_KEYWORD(i)) == 0)
            continue;
        printf("%s%s", comma, name);
        comma = ",";
    }
    uint64_t size = 0;

    (void)!mailbox_message_size(mailbox, message->uid, &size);
    printf("%s %" PRIu64 "\n", comma[0] == '\0' ? "-" : "", size);
}

static int show(void)
{
    struct mailbox_message messages[64];
    struct mailbox_status status;
    uint32_t next = 1;
    int error = mailbox_look(mailbox);

    if (error < 0)
        return error;
    mailbox_status(mailbox, &status);
    printf("uidvalidity %" PRIu32 " uidnext %" PRIu32 "\n", status.uidvalidity, status.uidnext);
    while (next != 0) {
        size_t count = mailbox_read(mailbox, next, 0, messages, ARRAY_LEN(messages), &next);

        for (size_t i = 0; i < count; i++)
            show_message(&messages[i]);
    }
    return 0;
}

static int list(void)
{
    struct mailbox_list all;
    int error = mail_account_list(account, &all);

    if (error < 0)
        return error;
    for (size_t i = 0; i < all.count; i++)
        printf("%.*s%s%s\n", BYTES_ARG(all.entries[i].name),
               all.entries[i].is_subscribed ? " subscribed" : "",
               all.entries[i].is_missing ? " missing" : "");
    mailbox_list_free(&all);
    return 0;
}

static int rename_both(struct bytes rest)
{
    struct bytes from;

    return bytes_take_until(&rest, ' ', &from) ? mail_account_rename(account, from, rest) : -1;
}

static int run(struct bytes line)
{
    struct bytes word, rest = line;
    size_t gone;

    if (!bytes_take_until(&rest, ' ', &word)) {
        word = line;
        rest = BYTES_NONE;
    }
    if (bytes_equal(word, BYTES("time"))) {
        int64_t before_us = clock_monotonic_us();
        int error = run(rest);

        printf("%" PRId64 " us\n", clock_monotonic_us() - before_us);
        return error;
    }
    if (bytes_equal(word, BYTES("create")))
        return mail_account_create(account, rest, SPECIAL_NONE);
    if (bytes_equal(word, BYTES("delete")))
        return mail_account_delete(account, rest);
    if (bytes_equal(word, BYTES("rename")))
        return rename_both(rest);
    if (bytes_equal(word, BYTES("subscribe")))
        return mail_account_subscribe(account, rest, true);
    if (bytes_equal(word, BYTES("list")))
        return list();
    if (bytes_equal(word, BYTES("open"))) {
        mailbox_close(&mailbox);
        return mailbox_open(account, rest, &mailbox);
    }
    if (mailbox == NULL)
        return -1;
    if (bytes_equal(word, BYTES("append")))
        return append_line(rest);
    if (bytes_equal(word, BYTES("many")))
        return append_many(rest);
    if (bytes_equal(word, BYTES("flags")))
        return change_flags(rest);
    if (bytes_equal(word, BYTES("copy")) || bytes_equal(word, BYTES("move")))
        return copy(rest, bytes_equal(word, BYTES("move")));
    if (bytes_equal(word, BYTES("expunge")))
        return mailbox_expunge_all(mailbox, &gone);
    if (bytes_equal(word, BYTES("show")))
        return show();
    return -1;
}

int main(int argc, char **argv)
{
    char line[1024], why[ACCOUNTS_WHY_MAX];
    int error = 0;

    if (argc != 4)
        return 2;
    struct mail_accounts_settings settings = {.directory = argv[1], .host = "mta1"};
    struct mail_accounts *accounts = mail_accounts_open(&settings, why);

    if (accounts == NULL) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    error = mail_account_open(accounts, bytes_of(argv[2]), bytes_of(argv[3]), 0, &account);
    while (error == 0 && fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        error = run(bytes_of(line));
        if (error < 0)
            fprintf(stderr, "%s: %s\n", line, error == -1 ? "no such step" : strerror(-error));
    }
    mailbox_close(&mailbox);
    mail_account_close(&account);
    mail_accounts_close(&accounts);
    return error < 0;
}
