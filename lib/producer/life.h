/* life.h - how the runs of a stream begin and end */
#ifndef PRODUCER_LIFE_H
#define PRODUCER_LIFE_H

#include "producer/producer.h"

/* The stream's next run begins. */
void producer_begin(mpp_producer *p, producer_stream *s);
/* MPP_OK: a record may be produced now; MPP_CLOSED; MPP_GONE.  A stream that nobody needs to ask for begins here at
 * the latest: before its input is read, which a run begins without. */
mpp_outcome producer_ensure_run(mpp_producer *p, producer_stream *s);
/* The run ends: LAYOUT_ENDED or LAYOUT_FAILED. */
void producer_end_run(mpp_producer *p, producer_stream *s, unsigned state);
/* What was read for a run that is over belongs to none. */
void producer_forget_input(producer_stream *s);
/* Nobody can ask any more: every stream that was not begun ends as unasked. */
void producer_unasked(mpp_producer *p);

#endif
