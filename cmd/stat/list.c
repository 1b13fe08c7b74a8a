#include "stat/list.h"

#include "common/cli.h"
#include "common/text.h"
#include "stat/table.h"

#include <stdlib.h>

/* Of a mesh that could not be read only its id and the reason are known. */
static bool is_unreadable(const stat_summary *m)
{
    return m->error.status != MPP_S_DONE;
}

static void show_id(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    text_clean(out, TEXT_CELL, ((const stat_summary *)row)->id);
}

static void show_state(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    const stat_summary *m = row;
    text_clean(out, TEXT_CELL,
               !is_unreadable(m)                  ? m->state
               : m->error.status == MPP_S_CORRUPT ? "corrupt"
                                                  : "unreadable");
}

static void show_remark(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    const stat_summary *m = row;
    if (is_unreadable(m))
        text_clean(out, TEXT_CELL, m->error.text);
    else if (*m->garbage)
        snprintf(out, TEXT_CELL, "garbage: %s", m->garbage);
    else if (m->cause.status != MPP_S_DONE)
        text_clean(out, TEXT_CELL, m->cause.text);
}

static void show_age(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    const stat_summary *m = row;
    if (!is_unreadable(m))
        text_duration(out, m->age_ns);
}

static void show_size(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    const stat_summary *m = row;
    if (!is_unreadable(m))
        text_bytes(out, m->size);
}

static void show_rate(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    const stat_summary *m = row;
    if (!is_unreadable(m))
        text_rate(out, m->rate, text_bytes);
}

static void show_uuid(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    const stat_summary *m = row;
    if (!is_unreadable(m))
        text_clean(out, TEXT_CELL, m->uuid);
}

/* The unsigned at c->offset. */
static void show_unsigned(char *out, const column *c, const void *context, const void *row)
{
    (void)context;
    const stat_summary *m = row;
    if (!is_unreadable(m))
        snprintf(out, TEXT_CELL, "%u", *(const unsigned *)(const void *)((const char *)row + c->offset));
}

static column columns[] = {
    {.name = "age", .right = true, .cell = show_age},
    {.name = "consumers", .right = true, .cell = show_unsigned, .offset = offsetof(stat_summary, consumers)},
    {.name = "dead", .right = true, .cell = show_unsigned, .offset = offsetof(stat_summary, participants.dead)},
    {.name = "done", .right = true, .cell = show_unsigned, .offset = offsetof(stat_summary, participants.done)},
    {.name = "live", .right = true, .cell = show_unsigned, .offset = offsetof(stat_summary, participants.live)},
    {.name = "mesh", .cell = show_id},
    {.name = "missing", .right = true, .cell = show_unsigned, .offset = offsetof(stat_summary, participants.missing)},
    {.name = "producers", .right = true, .cell = show_unsigned, .offset = offsetof(stat_summary, producers)},
    {.name = "rate", .right = true, .cell = show_rate},
    {.name = "remark", .cell = show_remark},
    {.name = "size", .right = true, .cell = show_size},
    {.name = "state", .cell = show_state},
    {.name = "uuid", .cell = show_uuid},
};

static table meshes;

void stat_list_columns(const char *list)
{
    table *const tables[] = {&meshes};
    table_init(&meshes, columns, sizeof columns / sizeof *columns);
    table_choose(tables, 1, list ? list : "mesh,state,age,size,producers,consumers,live,done,dead,missing,rate,remark");
}

bool stat_list_has_rates(void)
{
    return table_shows(&meshes, "rate");
}

void stat_list_print(const stat_summary *list, size_t n, const stat_page *page)
{
    const void **rows = cli_must(calloc(n + 1, sizeof *rows));
    for (size_t i = 0; i < n; i++)
        rows[i] = &list[i];
    table_print(&meshes, NULL, rows, n, page->out);
    free(rows);
}
