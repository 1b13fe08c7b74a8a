#include "endpoint/barrier.h"

#include "base/atomics.h"
#include "endpoint/endpoint.h"
#include "mesh/mesh.h"
#include "shm/layout.h"

void endpoint_barrier_over(endpoint *e)
{
    if (e->barrier)
        add_release(&e->mesh->header->barrier, UINT32_MAX); /* one less */
    e->barrier = false;
}

bool endpoint_await_all(endpoint *e)
{
    if (!e->barrier) {
        e->barrier = true;
        add_release(&e->mesh->header->barrier, 1); /* [B1] */
        full_fence(); /* either we see who comes, or who comes sees us wait: pairs with the one in endpoint_attach() */
    }
    /* Who has not come to a mesh that is closed need not come, and may never: nothing is wanted of anybody [K2]. */
    const bool closed = load_acquire(&e->mesh->header->closed);
    for (unsigned i = 0; !closed && i < e->mesh->l.slots; i++)
        if (load_acquire(&mesh_slot(e->mesh, i)->state) == LAYOUT_FREE) /* [L2]; also who may die before it is LIVE */
            return false;
    endpoint_barrier_over(e);
    return true;
}
