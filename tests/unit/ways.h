/* ways.h - records of every format, and every way to put them into a stream */
#ifndef WAYS_H
#define WAYS_H

#include "rig.h"

#include <sys/mman.h>

enum { FRAME_MAX = RIG_RING / 4 - 8, MAX_RECORD = 200000, FIXED_SIZE = 7 };

/* ---- input: framed records and where each begins ---------------------------------------------------- */

typedef struct input {
    mpp_format format;
    bytes framed;
    size_t *at; /* n + 1 offsets */
    unsigned n, room;
} input;

static unsigned char noise[2 * MAX_RECORD]; /* no newline, no NUL */

static inline void make_noise(void)
{
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (unsigned char)(' ' + tap_random(200));
}

static inline size_t prefix_of(const mpp_format *f)
{
    return f->kind == MPP_U32LE || f->kind == MPP_U32BE ? 4 : 0;
}

static inline size_t suffix_of(const mpp_format *f)
{
    return f->kind == MPP_DELIMITED ? 1 : 0;
}

static inline void input_add(input *in, const void *body, size_t n)
{
    unsigned char prefix[4];
    for (unsigned i = 0; i < 4; i++)
        prefix[in->format.kind == MPP_U32LE ? i : 3 - i] = (unsigned char)(n >> 8 * i);
    if (in->n + 2 > in->room) {
        in->room = 2 * (in->n + 2);
        in->at = realloc(in->at, in->room * sizeof *in->at);
    }
    in->at[in->n++] = in->framed.n;
    bytes_add(&in->framed, prefix, prefix_of(&in->format));
    bytes_add(&in->framed, body, n);
    bytes_add(&in->framed, &in->format.delimiter, suffix_of(&in->format));
    in->at[in->n] = in->framed.n;
}

static inline void input_add_noise(input *in, size_t n)
{
    input_add(in, noise + tap_random(sizeof noise - n), n);
}

/* Mostly short ones, some longer than a frame, some longer than the ring. */
static inline input input_random(const mpp_format *f, size_t total, size_t longest)
{
    input in = {.format = *f};
    while (in.framed.n < total) {
        size_t most = tap_random(20) ? 100 : tap_random(2) ? longest / 8 : longest;
        input_add_noise(&in, f->kind == MPP_FIXED ? f->size : tap_random(most + 1));
    }
    return in;
}

static inline const unsigned char *body_of(const input *in, unsigned i, size_t *n)
{
    *n = in->at[i + 1] - in->at[i] - prefix_of(&in->format) - suffix_of(&in->format);
    return in->framed.data + in->at[i] + prefix_of(&in->format);
}

static inline void input_free(input *in)
{
    bytes_free(&in->framed);
    free(in->at);
}

/* ---- the ways in ------------------------------------------------------------------------------------ */

static inline bool by_try(rig *r, unsigned stream, const input *in)
{
    for (unsigned i = 0; i < in->n; i++) {
        size_t n;
        const unsigned char *body = body_of(in, i, &n);
        if (rig_put(r, stream, body, n) != MPP_OK)
            return false;
    }
    return true;
}

/* In pieces of any size: what is not taken of one is offered again with the next. */
static inline bool by_feed(rig *r, unsigned stream, const input *in)
{
    size_t at = 0, end = 0, used;
    for (unsigned stuck = 0; at < in->framed.n && stuck < RIG_PATIENCE; stuck++) {
        mpp_outcome outcome = mpp_feed(r->p, stream, in->framed.data + at, end - at, &used);
        at += used;
        stuck = used ? 0 : stuck;
        if (outcome == MPP_WOULD_BLOCK)
            rig_turn(r);
        else if (outcome != MPP_OK)
            return false;
        else
            end += tap_random(tap_random(4) ? 2000 : 100000);
        end = end < in->framed.n ? end : in->framed.n;
    }
    return at == in->framed.n;
}

/* mpp_fill() to the end of fd, with a limit at times; MPP_OK then. */
static inline mpp_outcome fill(rig *r, unsigned stream, int fd, mpp_error *err)
{
    for (unsigned stuck = 0; stuck < RIG_PATIENCE; stuck++) {
        size_t n;
        mpp_outcome outcome = mpp_fill(r->p, stream, fd, tap_random(2) ? 0 : 1 + tap_random(5000), &n, err);
        if (outcome == MPP_OK && n == 0)
            return MPP_OK;
        if (outcome == MPP_WOULD_BLOCK)
            rig_turn(r);
        else if (outcome != MPP_OK)
            return outcome;
        stuck = n ? 0 : stuck;
    }
    return MPP_WOULD_BLOCK;
}

