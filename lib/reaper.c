/* reaper.c - removing meshes: one by name, or all that nobody can use any more */
#include "mesh.h"

#include "atomics.h"
#include "error.h"

#include <stdlib.h>
#include <string.h>

/* A segment that is not a valid mesh, but is ours and carries a mesh's name: half made, or corrupt. */
static bool unlink_segment(const char *id)
{
    segment *s;
    if (segment_open(id, &s, NULL) < 0)
        return false;
    bool removed = segment_unlink(s, id, NULL, NULL);
    segment_close(&s);
    return removed;
}

int mpp_mesh_remove(const char *id, mpp_error *err)
{
    mpp_mesh *m;
    mpp_error why;
    if (mpp_mesh_open(id, &m, &why) < 0) {
        if (why.status == MPP_S_NO_MESH || (why.status == MPP_S_CORRUPT && unlink_segment(id)))
            return 0;
        return error_set(err, why.status, 0, "%s", why.text);
    }
    uint32_t none = 0;
    cas(&m->header->cause, &none, LAYOUT_REMOVED); /* [F1] nothing to be read behind it */
    mesh_ring_all(m);
    mesh_unlink(m);
    mpp_mesh_close(&m);
    return 0;
}

/* Why --gc may remove it: the snapshot's word for a mesh, "half made" for what never became one. */
static const char *garbage(const char *id, mpp_snapshot **s)
{
    mpp_error why;
    if (mpp_snapshot_take(id, s, &why) == 0)
        return (*s)->garbage;
    segment *file;
    if (why.status != MPP_S_CORRUPT || segment_open(id, &file, NULL) < 0)
        return NULL;
    uint64_t magic = 0;
    ssize_t n = segment_peek(file, &magic, sizeof magic);
    segment_close(&file);
    return n >= 0 && (n < (ssize_t)sizeof magic || magic == 0) ? "half made" : NULL;
}

static bool collect(const char *id, void (*each)(void *arg, const char *id, const char *why), void *arg)
{
    mpp_snapshot *s = NULL;
    const char *why = garbage(id, &s);
    bool removed = false;
    if (why && s)
        removed = mesh_deserted(s->mesh) && mesh_unlink(s->mesh);
    else if (why)
        removed = unlink_segment(id);
    if (removed && each)
        each(arg, id, why);
    mpp_snapshot_free(&s);
    return removed;
}

int mpp_mesh_gc(void (*each)(void *arg, const char *id, const char *why), void *arg, mpp_error *err)
{
    char **ids;
    int n = mpp_mesh_list(&ids), removed = 0;
    if (n < 0)
        return error_set(err, MPP_S_ERROR, 0, "cannot list " SEGMENT_DIRECTORY);
    for (int i = 0; i < n; i++) {
        removed += collect(ids[i], each, arg);
        free(ids[i]);
    }
    free(ids);
    return removed;
}
