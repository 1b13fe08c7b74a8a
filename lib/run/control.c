#include "run/control.h"

#include "base/atomics.h"
#include "shm/layout.h"

#include <string.h>

bool control_send(const layout *l, layout_channel *c, uint32_t type, uint32_t stream_id, uint32_t run)
{
    uint64_t sent = load_relaxed(&c->sent);
    uint64_t taken = load_acquire(&c->taken); /* [C6] pairs with [C5]: the place is free when the taker has copied it */
    if (sent - taken >= l->controls)
        return false;
    layout_controls_of(c)[sent % l->controls] = (layout_control){type, stream_id, run, 0};
    store_release(&c->sent, sent + 1); /* [C1] pairs with [C2]: the message before its number */
    return true;
}

int control_take(const layout *l, layout_channel *c, layout_control *m)
{
    uint64_t taken = load_relaxed(&c->taken);
    uint64_t sent = load_acquire(&c->sent); /* [C2] pairs with [C1] */
    if (sent == taken)
        return 0;
    if (sent - taken > l->controls)
        return -1;
    memcpy(m, &layout_controls_of(c)[taken % l->controls], sizeof *m);
    store_release(&c->taken, taken + 1); /* [C5] pairs with [C6] */
    return 1;
}
