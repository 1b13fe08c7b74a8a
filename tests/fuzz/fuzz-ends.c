/* fuzz-ends - how a stream's run stands: any end words and positions, and what a consumer makes of them
 *
 * Shows that what is handed out is records that were published, in their order, each at most once; that a run is over
 * only when the word says so; and that a word that cannot be ends the mesh. */
#include "live.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    place_make();
    return 0;
}

static layout_end *end_of(const rig *r)
{
    return layout_end_of(&r->mesh->l, mesh_channel(r->mesh, 0, 0, 0), 0);
}

/* A run near those that there are, and a state; or anything. */
static uint64_t word_of(food *f)
{
    const unsigned how = food_byte(f);
    return how == 255 ? food_number(f, 8) : (uint64_t)(how >> 4 & 3) << 8 | (how & 15);
}

/* Records are numbered: each batch goes on behind the one before, or further on. */
static void check_order(rig *r)
{
    const bytes *got = &r->got[0][0];
    unsigned last = 0;
    for (size_t i = 0; i + 2 <= got->n; i += 2) {
        const unsigned number = got->data[i];
        must(number > last && got->data[i + 1] == '\n', "record %u after %u", number, last);
        last = number;
    }
    must(got->n % 2 == 0, "%zu bytes", got->n);
}

/* Does the word say that run `run` is over, or that a later one has begun? */
static bool says_over(const rig *r, unsigned run)
{
    const uint64_t word = load_relaxed(&end_of(r)->word);
    const unsigned state = word & 0xff;
    return word >> 8 > run || (word >> 8 == run && (state == LAYOUT_ENDED || state == LAYOUT_CANCELLED));
}

static void publish(rig *r, unsigned *number)
{
    const char record[] = {(char)++*number};
    if (*number < 100 && *number != '\n' && mpp_try_produce(r->p, 0, record, 1) == MPP_OK)
        mpp_flush(r->p);
}

static void scribble(rig *r, food *f)
{
    layout_end *end = end_of(r);
    const uint64_t write = load_relaxed(&mesh_channel(r->mesh, 0, 0, 0)->write);
    const unsigned what = food_byte(f);
    if (what & 1)
        store_relaxed(&end->begin, food_word(f, write));
    if (what & 2)
        store_relaxed(&end->end, food_word(f, write));
    if (what & 4)
        store_release(&end->word, word_of(f));
    if (what & 8)
        store_relaxed(layout_request_at(&r->mesh->l, r->mesh->base, 0, 0), (uint32_t)food_word(f, 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rig r;
    food f = {data, size < 400 ? size : 400};
    const mpp_format second = {MPP_FIXED, 0, 4};
    unsigned number = 0, run = 0;
    bool over = false; /* the word has said so */
    mpp_outcome outcome = MPP_OK;
    live_open(&r, &second, 2, 1, 3);
    while (f.n > 0 && outcome != MPP_GONE) {
        switch (food_below(&f, 6)) {
        case 0:
            publish(&r, &number);
            break;
        case 1:
            outcome = mpp_start(r.c[0], 0);
            run += outcome == MPP_OK;
            over &= outcome != MPP_OK;
            break;
        case 2:
            mpp_service(r.p);
            break;
        case 3:
            mpp_wait(NULL, r.c[0], MPP_COMPUTING, NULL, 0, 1);
            break;
        case 4:
            scribble(&r, &f);
            break;
        default:
            outcome = live_take(&r, 0, 0);
            must(outcome != MPP_CLOSED || run == 0 || over, "run %u is over", run);
        }
        over |= says_over(&r, run);
    }
    if (outcome == MPP_GONE)
        live_failed(&r, true);
    check_order(&r);
    live_close(&r);
    return 0;
}