static inline mpp_outcome fill_end(rig *r, unsigned stream, mpp_error *err)
{
    mpp_outcome outcome = MPP_WOULD_BLOCK;
    for (unsigned tries = 0; tries < RIG_PATIENCE && outcome == MPP_WOULD_BLOCK; tries++) {
        outcome = mpp_fill_end(r->p, stream, err);
        if (outcome == MPP_WOULD_BLOCK)
            rig_turn(r);
    }
    return outcome;
}

static inline int file_of(const void *data, size_t n)
{
    int fd = memfd_create("input", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET) != 0)
        bail_out("memfd: %s", strerror(errno));
    return fd;
}

static inline bool by_file(rig *r, unsigned stream, const input *in)
{
    mpp_error err;
    int fd = file_of(in->framed.data, in->framed.n);
    bool filled = fill(r, stream, fd, &err) == MPP_OK && fill_end(r, stream, &err) == MPP_OK;
    close(fd);
    return filled;
}

/* Write some more into a pipe; at the end of the data close it. */
static inline void feed_pipe(int *fd, const input *in, size_t *at)
{
    size_t n = 1 + tap_random(tap_random(4) ? 3000 : 60000);
    n = n < in->framed.n - *at ? n : in->framed.n - *at;
    ssize_t put = n ? write(*fd, in->framed.data + *at, n) : 0;
    *at += put > 0 ? (size_t)put : 0;
    if (*at == in->framed.n) {
        close(*fd);
        *fd = -1;
    }
}

static inline bool by_pipe(rig *r, unsigned stream, const input *in)
{
    int fds[2];
    size_t at = 0;
    mpp_error err;
    mpp_outcome outcome;
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
        bail_out("pipe: %s", strerror(errno));
    while ((outcome = fill(r, stream, fds[0], &err)) == MPP_ERROR && err.os_error == EAGAIN && fds[1] >= 0)
        feed_pipe(&fds[1], in, &at);
    bool filled = outcome == MPP_OK && fill_end(r, stream, &err) == MPP_OK;
    close(fds[0]);
    if (fds[1] >= 0)
        close(fds[1]);
    return filled;
}

static inline mpp_outcome reserve(rig *r, unsigned stream, size_t n, void **room)
{
    mpp_outcome outcome = MPP_WOULD_BLOCK;
    for (unsigned tries = 0; tries < RIG_PATIENCE && outcome == MPP_WOULD_BLOCK; tries++) {
        outcome = mpp_reserve(r->p, stream, 0, n, room);
        if (outcome == MPP_WOULD_BLOCK)
            rig_turn(r);
    }
    return outcome;
}

/* Frames of as many whole records as a random size takes; sometimes more is reserved than used. */
static inline bool by_reserve(rig *r, unsigned stream, const input *in)
{
    for (unsigned i = 0; i < in->n;) {
        void *room;
        unsigned first = i++;
        size_t most = tap_random(FRAME_MAX);
        while (i < in->n && in->at[i + 1] - in->at[first] <= most)
            i++;
        size_t n = in->at[i] - in->at[first], spare = tap_random(FRAME_MAX - n + 1);
        if (reserve(r, stream, n + spare, &room) != MPP_OK)
            return false;
        memcpy(room, in->framed.data + in->at[first], n);
        mpp_commit(r->p, stream, 0, n, i - first);
    }
    return true;
}

static const struct way {
    const char *name;
    bool (*in)(rig *r, unsigned stream, const input *in);
    bool long_records;
} ways[] = {
    {"mpp_try_produce", by_try, true},     {"mpp_feed", by_feed, true},        {"mpp_fill of a file", by_file, true},
    {"mpp_fill of a pipe", by_pipe, true}, {"mpp_reserve", by_reserve, false},
};
enum { N_WAYS = sizeof ways / sizeof *ways };

/* ---- formats ---------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    mpp_format format;
} formats[] = {
    {"lines", {MPP_DELIMITED, '\n', 0}},
    {"NUL-terminated records", {MPP_DELIMITED, '\0', 0}},
    {"7-byte records", {MPP_FIXED, 0, FIXED_SIZE}},
    {"u32le records", {MPP_U32LE, 0, 0}},
    {"u32be records", {MPP_U32BE, 0, 0}},
};
enum { N_FORMATS = sizeof formats / sizeof *formats };

static inline mpp_stream_options stream_of(const mpp_format *f)
{
    return (mpp_stream_options){.name = "0", .format = *f, .separator = '\t'};
}

#endif
