#include "produce/produce.h"

#include "common/io.h"
#include "common/signals.h"
#include "produce/source.h"

#include <poll.h>
#include <stdlib.h>

static void totals(const job *j, uint64_t *records, uint64_t *bytes)
{
    *records = *bytes = 0;
    for (unsigned i = 0; i < j->who.n_streams; i++) {
        mpp_totals t;
        mpp_producer_totals(j->who.producer, j->lines[i].stream, &t);
        *records += t.records;
        *bytes += t.bytes;
    }
}

/* Sleep until one of the lines, a consumer, or a signal has something for us. */
static void wait_for_something(job *j)
{
    struct pollfd *set = calloc(j->who.n_streams + 1, sizeof *set);
    if (!set)
        return;
    unsigned n = 0;
    mpp_activity activity = MPP_COMPUTING;
    int64_t deadline = progress_next(&j->who.progress);
    for (unsigned i = 0; i < j->who.n_streams; i++) {
        line *l = &j->lines[i];
        if (l->need == NEED_INPUT || l->need == NEED_READER) {
            const int fd = l->need == NEED_INPUT ? l->piece->io.fd : input_fd(l->in);
            set[n] = (struct pollfd){.fd = fd, .events = POLLIN};
            participant_put_first(set, n++, activity != MPP_READING_INPUT);
            activity = MPP_READING_INPUT;
        } else if (l->need == NEED_COMMAND) {
            activity = activity == MPP_COMPUTING ? MPP_WAITING_COMMAND : activity;
        }
        if (l->piece && l->piece->command)
            deadline = io_earlier(deadline, command_deadline(l->piece->command));
    }
    set[n++] = (struct pollfd){.fd = signals_fd(), .events = POLLIN};
    mpp_wait(j->who.producer, NULL, activity, set, n, deadline);
    free(set);
}

static bool busy(const job *j)
{
    for (unsigned i = 0; i < j->who.n_streams; i++)
        if (j->lines[i].state == LINE_STOPPING)
            return true;
    return false;
}

static void draw_progress(job *j)
{
    uint64_t records, bytes;
    totals(j, &records, &bytes);
    progress_update(&j->who.progress, records, bytes);
}

void produce(job *j)
{
    participant *w = &j->who;
    participant_barrier(w);
    while (!w->failed) {
        const int sig = participant_signal(w);
        if (sig) {
            signals_forward(sig);
            participant_interrupt(w, sig);
            return;
        }
        mpp_outcome outcome = mpp_service(w->producer);
        if (outcome == MPP_GONE) {
            participant_take_cause(w);
            return;
        }
        bool moved = false;
        for (unsigned i = 0; i < w->n_streams && !w->failed; i++)
            moved |= source_step(j, &j->lines[i]);
        if (outcome == MPP_CLOSED && !moved && !busy(j))
            return;
        draw_progress(j);
        if (!moved && !w->failed)
            wait_for_something(j);
    }
}
