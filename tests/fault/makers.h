/* makers.h - one that makes a mesh, or removes it, is to be killed: what it finds, what it does, and what is
 * promised then */
#ifndef MAKERS_H
#define MAKERS_H

#include "bell.h"
#include "lives.h"
#include "mpp-look.h"

#define STEPPED "stepped"

static void make_stepped(pid_t pid)
{
    static const mpp_stream_options streams[] = {
        {.name = "a", .format = {.delimiter = '\n'}, .key = "2,1", .separator = '\t'},
        {.name = "b", .format = {.delimiter = '\n'}, .key = "1", .separator = '\t', .partition = "range"}};
    mpp_mesh *m = NULL;
    mpp_error err;
    const mpp_mesh_options o = {.producers = 1,
                                .consumers = 1,
                                .streams = streams,
                                .n_streams = 1,
                                .ring_size = 64 << 10,
                                .name = STEPPED,
                                .pid = pid};
    if (mpp_mesh_create(&o, &m, &err) < 0)
        bail_out("cannot make it: %s", err.text);
    mpp_mesh_close(&m);
}

static void nothing_is_there(world *w)
{
    *w = (world){0};
}

static void create(victim *v)
{
    (void)v;
    make_stepped(0);
}

static void create_tied(victim *v)
{
    (void)v;
    make_stepped(getpid());
}

/* A finished mesh that was to be kept, with sockets of a dead participant, and a directory whose mesh is gone. */
static void remains_are_there(world *w)
{
    char path[LAYOUT_SOCKET_PATH_MAX];
    *w = (world){0};
    mpp_mesh *m = harness_mesh(
        &(mpp_mesh_options){.producers = 1, .consumers = 1, .ring_size = 64 << 10, .name = STEPPED, .keep = true});
    harness_come_and_go(m);
    for (unsigned i = 0; i < 2; i++) {
        if (i == 1)
            snprintf(m->socket_dir, sizeof m->socket_dir, "%s/mpp_0123456789ab", harness.directory);
        snprintf(path, sizeof path, "%.90s/p0.sock", m->socket_dir);
        mkdir(m->socket_dir, 0700);
        close(bell_bound(path));
    }
    mpp_mesh_close(&m);
}

static void remove_remains(victim *v)
{
    (void)v;
    mpp_mesh_remove(STEPPED, NULL);
}

static void collect(victim *v)
{
    (void)v;
    mpp_mesh_gc(NULL, NULL, NULL);
}

static void remove_mesh(victim *v)
{
    char id[MPP_NAME_MAX + 1];
    snprintf(id, sizeof id, "%s", mpp_mesh_id(v->mesh));
    mpp_mesh_close(&v->mesh);
    mpp_mesh_remove(id, NULL);
}

/* There is no such mesh, or all of it is there. */
static void judge_created(world *w)
{
    mpp_error err;
    mpp_mesh *m;
    if (harness_try_open(STEPPED, &err) == MPP_S_NO_MESH)
        make_stepped(0);
    if (mpp_mesh_open(STEPPED, &m, &err) < 0) {
        world_wrong(w, "a mesh is there that is none");
        return;
    }
    harness_come_and_go(m);
    mpp_mesh_close(&m);
}

static void judge_collected(world *w)
{
    if (mpp_mesh_gc(NULL, NULL, NULL) < 0)
        world_wrong(w, "what is left cannot be collected");
}

/* What one began, the next one ends. */
static void judge_remains(world *w)
{
    mpp_error err;
    if (mpp_mesh_remove(STEPPED, &err) < 0 || harness_try_open(STEPPED, &err) != MPP_S_NO_MESH)
        world_wrong(w, "what is left cannot be removed");
    judge_collected(w);
}

static void judge_removed(world *w)
{
    mpp_error err;
    const char *id = mpp_mesh_id(w->rig.mesh);
    mpp_mesh_remove(id, NULL);
    world_wake(w, true);
    world_settle(w);
    if (w->said[0] != MPP_GONE || !mpp_mesh_cause(w->rig.mesh, &err) || err.status != MPP_S_NO_MESH)
        world_wrong(w, "the cause is not the removal");
}

#endif
