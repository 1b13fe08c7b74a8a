#include "stat/view.h"

#include "common/cli.h"
#include "mpp-look.h"
#include "stat/json.h"
#include "stat/list.h"
#include "stat/mesh.h"
#include "stat/take.h"
#include "stat/why.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct list {
    stat_summary *meshes;
    size_t n;
} list;

/* Which members are used follows from the request. */
struct stat_view {
    const stat_request *request;
    list now, before;           /* the list of meshes */
    mpp_snapshot *last, *older; /* one mesh, and the verdict on it */
    why *verdict;
    stat_why *verdicts; /* --why */
    size_t n_verdicts;
};

static bool is_list(const stat_view *v)
{
    return !v->request->why && !v->request->mesh;
}

static bool is_mesh(const stat_view *v)
{
    return !v->request->why && v->request->mesh;
}

stat_view *stat_view_open(const stat_request *r)
{
    stat_view *v = cli_must(calloc(1, sizeof *v));
    v->request = r;
    if (is_list(v))
        stat_list_columns(r->columns);
    if (is_mesh(v))
        stat_mesh_columns(r->columns, r->interval_ns > 0);
    return v;
}

static void forget_verdicts(stat_view *v)
{
    stat_why_free(v->verdicts, v->n_verdicts);
    free(v->verdicts);
    v->verdicts = NULL;
    v->n_verdicts = 0;
}

static void forget_verdict(stat_view *v)
{
    if (v->verdict)
        why_free(&v->verdict);
}

void stat_view_close(stat_view **vp)
{
    stat_view *v = *vp;
    *vp = NULL;
    free(v->now.meshes);
    free(v->before.meshes);
    mpp_snapshot_free(&v->last);
    mpp_snapshot_free(&v->older);
    forget_verdict(v);
    forget_verdicts(v);
    free(v);
}

/* ---- looking ------------------------------------------------------------------------------------ */

static int look_at_list(stat_view *v, mpp_error *err)
{
    stat_summary *meshes;
    int n = stat_list_take(&meshes);
    if (n < 0) {
        *err = (mpp_error){.status = MPP_S_ERROR, .os_error = errno};
        snprintf(err->text, sizeof err->text, "cannot list the meshes: %s", strerror(errno));
        return -1;
    }
    free(v->before.meshes);
    v->before = v->now;
    v->now = (list){meshes, (size_t)n};
    stat_list_rates(meshes, (size_t)n, v->before.meshes, v->before.n);
    return 0;
}

/* Is a mesh's name another mesh's by now? */
static bool is_another(const mpp_snapshot *before, const mpp_snapshot *now)
{
    return before && strcmp(before->uuid, now->uuid) != 0;
}

static int look_at_mesh(stat_view *v, bool glance, mpp_error *err)
{
    const stat_request *r = v->request;
    mpp_snapshot *s;
    if (mpp_snapshot_take(r->mesh, &s, err) < 0)
        return -1;
    mpp_snapshot_free(&v->older);
    v->older = v->last;
    v->last = s;
    forget_verdict(v);
    if (is_another(v->older, s)) {
        *err = (mpp_error){.status = MPP_S_NO_MESH};
        snprintf(err->text, sizeof err->text, "mesh %s is gone, and another one has its name", r->mesh);
        return -1;
    }
    if (!glance && !r->columns)
        why_ask((const mpp_snapshot *const[]){s}, 1, r->patience_ns, &v->verdict);
    stat_adjust(s);
    return 0;
}

static int look_at_verdict(stat_view *v, mpp_error *err)
{
    forget_verdicts(v);
    v->verdicts = cli_must(calloc(1, sizeof *v->verdicts));
    v->n_verdicts = 1;
    return stat_why_take(v->request->mesh, v->request->patience_ns, v->verdicts, err);
}

static int look_at_verdicts(stat_view *v, mpp_error *err)
{
    forget_verdicts(v);
    int n = stat_why_take_all(v->request->patience_ns, &v->verdicts, err);
    v->n_verdicts = n < 0 ? 0 : (size_t)n;
    return n < 0 ? -1 : 0;
}

int stat_view_take(stat_view *v, bool glance, mpp_error *err)
{
    if (is_list(v))
        return look_at_list(v, err);
    if (is_mesh(v))
        return look_at_mesh(v, glance, err);
    return v->request->mesh ? look_at_verdict(v, err) : look_at_verdicts(v, err);
}

/* Before a first look nobody knows what lives. */
static bool any_live(const stat_view *v)
{
    bool any = !v->now.meshes;
    for (size_t i = 0; i < v->now.n; i++)
        any |= stat_is_live(&v->now.meshes[i]);
    return any;
}

bool stat_view_wants_glance(const stat_view *v)
{
    const stat_request *r = v->request;
    if (is_list(v))
        return (r->json || stat_list_has_rates()) && any_live(v);
    return is_mesh(v) && stat_mesh_has_rates();
}

/* ---- showing ------------------------------------------------------------------------------------ */

static void show_verdicts(const stat_view *v, const stat_page *page)
{
    if (v->request->json)
        stat_json_why(v->verdicts, v->n_verdicts, page->out);
    else if (v->request->mesh)
        stat_why_print(v->verdicts->verdict, "", page->height ? page->width : 0, page->out);
    else
        stat_why_print_all(v->verdicts, v->n_verdicts, page->out);
}

static void show_mesh(const stat_view *v, const stat_page *page)
{
    const stat_mesh m = {.now = v->last, .before = v->older, .verdict = v->verdict};
    if (v->request->json)
        stat_json_mesh(&m, page->out);
    else
        stat_mesh_print(&m, page);
}

static void show_list(const stat_view *v, const stat_page *page)
{
    if (v->request->json)
        stat_json_list(v->now.meshes, v->now.n, page->out);
    else
        stat_list_print(v->now.meshes, v->now.n, page);
}

void stat_view_show(const stat_view *v, const stat_page *page)
{
    if (is_list(v))
        show_list(v, page);
    else if (is_mesh(v))
        show_mesh(v, page);
    else
        show_verdicts(v, page);
}

void stat_view_show_gone(const stat_view *v, const stat_page *page)
{
    const stat_request *r = v->request;
    stat_why gone = {.error = {.status = MPP_S_NO_MESH}};
    snprintf(gone.id, sizeof gone.id, "%s", r->mesh);
    snprintf(gone.error.text, sizeof gone.error.text, "mesh %s is gone", gone.id);
    if (r->json && r->why)
        stat_json_why(&gone, 1, page->out);
    else if (r->json)
        stat_json_gone(gone.id, &gone.error, page->out);
    else
        fprintf(page->out, "%s\n", gone.error.text);
}

mpp_status stat_view_status(const stat_view *v)
{
    return v->request->why ? stat_why_status(v->verdicts, v->n_verdicts) : MPP_S_DONE;
}
