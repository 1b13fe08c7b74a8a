/* door.h - processes that attach to a mesh, and how they and the test speak with each other
 *
 *     door d = door_open(m, 'p', 0);       for a child that is to be producer 0
 *     harness_fork(f, &d);                 f(&d) opens the mesh, attaches, and says how far it is
 *     hear(&d);                            waits for that word
 *     close(d.in[1]);                      lets all children go that stay(&d) */
#ifndef DOOR_H
#define DOOR_H

#include "harness.h"
#include "mpp-look.h"

static inline mpp_mesh *mesh_of(unsigned producers, unsigned consumers)
{
    return harness_mesh(&(mpp_mesh_options){.producers = producers, .consumers = consumers, .ring_size = 64 << 10});
}

/* Remove what a death left behind. */
static inline void mesh_end(mpp_mesh **m)
{
    mpp_mesh_remove(mpp_mesh_id(*m), NULL);
    mpp_mesh_close(m);
}

static inline mpp_status claim_status(mpp_mesh *m, char role, int index, mpp_error *err)
{
    mpp_producer *p = NULL;
    mpp_consumer *c = NULL;
    mpp_attach_options o = {.index = index, .runs = 1};
    *err = (mpp_error){.status = MPP_S_DONE};
    int claimed = role == 'p' ? mpp_producer_attach(m, &o, &p, err) : mpp_consumer_attach(m, &o, &c, err);
    mpp_producer_detach(&p);
    mpp_consumer_detach(&c);
    return claimed == 0 ? MPP_S_DONE : err->status;
}

typedef struct door {
    char id[MPP_NAME_MAX + 1];
    char role;
    int index, state;
    int out[2]; /* a child's word to us */
    int in[2];  /* ends when the children may go */
} door;

static inline door door_open(const mpp_mesh *m, char role, int index)
{
    door d = {.role = role, .index = index};
    snprintf(d.id, sizeof d.id, "%s", mpp_mesh_id(m));
    if (pipe2(d.out, O_CLOEXEC) < 0 || pipe2(d.in, O_CLOEXEC) < 0)
        bail_out("pipe: %s", strerror(errno));
    return d;
}

static inline void door_close(door *d)
{
    close(d->out[0]);
    close(d->out[1]);
    close(d->in[0]);
    close(d->in[1]);
}

static inline void say(const door *d, unsigned char word)
{
    if (write(d->out[1], &word, 1) != 1)
        _exit(99);
}

/* What a child says, or -1. */
static inline int hear(const door *d)
{
    unsigned char word;
    return read(d->out[0], &word, 1) == 1 ? word : -1;
}

/* In a child: until the parent lets go. */
static inline void stay(const door *d)
{
    char word;
    close(d->in[1]);
    if (read(d->in[0], &word, 1) < 0)
        _exit(98);
}

#endif
