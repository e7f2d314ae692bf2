/*
 * annotation_list.h - the file of a mailbox's annotations: "LEN NAME", a line feed, LEN bytes of
 * value and a line feed for each, by name. Pure. Private to this folder.
 */
#pragma once

#include "inbound/mailbox/annotation.h"

enum { ANNOTATIONS_FILE_MAX = ANNOTATIONS_SIZE_MAX + ANNOTATIONS_MAX * 16 };

/* Of list->text; nothing else of the list was set. False: it is no such file. */
must_use bool annotation_list_parse(struct annotation_list *list);
/* It has what the change points to from then on. 0, -EFBIG or -EMFILE. */
must_use int annotation_list_change(struct annotation_list *list, const struct annotation *change);
/* -EMFILE: it is too large in all. */
must_use int annotation_list_format(const struct annotation_list *list, struct buf *out);
