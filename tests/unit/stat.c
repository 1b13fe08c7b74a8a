/* What mpp-stat makes of a snapshot: where the time went, and the matrix of fills. */
#include "tap.h"

#include "mpp-look.h"
#include "stat/limit.h"
#include "stat/matrix.h"

#include <stdlib.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)

enum { NOW_S = 1000 };

/* Two producers and a consumer that came ten seconds ago and have done nothing but work since. */
typedef struct scene {
    mpp_participant participants[3];
    mpp_channel channels[2];
    mpp_snapshot s;
} scene;

static scene *scene_of(void)
{
    static scene sc;
    sc = (scene){.s = {.taken_ns = (int64_t)(NOW_S * SECOND),
                       .state = MPP_MESH_LIVE,
                       .ring_size = 1000,
                       .producers = 2,
                       .consumers = 1,
                       .lanes = 1}};
    for (unsigned i = 0; i < 3; i++)
        sc.participants[i] = (mpp_participant){.role = i < 2 ? 'p' : 'c',
                                               .index = i % 2,
                                               .state = MPP_PLACE_LIVE,
                                               .pid = (pid_t)i + 1,
                                               .activity = "computing",
                                               .channel = -1,
                                               .counters = {.attached = (NOW_S - 10) * SECOND}};
    sc.channels[1].producer = 1;
    sc.s.participants = sc.participants;
    sc.s.n_participants = 3;
    sc.s.channels = sc.channels;
    sc.s.n_channels = 2;
    return &sc;
}

static const char *text_of(const scene *sc, unsigned top)
{
    static char text[256];
    stat_limit_text(&sc->s, text, sizeof text, top);
    return text;
}

static void says(const scene *sc, unsigned top, const char *expected, const char *what)
{
    const char *text = text_of(sc, top);
    ok(strcmp(text, expected) == 0, "%s: %s", what, text);
}

static void the_one_that_waits_least_for_the_others_comes_first(void)
{
    scene *sc = scene_of();
    mpp_participant *p = sc->participants;
    p[0].counters.channel_ns = 9 * SECOND;
    p[1].counters.input_ns = 81 * SECOND / 10;
    p[1].counters.channel_ns = 19 * SECOND / 10;
    p[2].counters.channel_ns = 88 * SECOND / 10;
    says(sc, 1, "producer 1's input 81 %", "top 1");
    says(sc, 3, "producer 1's input 81 %, consumer 0's own work 12 %, producer 0's own work 10 %", "top 3");
}

static void a_second_part_that_is_no_rest_is_told(void)
{
    scene *sc = scene_of();
    sc->participants[2].counters.output_ns = 6 * SECOND;
    sc->participants[2].counters.channel_ns = 1 * SECOND;
    sc->participants[0].counters.channel_ns = sc->participants[1].counters.channel_ns = 9 * SECOND;
    says(sc, 1, "consumer 0's output 60 % and own work 30 %", "two parts");
}

static void the_wait_that_goes_on_now_counts(void)
{
    scene *sc = scene_of();
    mpp_participant *p = sc->participants;
    p[0].doing = p[1].doing = MPP_WAITING_SPACE;
    p[2].doing = MPP_WRITING_OUTPUT;
    for (unsigned i = 0; i < 3; i++)
        p[i].since_ns = (int64_t)((NOW_S - 9) * SECOND);
    p[2].counters.output_ns = SECOND / 2;
    says(sc, 1, "consumer 0's output 95 %", "a wait that is not over");
    p[2].doing = MPP_WAITING_START;
    stat_limit *l;
    int n = stat_limit_take(&sc->s, &l);
    uint64_t life = 0;
    for (int i = 0; i < n; i++)
        life = l[i].role == 'c' ? l[i].life_ns : life;
    ok(n == 3 && life == SECOND, "waiting to be asked is no part of a life");
    free(l);
}

static void who_left_long_ago_or_never_came_limits_nobody(void)
{
    scene *sc = scene_of();
    mpp_participant *p = sc->participants;
    p[0].activity = NULL;
    p[0].state = MPP_PLACE_DONE;
    p[0].counters.left = (NOW_S - 9) * SECOND;
    p[1].counters.attached = 0;
    p[2].counters.channel_ns = 7 * SECOND;
    says(sc, 3, "consumer 0's own work 30 %", "of a live mesh the live");
    p[2].activity = NULL;
    p[2].state = MPP_PLACE_DONE;
    p[2].counters.left = NOW_S * SECOND;
    says(sc, 3, "consumer 0's own work 30 %, producer 0's own work 100 %", "of a finished one the long-lived first");
}

