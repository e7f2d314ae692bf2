/* mime_thread_private.h - the forest that both algorithms of THREAD build and write. */
#pragma once

#include "inbound/mime/mime_thread.h"

/* Nodes are called by number; 0 is what the roots are children of, and in other places none. */
struct thread_node {
    uint32_t message; /* from 1; 0: a dummy */
    uint32_t parent, first, last, next;
};

struct thread_forest {
    const struct mime_threaded *messages;
    struct thread_node *nodes;
    size_t capacity;
    uint32_t count;
};

/* Room for `capacity` nodes. */
void thread_forest_init(struct thread_forest *forest, const struct mime_threaded *messages,
                        size_t capacity);
void thread_forest_free(struct thread_forest *forest);
uint32_t thread_add(struct thread_forest *forest, uint32_t message);
/* The child is in no list. */
void thread_append(struct thread_forest *forest, uint32_t parent, uint32_t child);
/* The message that a node is dated and called by: its own, or its first child's. */
uint32_t thread_shown(const struct thread_forest *forest, uint32_t node);
/* Children by their dates, then by number. */
void thread_sort(struct thread_forest *forest, uint32_t parent);
must_use bool thread_write(const struct thread_forest *forest, struct buf *out);
