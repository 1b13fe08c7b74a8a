#include "stat/why.h"

#include "common/cli.h"
#include "common/text.h"
#include "mpp-look.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- asking ------------------------------------------------------------------------------------- */

int stat_why_take(const char *id, int64_t patience_ns, stat_why *w, mpp_error *err)
{
    mpp_snapshot *s;
    *w = (stat_why){.error = {.status = MPP_S_DONE}};
    snprintf(w->id, sizeof w->id, "%s", id);
    if (mpp_snapshot_take(id, &s, err) < 0)
        return -1;
    why_ask((const mpp_snapshot *const[]){s}, 1, patience_ns, &w->verdict);
    mpp_snapshot_free(&s);
    return 0;
}

/* Those of the meshes that can be read; the others have their error.  A mesh that went away since it was listed is left
 * out.  How many are in the list. */
static size_t take_snapshots(char *const *ids, size_t n, stat_why *list, mpp_snapshot **snapshots)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        stat_why *w = &list[kept];
        *w = (stat_why){.error = {.status = MPP_S_DONE}};
        snprintf(w->id, sizeof w->id, "%s", ids[i]);
        mpp_error error;
        if (mpp_snapshot_take(ids[i], &snapshots[kept], &error) < 0)
            w->error = error;
        kept += w->error.status != MPP_S_NO_MESH;
    }
    return kept;
}

/* Ask about all that could be read together, so that the second look is one for all. */
static void ask_meshes(stat_why *list, mpp_snapshot *const *snapshots, size_t n, int64_t patience_ns)
{
    const mpp_snapshot **readable = cli_must(calloc(n + 1, sizeof *readable));
    why **verdicts = cli_must(calloc(n + 1, sizeof *verdicts));
    size_t asked = 0;
    for (size_t i = 0; i < n; i++)
        if (list[i].error.status == MPP_S_DONE)
            readable[asked++] = snapshots[i];
    why_ask(readable, asked, patience_ns, verdicts);
    asked = 0;
    for (size_t i = 0; i < n; i++)
        if (list[i].error.status == MPP_S_DONE)
            list[i].verdict = verdicts[asked++];
    free(readable);
    free(verdicts);
}

int stat_why_take_all(int64_t patience_ns, stat_why **list, mpp_error *err)
{
    char **ids = NULL;
    const int listed = mpp_mesh_list(&ids);
    if (listed < 0) {
        *err = (mpp_error){.status = MPP_S_ERROR, .os_error = errno};
        snprintf(err->text, sizeof err->text, "cannot list the meshes: %s", strerror(errno));
        return -1;
    }
    const size_t n = (size_t)listed;
    mpp_snapshot **snapshots = cli_must(calloc(n + 1, sizeof *snapshots));
    *list = cli_must(calloc(n + 1, sizeof **list));
    const size_t kept = take_snapshots(ids, n, *list, snapshots);
    ask_meshes(*list, snapshots, kept, patience_ns);
    for (size_t i = 0; i < n; i++) {
        mpp_snapshot_free(&snapshots[i]);
        free(ids[i]);
    }
    free(snapshots);
    free(ids);
    return (int)kept;
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
static void print_line(const char *p, size_t n, const char *prefix, FILE *out)
{
    fputs(prefix, out);
    text_put(p, n, TEXT_UNCUT, out);
    putc('\n', out);
}

/* How much of n bytes goes into a line, broken at a blank where there is one in its second half. */
static size_t fitting(const char *p, size_t n, size_t width)
{
    size_t at = width;
    if (n <= width)
        return n;
    while (at > width / 2 && p[at] != ' ')
        at--;
    for (at = p[at] == ' ' ? at : width; at > 1 && ((unsigned char)p[at] & 0xc0) == 0x80; at--) /* UTF-8 */
        ;
    return at;
}

static void print_lines(const char *text, const char *prefix, size_t width, FILE *out)
{
    for (const char *p = text; *p;) {
        size_t left = strcspn(p, "\n");
        const char *next = p + left + (p[left] == '\n');
        do {
            const size_t n = width ? fitting(p, left, width) : left;
            print_line(p, n, prefix, out);
            p += n;
            left -= n;
        } while (left > 0);
        p = next;
    }
}

void stat_why_print(const why *verdict, const char *prefix, size_t width, FILE *out)
{
    char *text = NULL;
    size_t size;
    FILE *memory = open_memstream(&text, &size);
    if (memory)
        why_print(verdict, memory);
    if (!memory || fclose(memory) != 0)
        cli_die(&(mpp_error){.status = MPP_S_ERROR, .text = "out of memory"});
    print_lines(text, prefix, width, out);
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
            stat_why_print(list[i].verdict, prefix, 0, out);
        else
            print_error(&list[i].error, prefix, out);
    }
}