static void a_dead_one_lived_until_it_was_last_seen(void)
{
    scene *sc = scene_of();
    mpp_participant *p = &sc->participants[0];
    p->activity = NULL;
    p->state = MPP_PLACE_DEAD;
    sc->channels[0].counters.last_publish = (NOW_S - 6) * SECOND;
    stat_limit *l;
    int n = stat_limit_take(&sc->s, &l);
    uint64_t life = 0;
    for (int i = 0; i < n; i++)
        life = l[i].pid == p->pid ? l[i].life_ns : life;
    ok(life == 4 * SECOND, "a dead producer's life: %ju s", (uintmax_t)(life / SECOND));
    free(l);
}

static void a_process_in_two_lanes_is_told_once(void)
{
    scene *sc = scene_of();
    mpp_participant both[6];
    memcpy(both, sc->participants, sizeof sc->participants);
    memcpy(both + 3, sc->participants, sizeof sc->participants);
    for (unsigned i = 3; i < 6; i++)
        both[i].lane = 1;
    sc->s.participants = both;
    sc->s.n_participants = 6;
    sc->s.lanes = 2;
    stat_limit *l;
    ok(stat_limit_take(&sc->s, &l) == 3, "one process, one life");
    free(l);
    both[5].pid = 77;
    ok(stat_limit_take(&sc->s, &l) == 4, "two processes, two lives");
    free(l);
    ok(strstr(text_of(sc, 4), "consumer 0.1's "), "then the lane is told: %s", text_of(sc, 4));
}

static bool is_sound(const stat_limit *l)
{
    uint64_t sum = 0;
    for (int i = 0; i < LIMIT_PARTS; i++) {
        if (l->part_ns[i] > l->life_ns)
            return false;
        sum += l->part_ns[i];
    }
    return l->life_ns > 0 && sum == l->life_ns && l->weight >= 0 && l->weight <= 1;
}

/* A number of the kind that is in segments, and of the kind that should not be. */
static uint64_t any(unsigned *seed)
{
    static const uint64_t odd[] = {
        0,         1,          NOW_S * SECOND, (NOW_S - 5) * SECOND, (NOW_S + 5) * SECOND,
        INT64_MAX, UINT64_MAX, UINT64_MAX - 1, 3 * SECOND,           (uint64_t)INT64_MAX + 1};
    *seed = *seed * 1103515245 + 12345;
    return odd[(*seed >> 16) % (sizeof odd / sizeof *odd)];
}

static void garbage_is_never_more_than_a_life(void)
{
    unsigned seed = 1, bad = 0, seen = 0;
    for (int round = 0; round < 20000; round++) {
        scene *sc = scene_of();
        for (unsigned i = 0; i < 3; i++) {
            mpp_participant *p = &sc->participants[i];
#define ENDPOINT_COUNTER(name, kind, unit, prose) p->counters.name = any(&seed);
#include "counters.def"
            p->activity = any(&seed) % 2 ? "?" : NULL;
            p->doing = (unsigned)any(&seed) % 12;
            p->since_ns = (int64_t)any(&seed);
        }
        for (unsigned i = 0; i < 2; i++) {
            mpp_channel *c = &sc->channels[i];
#define COUNTER(name, kind, unit, side, prose) c->counters.name = any(&seed);
#include "counters.def"
        }
        stat_limit *l;
        stat_totals t;
        int n = stat_limit_take(&sc->s, &l);
        for (int i = 0; i < n; i++, seen++)
            bad += !is_sound(&l[i]);
        free(l);
        stat_limit_totals(&sc->s, &t);
        bad += t.duration_ns < 0 || strchr(text_of(sc, 3), '-') != NULL;
    }
    ok(bad == 0 && seen > 1000, "%u of %u lives are unsound", bad, seen);
}

