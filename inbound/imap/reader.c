/* reader.c - reads ahead. */
#include "inbound/imap/reader.h"

void reader_begin(struct reader *reader, struct mailbox *mailbox)
{
    reader->mailbox = mailbox;
    reader->reads = 0;
    reader->at = reader->count = 0;
    reader->ahead = 1;
}

static void read_from(struct reader *reader, uint32_t uid)
{
    uint32_t next;

    reader->count = mailbox_read(reader->mailbox, uid, 0, reader->messages, reader->ahead, &next);
    reader->at = 0;
    reader->reads++;
}

const struct mailbox_message *reader_find(struct reader *reader, uint32_t uid)
{
    size_t before = reader->at;

    while (reader->at < reader->count && reader->messages[reader->at].uid < uid)
        reader->at++;
    if (reader->at == reader->count) {
        /* Was what was read ahead asked for? */
        bool is_next = reader->at - before <= 1;

        reader->ahead = is_next ? MIN(reader->ahead * 4, (size_t)READER_MAX) : 1;
        read_from(reader, uid);
    }
    const struct mailbox_message *message = &reader->messages[reader->at];

    return reader->at < reader->count && message->uid == uid ? message : NULL;
}

const struct mailbox_message *reader_find_run(struct reader *reader, uint32_t uid,
                                              size_t *count_out)
{
    const struct mailbox_message *message = reader_find(reader, uid);

    *count_out = message != NULL ? reader->count - reader->at : 0;
    return message;
}
