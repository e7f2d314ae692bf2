/* webhook_batch.c - batches that were told, or are to be taken anew. */
#include "webhook/webhook_private.h"

void webhook_batch_clear(struct webhook_batch *batch)
{
    buf_clear(&batch->body);
    batch->count = 0;
    batch->is_full = false;
}

void webhook_forget(struct webhook *webhook)
{
    webhook_batch_clear(&webhook->filling);
    webhook_batch_clear(&webhook->sending);
}
