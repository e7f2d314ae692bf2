/*
 * mailbox_room.h - an account in a directory of its own, with its inbox open.
 *
 * For tests: include in the test's only file, behind what replaces mail_file.h, if anything does.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inbound/mailbox/mailbox_change.h"
#include "support/unit.h"

#ifndef ROOM_DIRECTORY /* else in memory, where that can be */
#define ROOM_DIRECTORY (access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp")
#endif

struct room {
    char path[64];
    struct mail_accounts *accounts;
    struct mail_account *account;
    struct mailbox *inbox;
    uint64_t quota;
};

static inline void room_open(struct room *room)
{
    struct mail_accounts_settings settings = {.directory = room->path, .host = "mta1"};
    char why[ACCOUNTS_WHY_MAX] = "";

    room->accounts = mail_accounts_open(&settings, why);
    if (room->accounts == NULL)
        fail_msg("%s", why);
    assert_int_equal(mail_account_open(room->accounts, BYTES("b.example"), BYTES("a"), room->quota,
                                       &room->account),
                     0);
    assert_int_equal(mailbox_open(room->account, BYTES("INBOX"), &room->inbox), 0);
}

static inline void room_close(struct room *room)
{
    mailbox_close(&room->inbox);
    mail_account_close(&room->account);
    mail_accounts_close(&room->accounts);
}

static inline void room_reopen(struct room *room)
{
    room_close(room);
    room_open(room);
}

static inline void room_make(struct room *room)
{
    snprintf(room->path, sizeof(room->path), "%s/ringpost-mailbox-XXXXXX", ROOM_DIRECTORY);
    assert_non_null(mkdtemp(room->path));
    room_open(room);
}

static inline void room_free(struct room *room)
{
    char command[96];

    room_close(room);
    snprintf(command, sizeof(command), "rm -rf %s", room->path);
    assert_int_equal(system(command), 0);
}

static inline int room_try_append(struct room *room, struct mailbox *mailbox, const char *text,
                                  uint64_t flags, uint32_t *uid_out)
{
    struct mailbox_upload upload;
    int error = mailbox_upload_begin(room->account, &upload);

    if (error < 0)
        return error;
    error = mailbox_upload_write(&upload, bytes_of(text));
    upload.flags = flags;
    if (error == 0)
        error = mailbox_append(mailbox, &upload, 1);
    *uid_out = upload.uid;
    mailbox_upload_end(room->account, &upload);
    return error;
}

static inline uint32_t room_append(struct room *room, struct mailbox *mailbox, const char *text,
                                   uint64_t flags)
{
    uint32_t uid = 0;

    assert_int_equal(room_try_append(room, mailbox, text, flags, &uid), 0);
    return uid;
}

static inline void room_path(const struct room *room, const char *name, char out[static 768])
{
    snprintf(out, 768, "%.63s/b.example/a/%.600s", room->path, name);
}

/* As another program does. */
static inline void room_drop(const struct room *room, const char *name, const char *text)
{
    char path[768];

    room_path(room, name, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    fclose(file);
}

static inline void room_rename(const struct room *room, const char *from, const char *to)
{
    char path[768], other[768];

    room_path(room, from, path);
    room_path(room, to, other);
    assert_int_equal(rename(path, other), 0);
}

static inline bool room_has(const struct room *room, const char *name)
{
    char path[768];

    room_path(room, name, path);
    return access(path, F_OK) == 0;
}

/* Files below; the name of the last one. */
static inline size_t room_count(const struct room *room, const char *part, char *name_out)
{
    char path[768];
    struct dirent *entry;
    size_t count = 0;

    room_path(room, part, path);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return 0;
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        count++;
        if (name_out != NULL)
            snprintf(name_out, 256, "%s", entry->d_name);
    }
    closedir(directory);
    return count;
}

static inline size_t room_read(const struct room *room, const char *name, char *out, size_t size)
{
    char path[768];

    room_path(room, name, path);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    size_t len = fread(out, 1, size - 1, file);
    out[len] = '\0';
    fclose(file);
    return len;
}

static inline void room_store(struct mailbox *mailbox, uint32_t uid, enum store_how how,
                              uint64_t flags)
{
    struct mailbox_flags_change change = {.how = how, .flags = flags};

    assert_int_equal(mailbox_store_flags(mailbox, &uid, 1, &change), 0);
}

static inline uint64_t room_flags(struct mailbox *mailbox, uint32_t uid)
{
    struct mailbox_message message;

    assert_true(mailbox_find(mailbox, uid, &message));
    return message.flags;
}

static inline struct mailbox_status room_status(struct mailbox *mailbox)
{
    struct mailbox_status status;

    mailbox_status(mailbox, &status);
    return status;
}
