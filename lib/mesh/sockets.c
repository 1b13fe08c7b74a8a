#include "mesh/sockets.h"

#include "base/atomics.h"
#include "base/error.h"
#include "mesh/mesh.h"
#include "ring/doorbell.h"
#include "shm/layout.h"
#include "shm/lock.h"
#include "shm/segment.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int mesh_temporary_directory(unsigned at, char base[PATH_MAX])
{
    struct stat st;
    const char *name = at == MESH_TMP ? "/tmp" : getenv(at == MESH_TMPDIR ? "TMPDIR" : "XDG_RUNTIME_DIR");
    if (!name || !*name)
        return 1;
    if (!realpath(name, base) || stat(base, &st) < 0)
        return -1;
    errno = ENOTDIR;
    return S_ISDIR(st.st_mode) && access(base, W_OK | X_OK) == 0 ? 0 : -1;
}

int mesh_directory_make(mpp_mesh *m)
{
    struct stat st;
    /* Whatever the umask is, it is ours alone, and ours. */
    if (mkdir(m->socket_dir, 0700) < 0)
        return -1;
    if (chmod(m->socket_dir, 0700) < 0 || lstat(m->socket_dir, &st) < 0) {
        const int saved = errno;
        rmdir(m->socket_dir);
        errno = saved;
        return -1;
    }
    store_relaxed(&m->header->directory_device, (uint64_t)st.st_dev);
    store_release(&m->header->directory_inode, (uint64_t)st.st_ino); /* [G1] pairs with [G2] */
    return 0;
}

static bool is_recorded(const mpp_mesh *m, const struct stat *st)
{
    return load_acquire(&m->header->directory_inode) == (uint64_t)st->st_ino && /* [G2] pairs with [G1] */
           load_relaxed(&m->header->directory_device) == (uint64_t)st->st_dev;
}

int mesh_directory_check(mpp_mesh *m, mpp_error *err)
{
    struct stat st;
    if (!m->other_mounts && !segment_nameless(m->segment))
        mesh_directory_make(m); /* if it is gone, and the mesh is not */
    if (lstat(m->socket_dir, &st) < 0 || (m->other_mounts && !is_recorded(m, &st)))
        return 0;
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return error_set(err, MPP_S_CORRUPT, 0, "the directory for sockets '%s' is not ours alone", m->socket_dir);
    return 1;
}

void mesh_directory_tidy(const mpp_mesh *m, bool ours)
{
    if (ours || segment_nameless(m->segment))
        rmdir(m->socket_dir); /* unless others still have a socket there */
}

bool mesh_socket_path(const mpp_mesh *m, unsigned number, char path[LAYOUT_SOCKET_PATH_MAX])
{
    const layout_place place = layout_place_of(&m->l, number);
    return doorbell_path(path, m->socket_dir, place.role, place.index, place.lane, m->l.lanes);
}

static void sockets_remove(void *arg)
{
    const mpp_mesh *m = arg;
    char path[LAYOUT_SOCKET_PATH_MAX];
    for (unsigned i = 0; i < m->l.slots; i++)
        if (mesh_socket_path(m, i, path))
            unlink(path);
    rmdir(m->socket_dir);
}

void mesh_sockets_tidy(mpp_mesh *m)
{
    if (segment_nameless(m->segment))
        sockets_remove(m);
}

bool mesh_unlink(mpp_mesh *m)
{
    if (!segment_unlink(m->segment, m->id, sockets_remove, m))
        return false;
    const int saved = errno;
    rmdir(m->socket_dir); /* who attached meanwhile had a socket there, and may have left before the name went */
    errno = saved;
    return true;
}
