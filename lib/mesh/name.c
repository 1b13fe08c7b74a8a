#include "mesh/name.h"

#include "base/error.h"
#include "base/names.h"
#include "mesh/membership.h"
#include "mesh/mesh.h"
#include "mesh/open.h"
#include "mesh/over.h"
#include "shm/layout.h"
#include "shm/segment.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Who is there, and whether others are. */
static void inhabitants(const mpp_mesh *m, char text[96])
{
    layout_place first = {.role = 0};
    bool others = false;
    text[0] = 0;
    for (unsigned i = 0; i < m->l.slots; i++) {
        pid_t holder;
        if (membership_state(m, i, &holder) != LAYOUT_LIVE)
            continue;
        const layout_place place = layout_place_of(&m->l, i);
        others |= first.role && (place.role != first.role || place.index != first.index);
        if (!first.role) {
            first = place;
            snprintf(text, 96, "%s %u (pid %d)", names_role(place.role), place.index, holder > 0 ? (int)holder : 0);
        }
    }
    if (others)
        strcat(text, " and others");
}

/* A mesh has the name: can anybody use it still? */
static int taken_by_mesh(const char *id, const mpp_mesh *m, mpp_error *err)
{
    char who[96];
    const char *garbage = mesh_garbage(m);
    inhabitants(m, who);
    if (who[0])
        return error_set(err, MPP_S_ERROR, 0,
                         "there is a mesh '%s' already, in use by %s; take another --name, or end that one with "
                         "mpp-create --remove",
                         id, who);
    if (garbage)
        return error_set(
            err, MPP_S_ERROR, 0,
            "there is a mesh '%s' already, which nobody can use any more (%s); mpp-create --gc or --remove "
            "removes it",
            id, garbage);
    return error_set(err, MPP_S_ERROR, 0,
                     "there is a mesh '%s' already, in which nobody is at present; remove it with mpp-create --remove, "
                     "or take another --name",
                     id);
}

/* Something has the name: what, and what can be done about it?  It is looked at, and left as it is. */
static int name_taken(const char *id, const char *path, mpp_error *err)
{
    struct stat st = {0};
    mpp_mesh *m;
    mpp_error why;
    if (lstat(path, &st) == 0 && st.st_uid != geteuid())
        return error_set(err, MPP_S_ERROR, 0,
                         "there is a mesh '%s' already, of another user (uid %u); take another --name", id, st.st_uid);
    if (mesh_open_copy(id, &m, &why) == 0) {
        taken_by_mesh(id, m, err);
        mpp_mesh_close(&m);
        return -1;
    }
    if (why.status == MPP_S_NO_MESH)
        return error_set(err, MPP_S_ERROR, 0, "there was a mesh '%s' until just now; try again", id);
    if (why.status == MPP_S_CORRUPT && S_ISREG(st.st_mode))
        return error_set(err, MPP_S_ERROR, 0,
                         "the name '%s' is taken by what is no mesh that works (%s); remove it with mpp-create "
                         "--remove, or take another --name",
                         id, why.text);
    return error_set(err, MPP_S_ERROR, 0, "the name '%s' is taken, by %s (%s); take another --name", id, path,
                     why.text);
}

int mesh_publish(segment *s, const char *id, mpp_error *err)
{
    char path[SEGMENT_PATH_MAX];
    if (!segment_path(id, path))
        return error_set(err, MPP_S_USAGE, 0,
                         "'%s' cannot be a mesh's name: letters, digits, '.', '_' and '-', at most %d", id,
                         MPP_NAME_MAX);
    if (segment_publish(s, id) == 0)
        return 0;
    if (errno == EEXIST)
        return name_taken(id, path, err);
    return error_set(err, MPP_S_ERROR, errno, "cannot name the mesh '%s'%s", id,
                     errno == ENOENT ? " (that needs /proc, which is not mounted here)" : "");
}
