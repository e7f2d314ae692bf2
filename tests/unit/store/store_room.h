/*
 * store_room.h - a store in a directory of its own, and one message at a time for it.
 *
 * For tests: include in the test's only file, behind what replaces mail_file.h, if anything does.
 */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inbound/store/mail_store.h"
#include "support/unit.h"

struct room {
    char path[64];
    struct engine *engine;
    struct mail_store *store;
};

static void (*room_filed)(void *context, const char *domain, const char *local, const char *folder);

static void room_open(struct room *room)
{
    struct mail_store_settings settings = {.directory = room->path,
                                           .host = "mta1",
                                           .node = 0xa,
                                           .threads = 2,
                                           .filed = room_filed,
                                           .context = room};

    room->store = mail_store_open(&settings);
    assert_non_null(room->store);
}

static void room_make(struct room *room)
{
    struct engine_settings settings = {0};

    /* Where syncs cost nothing, if there is such a place. */
    snprintf(room->path, sizeof(room->path), "%s/ringpost-store-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(room->path));
    room->engine = engine_create(&settings);
    room_open(room);
}

static inline void room_empty(struct room *room)
{
    char command[256];

    snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", room->path, room->path);
    assert_int_equal(system(command), 0);
}

static void room_free(struct room *room)
{
    mail_store_close(&room->store);
    engine_destroy(&room->engine);
    room_empty(room);
}

static unsigned answers;

static void on_answer(struct letter *letter, struct engine *engine)
{
    (void)letter;
    (void)engine;
    answers++;
}

/* To a@b.example, and whoever else the caller says. */
static struct filing room_filing(struct room *room, uint64_t message)
{
    return (struct filing){
        .answer.open = on_answer,
        .engine = room->engine,
        .domain = BYTES("b.example"),
        .local = BYTES("a"),
        .time_s = 1780000000,
        .message = message,
        .head = BYTES("Return-Path: <>\r\n"),
        .prefix = BYTES("Received: x\r\n"),
        .content = BYTES("Subject: hello\r\n\r\nworld\r\n"),
    };
}

/* As many as there are, in one go. */
static inline void room_file_all(struct room *room, struct filing *filings, size_t count)
{
    answers = 0;
    for (size_t i = 0; i < count; i++)
        assert_true(mail_store_file(room->store, &filings[i]));
    for (unsigned turn = 0; answers < count && turn < 1000000; turn++) {
        engine_turn(room->engine, 0);
        if (answers < count)
            usleep(100);
    }
    assert_int_equal(answers, count);
}

static inline enum filing_result room_file(struct room *room, struct filing *filing)
{
    room_file_all(room, filing, 1);
    return filing->result;
}

/* Files below `part` of the account; the name of the last one. */
static inline size_t room_count(const struct room *room, const char *part, char *name_out)
{
    char path[512];
    struct dirent *entry;
    size_t count = 0;

    snprintf(path, sizeof(path), "%s/b.example/a/%s", room->path, part);
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

static inline void room_path(const struct room *room, const char *part, const char *name,
                             char out[static 768])
{
    snprintf(out, 768, "%s/b.example/a/%s/%s", room->path, part, name);
}

static inline void room_expect_whole(const struct room *room, const char *part)
{
    static const char whole[] = "Return-Path: <>\r\nReceived: x\r\nSubject: hello\r\n\r\nworld\r\n";
    char name[256], path[768], text[256] = "";

    assert_int_equal(room_count(room, part, name), 1);
    room_path(room, part, name, path);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    assert_int_equal(len, sizeof(whole) - 1);
    assert_string_equal(text, whole);
}
