/* service.h - mpp_service(): what consumers ask for */
#ifndef PRODUCER_SERVICE_H
#define PRODUCER_SERVICE_H

#include "mpp.h"

/* Messages ever sent to us, over all lanes. */
uint32_t producer_mail(const mpp_producer *p);

#endif
