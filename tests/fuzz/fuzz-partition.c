/* fuzz-partition - who gets which record, for any stream, by every way in, against the obvious way
 *
 * Shows that a stream that is declared with any key, separator, boundaries and format is refused with a text, or
 * carries any records whole, each to whom naive-key.h says, in order, and counts those that lack a field. */
#include "live.h"
#include "naive-key.h"

#include "../unit/ways.h"

#include <xxhash.h>

enum { CONSUMERS = 3, INPUT_MAX = 20000 };

static const char *const partitions[] = {"hash", "round-robin", "any", "broadcast", "range:"};
enum { HASH, ROUND_ROBIN, ANY, BROADCAST, RANGE, KINDS };

typedef struct declared {
    mpp_stream_options stream;
    unsigned kind;
    char partition[64];
    key key;
} declared;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    place_make();
    return 0;
}

/* ---- the input --------------------------------------------------------------------------------------- */

/* Records out of the bytes: what lies between delimiters, or pieces. */
static input records_of(const mpp_format *format, food *f)
{
    input in = {.format = *format};
    while (f->n > 0 && in.framed.n < INPUT_MAX) {
        const unsigned char *end = memchr(f->p, format->delimiter, f->n);
        const size_t line = end ? (size_t)(end - f->p) : f->n;
        const size_t n = format->kind == MPP_DELIMITED ? line : format->kind == MPP_FIXED ? format->size : food_byte(f);
        if (n > f->n)
            break;
        const food body = food_part(f, n);
        input_add(&in, body.p, body.n);
        if (format->kind == MPP_DELIMITED)
            food_part(f, 1);
    }
    return in;
}

static rig open_declared(mpp_mesh *m)
{
    rig r = {.mesh = m, .streams = 1, .consumers = CONSUMERS};
    r.p = harness_producer(m, 0, 1);
    for (unsigned j = 0; j < CONSUMERS; j++)
        r.c[j] = harness_consumer(m, (int)j);
    return r;
}

/* ---- the obvious way --------------------------------------------------------------------------------- */

static unsigned naive_target(const declared *d, const rig *r, unsigned number, part body, uint64_t *no_key)
{
    static unsigned char joined[KEY_FIELDS_MAX * 2 * INPUT_MAX];
    size_t n;
    if (d->kind == ROUND_ROBIN)
        return number % CONSUMERS;
    *no_key += !naive_key_bytes(&d->key, body, joined, &n) && d->key.n > 0;
    return d->kind == HASH ? (unsigned)(XXH3_64bits(joined, n) % CONSUMERS)
                           : key_range(&r->mesh->streams[0].ranges, &d->key, body.p, body.n);
}

static uint64_t naive_shares(const declared *d, const rig *r, const input *in, bytes shares[CONSUMERS])
{
    uint64_t no_key = 0;
    for (unsigned i = 0; i < in->n; i++) {
        size_t n;
        const unsigned char *body = body_of(in, i, &n);
        const unsigned to = d->kind == BROADCAST ? 0 : naive_target(d, r, i, (part){body, n}, &no_key);
        for (unsigned j = 0; j < CONSUMERS; j++)
            if (j == to || d->kind == BROADCAST)
                bytes_add(&shares[j], in->framed.data + in->at[i], in->at[i + 1] - in->at[i]);
    }
    return no_key;
}

static void check_shares(const declared *d, const rig *r, const input *in)
{
    bytes shares[CONSUMERS] = {{0}};
    mpp_totals t;
    const uint64_t no_key = naive_shares(d, r, in, shares);
    mpp_producer_totals(r->p, 0, &t);
    must(t.no_key == no_key, "%llu records without a key, not %llu", (unsigned long long)t.no_key,
         (unsigned long long)no_key);
    must(t.records == in->n, "%llu records, not %u", (unsigned long long)t.records, in->n);
    for (unsigned j = 0; j < CONSUMERS; j++) {
        must(bytes_equal(&r->got[j][0], &shares[j]), "consumer %u got %zu bytes, not %zu", j, r->got[j][0].n,
             shares[j].n);
        bytes_free(&shares[j]);
    }
}

/* Whoever it was that got them: all of them came. */
static void check_all(const rig *r, const input *in)
{
    size_t n = 0;
    uint64_t records = 0;
    for (unsigned j = 0; j < CONSUMERS; j++) {
        n += r->got[j][0].n;
        records += mpp_record_count(&in->format, r->got[j][0].data, r->got[j][0].n);
    }
    must(n == in->framed.n && records == in->n, "%zu bytes, not %zu", n, in->framed.n);
}

/* ---- both -------------------------------------------------------------------------------------------- */

static void pass(const declared *d, mpp_mesh *m, const input *in, unsigned way)
{
    rig r = open_declared(m);
    must(rig_ask(&r, 0), "it is asked for");
    must(ways[way].in(&r, 0, in), "%s: %s", ways[way].name, harness_cause(m));
    must(rig_finish(&r, 0), "it ends: %s", harness_cause(m));
    must(r.torn == 0, "%u torn batches", r.torn);
    if (d->kind == ANY)
        check_all(&r, in);
    else
        check_shares(d, &r, in);
    rig_close(&r);
    must(rig_leftovers == 0, "the mesh is gone");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    food f = {data, size < 3000 ? size : 3000};
    declared d = {.stream = {.name = "0", .format = food_format(&f)}, .kind = food_below(&f, KINDS)};
    mpp_mesh *m;
    mpp_error err;
    tap.random = food_number(&f, 2); /* how it is cut into pieces */
    const unsigned way = food_below(&f, N_WAYS - 1);
    d.stream.separator = (char)food_byte(&f);
    char *fields = food_string(food_part(&f, food_below(&f, 12)));
    char *bounds = food_string(food_part(&f, d.kind == RANGE ? food_below(&f, 20) : 0));
    d.stream.key = *fields ? fields : NULL;
    d.stream.partition = d.partition;
    snprintf(d.partition, sizeof d.partition, "%s%s", partitions[d.kind], bounds);
    const mpp_mesh_options o = rig_options(&d.stream, 1, CONSUMERS);
    const bool good = naive_key_parse(fields, (unsigned char)d.stream.separator, &d.key);
    if (mpp_mesh_create(&o, &m, &err) < 0) {
        must(err.status == MPP_S_USAGE && *err.text && (!good || d.kind == RANGE), "%s", err.text);
    } else {
        must(good, "key '%s'", fields);
        input in = records_of(&d.stream.format, &f);
        pass(&d, m, &in, way);
        input_free(&in);
    }
    free(fields);
    free(bounds);
    return 0;
}
