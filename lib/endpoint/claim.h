/* claim.h - which slots are ours: the locks, and who may have a place */
#ifndef ENDPOINT_CLAIM_H
#define ENDPOINT_CLAIM_H

#include "endpoint/endpoint.h"

/* Can that index be?  0, or -1 with *err. */
int endpoint_check_index(const endpoint *e, int wanted, mpp_error *err);
/* Take the locks of its slots: of the index that is wanted, or of the first that is free.  0, or -1 with *err. */
int endpoint_claim(endpoint *e, int wanted, mpp_error *err);
/* Give up the locks of the first n of our lanes. */
void endpoint_unlock_slots(endpoint *e, unsigned n);

#endif
