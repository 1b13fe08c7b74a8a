#include "why/world.h"

#include "common/cli.h"
#include "mpp-look.h"

#include <stdlib.h>

struct why_world {
    mpp_snapshot **meshes;
    unsigned n_meshes;
    bool meshes_taken;
    proc_table table;
    bool table_taken;
};

proc_table *world_table(why_world *w)
{
    if (!w->table_taken)
        proc_table_take(&w->table);
    w->table_taken = true;
    return &w->table;
}

unsigned world_unseen(const why_world *w)
{
    return w->table.unseen;
}

mpp_snapshot *const *world_meshes(why_world *w, unsigned *n)
{
    char **ids = NULL;
    const int listed = w->meshes_taken ? 0 : mpp_mesh_list(&ids);
    if (listed > 0)
        w->meshes = cli_must(calloc((size_t)listed, sizeof *w->meshes));
    for (int i = 0; i < listed; i++) {
        if (mpp_snapshot_take(ids[i], &w->meshes[w->n_meshes], NULL) == 0)
            w->n_meshes++;
        free(ids[i]);
    }
    free(ids);
    w->meshes_taken = true;
    *n = w->n_meshes;
    return w->meshes;
}

why_world *world_make(void)
{
    return cli_must(calloc(1, sizeof(why_world)));
}

void world_free(why_world **wp)
{
    why_world *w = *wp;
    *wp = NULL;
    for (unsigned i = 0; i < w->n_meshes; i++)
        mpp_snapshot_free(&w->meshes[i]);
    free(w->meshes);
    proc_table_free(&w->table);
    free(w);
}
