/* Records that come in different ways, one after the other, into one ring that fills up: produced, read in place,
 * produced again. */
#include "rig.h"

enum { LINES = 100, LINE = 50 };

static mpp_outcome produce(rig *r, bytes *wanted, unsigned number)
{
    char line[64];
    const int n = snprintf(line, sizeof line, "record %08u %030u", number, number);
    const mpp_outcome outcome = mpp_try_produce(r->p, 0, line, (size_t)n);
    line[n] = '\n';
    if (outcome == MPP_OK)
        bytes_add(wanted, line, (size_t)n + 1);
    return outcome;
}

static void fill(rig *r, bytes *wanted)
{
    char lines[LINES * LINE];
    int ends[2];
    size_t got;
    mpp_error err;
    memset(lines, 'f', sizeof lines);
    for (unsigned i = 0; i < LINES; i++)
        lines[i * LINE + LINE - 1] = '\n';
    if (pipe(ends) < 0 || write(ends[1], lines, sizeof lines) != sizeof lines)
        bail_out("a pipe: %s", strerror(errno));
    close(ends[1]);
    if (mpp_fill(r->p, 0, ends[0], 0, &got, &err) == MPP_OK)
        bytes_add(wanted, lines, got);
    mpp_fill_end(r->p, 0, &err);
    close(ends[0]);
}

/* `before` bytes are in the ring already, and nobody reads. */
static void mixed(size_t before)
{
    rig r;
    bytes wanted = {0};
    unsigned n = 0;
    const mpp_stream_options *lines = NULL;
    mpp_mesh_options o = rig_options(lines, 0, 1);
    rig_open(&r, &o, 1, false);
    rig_ask(&r, 0);
    while (wanted.n < before && produce(&r, &wanted, n) == MPP_OK)
        n++;
    mpp_flush(r.p);
    produce(&r, &wanted, n++); /* a frame is open */
    fill(&r, &wanted);
    while (produce(&r, &wanted, n) == MPP_OK && n < 10000)
        n++;
    mpp_flush(r.p);
    rig_finish(&r, 0);
    ok(n < 10000 && bytes_equal(&wanted, &r.got[0][0]) && r.torn == 0,
       "%zu bytes in the ring, then produced, read in place, and produced until it is full: all come, once and in "
       "order",
       before);
    rig_close(&r);
    free(wanted.data);
}

int main(void)
{
    harness_begin(60);
    for (size_t before = 0; before < RIG_RING; before += 4000)
        mixed(before);
    harness_end();
    return done_testing();
}
