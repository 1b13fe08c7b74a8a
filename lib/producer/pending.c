#include "producer/pending.h"

#include "producer/producer.h"

void operations_pop(mpp_producer *p, producer_stream *s, mpp_outcome outcome)
{
    mpp_operation *op = s->pending;
    s->pending = op->next;
    op->next = NULL;
    op->outcome = outcome;
    p->news = true;
}

void operations_close(mpp_producer *p, producer_stream *s, mpp_outcome outcome)
{
    while (s->pending)
        operations_pop(p, s, outcome);
}
