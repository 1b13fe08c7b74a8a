#include "consume/merge.h"

#include "common/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct cursor {
    mpp_batch batch;     /* data NULL: none is held */
    size_t at, len;      /* the record that it stands on */
    unsigned char *last; /* the one before, when it was in an earlier batch */
    size_t last_len, last_size;
    uint64_t records;
    bool over;
} cursor;

struct merge {
    const mpp_mesh *mesh;
    unsigned stream, n;
    bool stable;
    cursor *cursors;
    unsigned *heap, size; /* cursors that stand on a record, least first */
    unsigned missing;     /* cursors that are neither in the heap nor over */
    int current;          /* whose record is out, -1: none */
    bool gone;
};

merge *merge_create(const mpp_mesh *mesh, unsigned stream, bool stable)
{
    merge *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    *m = (merge){.mesh = mesh, .stream = stream, .n = mpp_mesh_producers(mesh), .stable = stable, .current = -1};
    m->missing = m->n;
    m->cursors = calloc(m->n, sizeof *m->cursors);
    m->heap = calloc(m->n, sizeof *m->heap);
    if (!m->cursors || !m->heap)
        merge_destroy(&m, NULL);
    return m;
}

void merge_destroy(merge **mp, mpp_consumer *consumer)
{
    merge *m = *mp;
    *mp = NULL;
    if (!m)
        return;
    for (unsigned i = 0; m->cursors && i < m->n; i++) {
        if (m->cursors[i].batch.data)
            mpp_release(consumer, &m->cursors[i].batch);
        free(m->cursors[i].last);
    }
    free(m->cursors);
    free(m->heap);
    free(m);
}

static const unsigned char *record_of(const cursor *c)
{
    return c->batch.data + c->at;
}

/* By key, and where that says nothing, by all bytes. */
static int compare(const merge *m, const unsigned char *a, size_t a_len, const unsigned char *b, size_t b_len)
{
    return m->stable ? mpp_record_compare(m->mesh, m->stream, a, a_len, b, b_len)
                     : mpp_record_order(m->mesh, m->stream, a, a_len, b, b_len);
}

static bool before(const merge *m, unsigned a, unsigned b)
{
    const cursor *x = &m->cursors[a], *y = &m->cursors[b];
    int order = compare(m, record_of(x), x->len, record_of(y), y->len);
    return order < 0 || (order == 0 && a < b);
}

static void sift_down(merge *m, unsigned i)
{
    for (;;) {
        unsigned least = i, left = 2 * i + 1, right = left + 1;
        if (left < m->size && before(m, m->heap[left], m->heap[least]))
            least = left;
        if (right < m->size && before(m, m->heap[right], m->heap[least]))
            least = right;
        if (least == i)
            return;
        unsigned swap = m->heap[i];
        m->heap[i] = m->heap[least];
        m->heap[least] = swap;
        i = least;
    }
}

static void push(merge *m, unsigned producer)
{
    unsigned i = m->size++;
    m->heap[i] = producer;
    while (i > 0 && before(m, m->heap[i], m->heap[(i - 1) / 2])) {
        unsigned up = (i - 1) / 2, swap = m->heap[i];
        m->heap[i] = m->heap[up];
        m->heap[up] = swap;
        i = up;
    }
}

enum { EXCERPT = 32, OPTIONS = 160 };

/* The beginning of a record, without its length, for a message. */
static void excerpt(const mpp_format *format, const unsigned char *record, size_t len, char text[EXCERPT])
{
    size_t at = (format->kind == MPP_U32LE || format->kind == MPP_U32BE) && len ? 4 : 0, n = 0;
    for (; at < len && n < EXCERPT - 1 && record[at] != '\n' && record[at] != 0; at++)
        text[n++] = record[at] < ' ' || record[at] == 0x7f ? '?' : (char)record[at];
    text[n] = 0;
}

/* A stream's key as sort is told it: " -t , -k 2,2nr -k 1,1" of "2nr,1". */
static void sort_options(const mpp_stream_info *info, char text[OPTIONS])
{
    const char *key = info->key ? info->key : "";
    unsigned char separator = (unsigned char)info->separator;
    text_line line = {.at = text, .size = OPTIONS};
    text[0] = 0;
    if (*key)
        text_add(&line, separator > ' ' && separator < 0x7f ? " -t '%c'" : " -t $'\\x%02x'", separator);
    while (*key) {
        int digits = (int)strspn(key, "0123456789"), len = (int)strcspn(key, ",");
        text_add(&line, " -k %.*s,%.*s", digits, key, len, key);
        key += len + (key[len] == ',');
    }
}

/* A producer's record is less than the one before, or only its bytes are: then it may have been sorted by the key, and
 * by other rules beyond it. */
