/*
 * snapshot_build.h - making snapshots: from nothing, or as another with some rows changed.
 *
 *   struct snapshot_builder *builder = snapshot_build(NULL);
 *   snapshot_put_tenant(builder, &(struct directory_tenant){.id = 1, .name = BYTES("shop")});
 *   const struct snapshot *snapshot = snapshot_finish(&builder, version);
 *
 * A snapshot made from another shares its rows and keeps those that changed beside them, so that a
 * change costs what changed since the last one that was made from nothing, and not what there is.
 * snapshot_is_worn() says when it is time to make one from nothing again.
 *
 * Thread: one makes and frees all snapshots that share rows; any may read them meanwhile.
 */
#pragma once

#include "directory/snapshot.h"

struct snapshot_builder;

/* `previous` may be NULL, else it must live until snapshot_finish(). */
struct snapshot_builder *snapshot_build(const struct snapshot *previous);
/* A row, new or in place of the one of its id. Everything is copied. No two rows of a table may
 * have the same name once the snapshot is finished. */
void snapshot_put_tenant(struct snapshot_builder *builder, const struct directory_tenant *row);
void snapshot_put_credential(struct snapshot_builder *builder,
                             const struct directory_credential *row);
void snapshot_put_domain(struct snapshot_builder *builder, const struct directory_domain *row);
void snapshot_put_account(struct snapshot_builder *builder, const struct directory_account *row);
void snapshot_put_alias(struct snapshot_builder *builder, const struct directory_alias *row);
void snapshot_put_rule(struct snapshot_builder *builder, const struct directory_rule *row);
/* The row of that id is gone, if there was one. */
void snapshot_drop(struct snapshot_builder *builder, enum snapshot_table table, uint32_t id);
const struct snapshot *snapshot_finish(struct snapshot_builder **builder, uint64_t version);
/* Instead of snapshot_finish(): nothing comes of it. */
void snapshot_abandon(struct snapshot_builder **builder);
/* Clears *snapshot. No reader may have it any more. */
void snapshot_free(const struct snapshot **snapshot);

/* So much changed since one was made from nothing that the next should be. */
bool snapshot_is_worn(const struct snapshot *snapshot);
