/* webhook_batch.c - batches that are to be taken anew. */
#include "webhook/webhook_private.h"

void webhook_forget(struct webhook *webhook)
{
    webhook_batch_clear(webhook, &webhook->filling);
    webhook_batch_clear(webhook, &webhook->sending);
    webhook->again = 0;
}

/* So nobody who fails for a day holds memory meanwhile. */
void webhook_take_back(struct webhook *webhook)
{
    unsigned again = webhook->sending.count > 0 ? webhook->sending.count : webhook->again;

    webhook_forget(webhook);
    webhook->again = again;
    sink_take_back(webhook->sink);
}
