#include "endpoint/endpoint.h"

#include "mesh/mesh.h"
#include "shm/layout.h"

static char other(char role)
{
    return role == 'p' ? 'c' : 'p';
}

unsigned endpoint_lane_position(const endpoint *e, unsigned stream)
{
    unsigned at = 0;
    while (at < e->n_lanes && e->lanes[at] != layout_lane_of(&e->mesh->l, stream))
        at++;
    return at;
}

unsigned endpoint_slot_number(const endpoint *e, unsigned lane_position)
{
    return layout_slot_number(&e->mesh->l, e->lanes[lane_position], e->role, e->index);
}

unsigned endpoint_peer_number(const endpoint *e, unsigned lane, unsigned peer)
{
    return layout_slot_number(&e->mesh->l, lane, other(e->role), peer);
}

layout_slot *endpoint_slot(const endpoint *e, unsigned lane_position)
{
    return mesh_slot(e->mesh, endpoint_slot_number(e, lane_position));
}

layout_slot *endpoint_peer(const endpoint *e, unsigned lane, unsigned peer)
{
    return mesh_slot(e->mesh, endpoint_peer_number(e, lane, peer));
}
