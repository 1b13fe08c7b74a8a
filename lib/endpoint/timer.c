#include "endpoint/timer.h"

#include "endpoint/endpoint.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

int endpoint_watch_descriptor(const endpoint *e, int fd, uint64_t what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = what};
    return epoll_ctl(e->events, EPOLL_CTL_ADD, fd, &event);
}

bool endpoint_timer_set(endpoint *e, long ms)
{
    struct itimerspec t = {0};
    if (e->timer < 0) {
        e->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        if (e->timer >= 0 && endpoint_watch_descriptor(e, e->timer, OF_TIMER) < 0) {
            close(e->timer);
            e->timer = -1;
        }
    }
    if (e->timer < 0)
        return false;
    if (timerfd_gettime(e->timer, &t) == 0 && (t.it_value.tv_sec || t.it_value.tv_nsec) && t.it_value.tv_sec == 0 &&
        t.it_value.tv_nsec <= ms * 1000000)
        return true;
    t.it_value = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    return timerfd_settime(e->timer, 0, &t, NULL) == 0;
}

bool endpoint_timer_due(const endpoint *e)
{
    uint64_t times;
    ssize_t n;
    while ((n = read(e->timer, &times, sizeof times)) < 0 && errno == EINTR)
        ;
    return n > 0;
}

void endpoint_owes(endpoint *e)
{
    e->owed_since_ns = mpp_now();
    endpoint_timer_set(e, OWED_MS);
}