static mpp_outcome disorder(const merge *m, unsigned producer, const unsigned char *previous, size_t previous_len,
                            mpp_error *err)
{
    const cursor *c = &m->cursors[producer];
    const mpp_stream_info *info = mpp_mesh_stream(m->mesh, m->stream);
    char this[EXCERPT], last[EXCERPT], options[OPTIONS];
    bool tie = mpp_record_compare(m->mesh, m->stream, previous, previous_len, record_of(c), c->len) == 0;
    sort_options(info, options);
    excerpt(&info->format, record_of(c), c->len, this);
    excerpt(&info->format, previous, previous_len, last);
    *err = (mpp_error){.status = MPP_S_ERROR};
    int n =
        snprintf(err->text, sizeof err->text,
                 "stream '%s': producer %u is not sorted: its record %llu ('%s') comes after its record %llu ('%s'), ",
                 info->name, producer, (unsigned long long)c->records, this, (unsigned long long)c->records - 1, last);
    size_t room = sizeof err->text - (size_t)n; /* names and excerpts are short */
    if (tie)
        snprintf(err->text + n, room,
                 "whose key is equal and whose bytes are greater: ties are out of order; sort each input with LC_ALL=C "
                 "sort%s, and not with -r for all as in sort -rn, or merge with --stable",
                 options);
    else
        snprintf(err->text + n, room, "which sorts behind it; sort each input with LC_ALL=C sort%s", options);
    return MPP_ERROR;
}

/* Stand on the record at c->at, which must be a whole one and not sort before `previous`. */
static mpp_outcome stand(merge *m, unsigned producer, const unsigned char *previous, size_t previous_len,
                         mpp_error *err)
{
    cursor *c = &m->cursors[producer];
    const mpp_stream_info *info = mpp_mesh_stream(m->mesh, m->stream);
    mpp_outcome outcome = MPP_OK;
    if (c->batch.len == 0)
        c->len = 0; /* an empty record of its own */
    else
        outcome =
            mpp_record_next(&info->format, mpp_mesh_max_record(m->mesh), record_of(c), c->batch.len - c->at, &c->len);
    if (outcome != MPP_OK) {
        *err = (mpp_error){.status = MPP_S_CORRUPT};
        snprintf(err->text, sizeof err->text, "what producer %u sent is not a record", producer);
        return MPP_ERROR;
    }
    c->records++;
    if (previous && compare(m, previous, previous_len, record_of(c), c->len) > 0)
        return disorder(m, producer, previous, previous_len, err);
    return MPP_OK;
}

/* The batch is used up: keep its last record to compare the next with. */
static bool keep_last(cursor *c)
{
    if (c->len > c->last_size) {
        unsigned char *bigger = realloc(c->last, c->len * 2);
        if (!bigger)
            return false;
        c->last = bigger;
        c->last_size = c->len * 2;
    }
    if (c->len)
        memcpy(c->last, record_of(c), c->len);
    c->last_len = c->len;
    return true;
}

/* Go past the record that was out. */
static mpp_outcome pass(merge *m, mpp_consumer *consumer, mpp_error *err)
{
    unsigned producer = (unsigned)m->current;
    cursor *c = &m->cursors[producer];
    const unsigned char *previous = record_of(c);
    size_t previous_len = c->len;
    m->current = -1;
    if (c->at + c->len < c->batch.len) {
        c->at += c->len;
        mpp_outcome outcome = stand(m, producer, previous, previous_len, err);
        sift_down(m, 0);
        return outcome;
    }
    if (!keep_last(c)) {
        *err = (mpp_error){.status = MPP_S_ERROR, .text = "no memory for the last record of a batch"};
        return MPP_ERROR;
    }
    mpp_release(consumer, &c->batch);
    m->heap[0] = m->heap[--m->size];
    sift_down(m, 0);
    m->missing++;
    return MPP_OK;
}

/* Ask one producer that is neither in the heap nor over. */
static mpp_outcome ask_producer(merge *m, mpp_consumer *consumer, unsigned producer, mpp_error *err)
{
    cursor *c = &m->cursors[producer];
    mpp_outcome outcome = mpp_next(consumer, m->stream, (int)producer, &c->batch);
    switch (outcome) {
    case MPP_OK:
        c->at = 0;
        outcome = stand(m, producer, c->records ? c->last : NULL, c->last_len, err);
        if (outcome == MPP_OK)
            push(m, producer);
        break;
    case MPP_GONE:
        m->gone = true;
        c->over = true;
        outcome = MPP_OK;
        break;
    case MPP_CLOSED:
        c->over = true;
        outcome = MPP_OK;
        break;
    default:
        return outcome;
    }
    m->missing--;
    return outcome;
}

static mpp_outcome ask_producers(merge *m, mpp_consumer *consumer, mpp_error *err)
{
    bool blocked = false;
    for (unsigned i = 0; m->missing && i < m->n; i++) {
        cursor *c = &m->cursors[i];
        if (c->over || c->batch.data)
            continue;
        mpp_outcome outcome = ask_producer(m, consumer, i, err);
        if (outcome == MPP_ERROR)
            return outcome;
        blocked |= outcome == MPP_WOULD_BLOCK;
    }
    return blocked ? MPP_WOULD_BLOCK : MPP_OK;
}

mpp_outcome merge_next(merge *m, mpp_consumer *consumer, const unsigned char **record, size_t *len, unsigned *producer,
                       mpp_error *err)
{
    mpp_outcome outcome = m->current >= 0 ? pass(m, consumer, err) : MPP_OK;
    if (outcome == MPP_OK && m->missing)
        outcome = ask_producers(m, consumer, err);
    if (outcome != MPP_OK)
        return outcome;
    if (m->size == 0)
        return m->gone ? MPP_GONE : MPP_CLOSED;
    m->current = (int)m->heap[0];
    *producer = m->heap[0];
    *record = record_of(&m->cursors[m->heap[0]]);
    *len = m->cursors[m->heap[0]].len;
    return MPP_OK;
}
