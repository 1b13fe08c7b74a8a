/* stat-why.c - see stat-why.h */
#include "stat-why.h"

#include "cli.h"
#include "stat-text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- asking ------------------------------------------------------------------------------------- */

int stat_why_ask(const mpp_snapshot *s, int64_t patience_ns, why **verdict, mpp_error *err)
{
    *verdict = why_ask(s, patience_ns);
    if (*verdict)
        return 0;
    *err = (mpp_error){.status = MPP_S_ERROR, .os_error = ENOMEM, .text = "out of memory"};
    return -1;
}

int stat_why_take(const char *id, int64_t patience_ns, stat_why *w, mpp_error *err)
{
    mpp_snapshot *s;
    *w = (stat_why){.error = {.status = MPP_S_DONE}};
    snprintf(w->id, sizeof w->id, "%s", id);
    if (mpp_snapshot_take(id, &s, err) < 0)
        return -1;
    int rc = stat_why_ask(s, patience_ns, &w->verdict, err);
    mpp_snapshot_free(&s);
    return rc;
}

/* false: the mesh went away since it was listed. */
static bool take_listed(const char *id, int64_t patience_ns, stat_why *w)
{
    mpp_error error;
    if (stat_why_take(id, patience_ns, w, &error) < 0)
        w->error = error;
    return w->error.status != MPP_S_NO_MESH;
}

int stat_why_take_all(int64_t patience_ns, stat_why **list, mpp_error *err)
{
    char **ids = NULL;
    int n = mpp_mesh_list(&ids), kept = 0;
    *list = n < 0 ? NULL : calloc((size_t)n + 1, sizeof **list);
    for (int i = 0; i < n; i++) {
        if (*list && take_listed(ids[i], patience_ns, &(*list)[kept]))
            kept++;
        free(ids[i]);
    }
    free(ids);
    if (*list)
        return kept;
    *err = (mpp_error){.status = MPP_S_ERROR, .os_error = errno};
    snprintf(err->text, sizeof err->text, "cannot list the meshes: %s", strerror(errno));
    return -1;
}

void stat_why_free(stat_why *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].verdict)
            why_free(&list[i].verdict);
}

mpp_status stat_why_status(const stat_why *list, size_t n)
{
    mpp_status status = MPP_S_DONE;
    for (size_t i = 0; i < n; i++)
        if (list[i].verdict && why_stalled(list[i].verdict))
            return MPP_S_STALLED;
        else if (list[i].error.status != MPP_S_DONE)
            status = list[i].error.status;
    return status;
}

/* ---- printing ----------------------------------------------------------------------------------- */

/* Processes choose their names themselves, so that what comes of them is not printed as it is. */
static void print_lines(const char *text, const char *prefix, FILE *out)
{
    for (const char *p = text; *p;) {
        const size_t n = strcspn(p, "\n");
        fputs(prefix, out);
        text_put(p, n, TEXT_UNCUT, out);
        putc('\n', out);
        p += n + (p[n] == '\n');
    }
}

void stat_why_print(const why *verdict, const char *prefix, FILE *out)
{
    char *text = NULL;
    size_t size;
    FILE *memory = open_memstream(&text, &size);
    if (memory)
        why_print(verdict, memory);
    if (!memory || fclose(memory) != 0)
        cli_die(&(mpp_error){.status = MPP_S_ERROR, .text = "out of memory"});
    print_lines(text, prefix, out);
    free(text);
}

static void print_error(const mpp_error *e, const char *prefix, FILE *out)
{
    fprintf(out, "%s%s: ", prefix, e->status == MPP_S_CORRUPT ? "corrupt" : "unreadable");
    text_put(e->text, strlen(e->text), TEXT_UNCUT, out);
    putc('\n', out);
}

void stat_why_print_all(const stat_why *list, size_t n, FILE *out)
{
    for (size_t i = 0; i < n; i++) {
        char id[sizeof list->id], prefix[sizeof id + 2];
        text_clean(id, sizeof id, list[i].id);
        snprintf(prefix, sizeof prefix, "%s: ", id);
        if (list[i].verdict)
            stat_why_print(list[i].verdict, prefix, out);
        else
            print_error(&list[i].error, prefix, out);
    }
}
