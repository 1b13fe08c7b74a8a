/* remove.c - removing a mesh by its name */
#include "look/remove.h"

#include "base/atomics.h"
#include "base/error.h"
#include "mesh/bells.h"
#include "mesh/mesh.h"
#include "mesh/sockets.h"
#include "mpp-look.h"
#include "ring/doorbell.h"
#include "shm/layout.h"
#include "shm/lock.h"
#include "shm/segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* It was not us who removed it.  0: but another, or nobody could; -1 with *err. */
int remove_failed(const char *id, mpp_error *err)
{
    return errno == EBUSY || errno == ENOENT ? 0 : error_set(err, MPP_S_ERROR, errno, "cannot remove mesh '%s'", id);
}

/* A segment that is not a valid mesh, but is ours and carries a mesh's name: half made, or corrupt. */
bool remove_segment(const char *id, mpp_error *err)
{
    segment *s;
    if (segment_open(id, &s, err) < 0)
        return false;
    bool removed = segment_unlink(s, id, NULL, NULL);
    if (!removed)
        remove_failed(id, err);
    segment_close(&s);
    return removed;
}

/* It is removed, and somebody sleeps in it whom no bell of ours reaches. */
static int not_told(const mpp_mesh *m, const mesh_debts *owed, mpp_error *err)
{
    char who[96];
    unsigned number = 0;
    while (!(owed->bits[number / 64] >> number % 64 & 1))
        number++;
    mesh_who(m, number, who, sizeof who);
    return error_set(
        err, MPP_S_ERROR, 0,
        "mesh '%s' is removed, but %s cannot be woken to learn it (its socket in '%s' cannot be reached, nor "
        "its process through /proc): send it SIGTERM",
        m->id, who, m->socket_dir);
}

static int remove_open(mpp_mesh *m, mpp_error *err)
{
    /* First what is needed to wake those who sleep in it: they could not be told afterwards. */
    mesh_debts owed = {.bits = calloc(MESH_DEBTS_WORDS(m->l.slots), sizeof *owed.bits)};
    const int bell = doorbell_socket();
    int result = -1;
    if (bell < 0 || !owed.bits) {
        error_set(err, MPP_S_ERROR, bell < 0 ? errno : ENOMEM, "cannot remove mesh '%s'", m->id);
    } else {
        uint32_t none = 0;
        cas(&m->header->cause, &none, LAYOUT_REMOVED); /* [F1] nothing to be read behind it */
        mesh_ring_all(m, bell, &owed);
        result = mesh_unlink(m) ? 0 : remove_failed(m->id, err);
        if (result == 0 && owed.n)
            result = not_told(m, &owed, err);
    }
    if (bell >= 0)
        close(bell);
    free(owed.bits);
    return result;
}

/* like: only if it is the same as that one; NULL: whichever has the name. */
static int remove_named(const char *id, const mpp_mesh *like, mpp_error *err)
{
    mpp_mesh *m;
    mpp_error why;
    if (mpp_mesh_open(id, &m, &why) < 0) {
        if (why.status == MPP_S_NO_MESH ||
            (!like && why.status == MPP_S_CORRUPT && !why.os_error && remove_segment(id, &why)))
            return 0;
        return error_pass(err, &why);
    }
    const bool other = like && memcmp(m->uuid, like->uuid, sizeof m->uuid) != 0;
    const int result = other ? 0 : remove_open(m, err);
    mpp_mesh_close(&m);
    return result;
}

int mpp_mesh_remove(const char *id, mpp_error *err)
{
    return remove_named(id, NULL, err);
}

int mpp_mesh_discard(const mpp_mesh *m, mpp_error *err)
{
    return remove_named(m->id, m, err);
}
