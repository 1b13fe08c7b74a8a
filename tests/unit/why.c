/* why - who is stuck, and because of whom: random graphs of participants against the obvious fixpoint */
#include "why/edges.h"
#include "why/solve.h"

#include "mpp-look.h"
#include "tap.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY = 12, ROUNDS = 20000, NOW_S = 100 };
#define SECOND INT64_C(1000000000)

static pid_t sleeper; /* a process for everybody: it lives, and waits */
static mpp_participant participants[2 * MANY];
static mpp_channel channels[MANY * MANY];
static bool needs[MANY]; /* consumers that need each of those they wait for */

static bool chance(unsigned percent)
{
    return (unsigned)rand() % 100 < percent;
}

static mpp_snapshot random_mesh(void)
{
    static mpp_stream_info stream = {.name = "0", .partition = MPP_ROUND_ROBIN};
    mpp_snapshot s = {.id = "x",
                      .state = MPP_MESH_LIVE,
                      .taken_ns = NOW_S * SECOND,
                      .ring_size = 65536,
                      .producers = 1 + (unsigned)rand() % MANY,
                      .consumers = 1 + (unsigned)rand() % MANY,
                      .lanes = 1,
                      .n_streams = 1,
                      .cause_by = -1,
                      .streams = &stream,
                      .participants = participants,
                      .channels = channels};
    const unsigned moving = (unsigned)rand() % 30, missing = (unsigned)rand() % 10, edges = 5 + (unsigned)rand() % 60;
    s.n_participants = s.producers + s.consumers;
    for (unsigned i = 0; i < s.n_participants; i++) {
        const bool producer = i < s.producers;
        participants[i] = (mpp_participant){.role = producer ? 'p' : 'c',
                                            .index = producer ? i : i - s.producers,
                                            .state = MPP_PLACE_LIVE,
                                            .activity = "",
                                            .pid = sleeper,
                                            .doing = producer ? MPP_WAITING_SPACE : MPP_WAITING_DATA,
                                            .since_ns = chance(moving) ? s.taken_ns - 1 : SECOND,
                                            .channel = -1,
                                            .fd = -1};
        if (chance(missing)) {
            participants[i].state = MPP_PLACE_FREE;
            participants[i].activity = NULL;
        }
    }
    for (unsigned j = 0; j < s.consumers; j++)
        needs[j] = chance(50);
    for (unsigned i = 0; i < s.producers; i++)
        for (unsigned j = 0; j < s.consumers; j++) {
            const bool wanted = chance(edges), awaited = !wanted && chance(edges);
            channels[s.n_channels++] = (mpp_channel){.producer = i,
                                                     .consumer = j,
                                                     .wanted = wanted,
                                                     .awaited = awaited,
                                                     .needed = awaited && needs[j],
                                                     .fill = wanted ? s.ring_size : 0,
                                                     .head = -1};
        }
    return s;
}

/* Of those that participant i waits for, are enough stuck? */
static bool is_held(const mpp_snapshot *s, unsigned i, const bool *stuck)
{
    unsigned n = 0, held = 0;
    for (unsigned k = 0; k < s->n_channels; k++) {
        const mpp_channel *c = &channels[k];
        const unsigned consumer = s->producers + c->consumer;
        if (i == c->producer && c->wanted) {
            n++;
            held += stuck[consumer];
        } else if (i == consumer && c->awaited) {
            n++;
            held += stuck[c->producer];
        }
    }
    const bool all = i >= s->producers && !needs[i - s->producers];
    return n > 0 && (all ? held == n : held > 0);
}

static void naive(const mpp_snapshot *s, bool *stuck)
{
    bool changed = true;
    for (unsigned i = 0; i < s->n_participants; i++)
        stuck[i] = !participants[i].activity || participants[i].since_ns == SECOND;
    while (changed) {
        changed = false;
        for (unsigned i = 0; i < s->n_participants; i++)
            if (stuck[i] && participants[i].activity && !is_held(s, i, stuck)) {
                stuck[i] = false;
                changed = true;
            }
    }
}

/* Whoever is stuck has a root that is none of those dropped, and comes to it. */
static bool has_an_end(const why_node *n)
{
    const why_node *at = n;
    for (unsigned steps = 0; steps < 1000 && at->next && at->next != at->root->head; steps++)
        at = at->next;
    return n->root && !n->root->gone && at->root == n->root &&
           (n->root->class == WHY_CYCLE ? at->next == n->root->head : n->root->subject == at);
}

static bool agrees(void)
{
    const mpp_snapshot s = random_mesh();
    bool stuck[2 * MANY], good = true;
    why_world *w = world_make();
    why_graph *g = graph_make(w, &s, SECOND);
    edges_follow(g);
    solve_finish(g);
    naive(&s, stuck);
    for (unsigned i = 0; i < graph_n_nodes(g); i++) {
        const why_node *n = graph_node(g, i);
        const bool wanted = stuck[n->participant - participants];
        good &=
            n->stuck == wanted && (!n->reached || has_an_end(n)) && n->reached >= (wanted && n->participant->activity);
    }
    graph_free(&g);
    world_free(&w);
    return good;
}

int main(void)
{
    unsigned wrong = 0, first = 0;
    sleeper = fork();
    if (sleeper == 0)
        for (;;)
            pause();
    for (unsigned seed = 1; seed <= ROUNDS; seed++) {
        srand(seed);
        if (!agrees() && wrong++ == 0)
            first = seed;
    }
    ok(wrong == 0,
       "in %d graphs those are stuck who cannot go on, and each comes to a root or a circle (%u wrong, seed %u)",
       ROUNDS, wrong, first);
    kill(sleeper, SIGKILL);
    waitpid(sleeper, NULL, 0);
    return done_testing();
}
