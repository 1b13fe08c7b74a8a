/* barrier.h - waiting for every participant of the mesh */
#ifndef ENDPOINT_BARRIER_H
#define ENDPOINT_BARRIER_H

#include "endpoint/endpoint.h"

/* Wait for everybody, from here on: is every participant there, or has it been, or is the mesh closed?  If not, we are
 * rung when that changes. */
bool endpoint_await_all(endpoint *e);
/* We wait for everybody no more. */
void endpoint_barrier_over(endpoint *e);

#endif
