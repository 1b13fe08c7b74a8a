/* gc.c - removing what nobody can use any more */
#include "base/error.h"
#include "look/remove.h"
#include "mesh/leftover.h"
#include "mesh/mesh.h"
#include "mesh/open.h"
#include "mesh/over.h"
#include "mesh/sockets.h"
#include "mpp-look.h"
#include "shm/segment.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Why --gc may remove it: the snapshot's word for a mesh, "half made" for what never became one.  NULL: it may not, or
 * *err, which is only filled in then, says why it could not be looked at. */
static const char *garbage(const char *id, mpp_snapshot **s, mpp_error *err)
{
    if (mpp_snapshot_take(id, s, err) == 0)
        return (*s)->garbage;
    segment *file;
    if (err->status != MPP_S_CORRUPT || segment_open_to_read(id, &file, err) < 0)
        return NULL;
    uint64_t magic = 0;
    ssize_t n = segment_read(file, 0, &magic, sizeof magic);
    segment_close(&file);
    return n >= 0 && (n < (ssize_t)sizeof magic || magic == 0) ? "half made" : NULL;
}

/* The mesh that the snapshot shows, and not another one that took its name since. */
static bool remove_shown(const mpp_snapshot *s, mpp_error *err)
{
    mpp_mesh *m;
    if (mpp_mesh_open(s->id, &m, err) < 0)
        return false;
    bool doomed = m->segment == s->mesh->segment && mesh_find_deserted(m), removed = doomed && mesh_unlink(m);
    if (doomed && !removed)
        remove_failed(s->id, err);
    mpp_mesh_close(&m);
    return removed;
}

/* What could not be done for want of something is told; that somebody else was quicker, or that it is none, is not. */
static void first_failure(mpp_error *first, const mpp_error *why)
{
    if (why->status == MPP_S_ERROR && first->status == MPP_S_DONE)
        *first = *why;
}

static bool collect(const char *id, void (*each)(void *arg, const char *id, const char *why), void *arg,
                    mpp_error *failure)
{
    mpp_snapshot *s = NULL;
    mpp_error err = {.status = MPP_S_DONE};
    const char *why = garbage(id, &s, &err);
    bool removed = false;
    if (why && s)
        removed = remove_shown(s, &err);
    else if (why)
        removed = remove_segment(id, &err);
    if (removed && each)
        each(arg, id, why);
    mpp_snapshot_free(&s);
    first_failure(failure, &err);
    return removed;
}

/* ---- directories for sockets whose segment is gone --------------------------------------------------- */

/* Does a mesh put its sockets there?  Also when that cannot be known. */
static bool directory_used(const char *base, const char *name, char *const *ids, int n, mpp_error *failure)
{
    for (int i = 0; i < n; i++) {
        mpp_mesh *m;
        mpp_error why;
        size_t at = strlen(base);
        if (mesh_open_copy(ids[i], &m, &why) < 0) {
            if (why.status == MPP_S_NO_MESH)
                continue;
            first_failure(failure, &why);
            return true;
        }
        bool here = strncmp(m->socket_dir, base, at) == 0 && m->socket_dir[at] == '/' &&
                    strcmp(m->socket_dir + at + 1, name) == 0;
        mpp_mesh_close(&m);
        if (here)
            return true;
    }
    return false;
}

static int list(char ***ids, mpp_error *failure)
{
    mpp_error err;
    const int n = mpp_mesh_list(ids);
    if (n < 0) {
        error_set(&err, MPP_S_ERROR, errno, "cannot list " SEGMENT_DIRECTORY);
        first_failure(failure, &err);
    }
    return n;
}

/* A segment is there before its directory and goes after it.  So a directory that is listed, and whose segment is not
 * listed afterwards, has lost it (it was truncated, or removed by hand). */
static void collect_directories(unsigned at, mpp_error *failure)
{
    char base[PATH_MAX], **ids;
    DIR *d = mesh_temporary_directory(at, base) == 0 ? opendir(base) : NULL;
    if (!d)
        return;
    /* cppcheck-suppress readdirCalled ; a stream of our own */
    for (struct dirent *entry; (entry = readdir(d));) {
        if (!mesh_directory_named(entry->d_name))
            continue;
        int n = list(&ids, failure);
        if (n >= 0 && !directory_used(base, entry->d_name, ids, n, failure))
            mesh_directory_remove(dirfd(d), base, entry->d_name);
        while (n > 0)
            free(ids[--n]);
        free(ids);
    }
    closedir(d);
}

int mpp_mesh_gc(void (*each)(void *arg, const char *id, const char *why), void *arg, mpp_error *err)
{
    char **ids;
    mpp_error failure = {.status = MPP_S_DONE};
    int n = list(&ids, &failure), removed = 0;
    for (int i = 0; i < n; i++) {
        removed += collect(ids[i], each, arg, &failure);
        free(ids[i]);
    }
    free(ids);
    for (unsigned at = 0; n >= 0 && at < MESH_DIRECTORIES; at++)
        collect_directories(at, &failure);
    return failure.status == MPP_S_DONE ? removed : error_pass(err, &failure);
}

void mpp_mesh_free_tied(void)
{
    char **ids;
    mpp_error failure = {.status = MPP_S_DONE};
    const int n = list(&ids, &failure);
    for (int i = 0; i < n; i++) {
        if (mesh_tied_gone(ids[i]))
            collect(ids[i], NULL, NULL, &failure);
        free(ids[i]);
    }
    free(ids);
}