static void totals_are_of_all_channels(void)
{
    scene *sc = scene_of();
    stat_totals t;
    for (unsigned i = 0; i < 2; i++)
        sc->channels[i].counters = (mpp_counters){.records = 5,
                                                  .bytes = 50,
                                                  .frames = 1,
                                                  .first_publish = (NOW_S - 8 + i) * SECOND,
                                                  .last_publish = (NOW_S - 4 - i) * SECOND,
                                                  .last_release = (NOW_S - 3 - i) * SECOND};
    sc->participants[0].counters.channel_ns = 2 * SECOND;
    sc->participants[1].counters.channel_ns = 1 * SECOND;
    sc->participants[2].counters.channel_ns = 4 * SECOND;
    stat_limit_totals(&sc->s, &t);
    ok(t.records == 10 && t.bytes == 100 && t.frames == 2, "records, bytes, frames");
    ok(t.duration_ns == (int64_t)(5 * SECOND), "from the first that was published to the last given back");
    ok(t.space_ns == 3 * SECOND && t.data_ns == 4 * SECOND, "waits for space and for data");
    sc->channels[1].counters.records = 0;
    stat_limit_totals(&sc->s, &t);
    ok(t.records == UINT64_MAX, "records that are not counted in one channel are not counted");
}

/* ---- the matrix --------------------------------------------------------------------------------- */

static char *matrix_of(const mpp_snapshot *s, unsigned width, unsigned rows)
{
    static char text[1 << 16];
    memset(text, 0, sizeof text);
    FILE *out = fmemopen(text, sizeof text - 1, "w");
    stat_matrix_print(s, width, rows, out);
    fclose(out);
    return text;
}

static unsigned widest(const char *text)
{
    unsigned most = 0;
    for (; *text; text += strcspn(text, "\n") + 1)
        most = strcspn(text, "\n") > most ? (unsigned)strcspn(text, "\n") : most;
    return most;
}

static unsigned lines(const char *text)
{
    unsigned n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void cells_show_fills(void)
{
    mpp_channel c[] = {{.consumer = 0},
                       {.consumer = 1, .fill = 1},
                       {.consumer = 2, .fill = 500},
                       {.consumer = 3, .fill = 940},
                       {.consumer = 4, .fill = 950},
                       {.consumer = 5, .fill = 10, .wanted = true},
                       {.consumer = 7}};
    mpp_snapshot s = {.ring_size = 1000, .producers = 2, .consumers = 9, .lanes = 1, .channels = c, .n_channels = 7};
    const char *text = matrix_of(&s, 80, 64);
    ok(strstr(text, "\n0 .159## .\n1\n"), "a row with everything, and one with nothing");
}

static void a_large_mesh_is_put_together(void)
{
    static mpp_channel c[256 * 256];
    mpp_snapshot s = {.ring_size = 100, .lanes = 1, .channels = c, .producers = 64, .consumers = 64};
    for (unsigned i = 0; i < 64 * 64; i++)
        c[s.n_channels++] = (mpp_channel){.producer = i / 64, .consumer = i % 64};
    const char *text = matrix_of(&s, 80, 64);
    ok(widest(text) <= 80 && strstr(text, "\n63 ................................................................\n"),
       "64 x 64 fit into 80 columns as they are");
    s.producers = s.consumers = 256;
    c[0] = (mpp_channel){.producer = 255, .consumer = 254, .fill = 100};
    text = matrix_of(&s, 80, 64);
    ok(strstr(text, "fullest of 4 x 4 channels") && strstr(text, "\n252-255 "), "256 x 256 are put together by 4 x 4");
    ok(text[strlen(text) - 2] == '#', "and each place shows the fullest");
    text = matrix_of(&s, 40, 10);
    ok(widest(strstr(text, "0-25 ")) <= 40 && lines(text) <= 14, "a window of 40 columns, and 10 rows");
    s.lanes = 3;
    ok(strstr(matrix_of(&s, 80, 64), "3 lanes"), "several lanes are told");
}

int main(void)
{
    the_one_that_waits_least_for_the_others_comes_first();
    a_second_part_that_is_no_rest_is_told();
    the_wait_that_goes_on_now_counts();
    who_left_long_ago_or_never_came_limits_nobody();
    a_dead_one_lived_until_it_was_last_seen();
    a_process_in_two_lanes_is_told_once();
    garbage_is_never_more_than_a_life();
    totals_are_of_all_channels();
    cells_show_fills();
    a_large_mesh_is_put_together();
    return done_testing();
}
