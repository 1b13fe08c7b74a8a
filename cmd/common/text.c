#include "common/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

void text_add(text_line *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(l->at + l->used, l->size - l->used, format, args);
    va_end(args);
    l->used += n > 0 ? (size_t)n : 0;
    if (l->used >= l->size) {
        l->used = l->size - 1;
        l->cut = true;
    }
}

const char *text_role(char role)
{
    return role == 'p' ? "producer" : "consumer";
}

static void scaled(char *out, uint64_t n, double base)
{
    static const char units[] = "KMGTPE";
    if ((double)n < base) {
        snprintf(out, TEXT_CELL, "%" PRIu64, n);
        return;
    }
    double v = (double)n / base;
    size_t u = 0;
    /* 999.5 and not base: "1000K" would be one column wider than anything else. */
    while (v >= 999.5 && u + 2 < sizeof units) {
        v /= base;
        u++;
    }
    snprintf(out, TEXT_CELL, "%.*f%c", v < 9.95 ? 1 : 0, v, units[u]);
}

void text_count(char *out, uint64_t n)
{
    scaled(out, n, 1000);
}

void text_bytes(char *out, uint64_t n)
{
    scaled(out, n, 1024);
}

void text_duration(char *out, int64_t ns)
{
    const int64_t ms = ns / 1000000, s = ms / 1000, m = s / 60, h = m / 60;
    if (ns <= 0)
        snprintf(out, TEXT_CELL, "0");
    else if (ms == 0)
        snprintf(out, TEXT_CELL, "%" PRId64 "us", ns / 1000);
    else if (s == 0)
        snprintf(out, TEXT_CELL, "%" PRId64 "ms", ms);
    else if (s < 100)
        snprintf(out, TEXT_CELL, "%" PRId64 ".%" PRId64 "s", s, ms / 100 % 10);
    else if (h == 0)
        snprintf(out, TEXT_CELL, "%" PRId64 "m%02" PRId64 "s", m, s % 60);
    else if (h < 48)
        snprintf(out, TEXT_CELL, "%" PRId64 "h%02" PRId64 "m", h, m % 60);
    else
        snprintf(out, TEXT_CELL, "%" PRId64 "d%02" PRId64 "h", h / 24, h % 24);
}

void text_rate(char *out, double per_s, void (*number)(char *out, uint64_t n))
{
    if (per_s < 0)
        return;
    number(out, per_s < 1e18 ? (uint64_t)(per_s + 0.5) : UINT64_C(1000000000000000000));
    strcat(out, "/s");
}

void text_bar(char *out, uint64_t part, uint64_t whole)
{
    enum { BAR = 10 };
    unsigned full = 0;
    if (whole > 0)
        full = part >= whole ? BAR : (unsigned)((double)part / (double)whole * BAR + 0.5);
    if (part > 0 && full == 0)
        full = 1;
    out[0] = '[';
    memset(out + 1, '#', full);
    memset(out + 1 + full, '.', BAR - full);
    memcpy(out + 1 + BAR, "]", 2);
}

/* The next character of the first `most` bytes of in; its length, or 0 where it is no printable one. */
static size_t printable(const char *in, size_t most, wchar_t *w)
{
    mbstate_t state = {0};
    size_t n = mbrtowc(w, in, most, &state);
    return n == (size_t)-1 || n == (size_t)-2 || !iswprint((wint_t)*w) ? 0 : n;
}

void text_disarm(char *text, char by)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (*p < ' ' || *p == 0x7f)
            *p = (unsigned char)by;
        if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            p[0] = p[1] = (unsigned char)by;
    }
}

bool text_starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

void text_clean(char *out, size_t size, const char *in)
{
    size_t used = 0;
    while (*in) {
        wchar_t w;
        size_t n = printable(in, strlen(in), &w), take = n ? n : 1;
        if (used + take >= size)
            break;
        if (n)
            memcpy(out + used, in, n);
        else
            out[used] = '?';
        used += take;
        in += take;
    }
    out[used] = '\0';
}

int text_put(const char *in, size_t n, int columns, FILE *out)
{
    int used = 0;
    while (n > 0) {
        wchar_t w;
        const size_t len = printable(in, n, &w), take = len ? len : 1;
        const int wide = len ? wcwidth(w) : 1;
        if (wide > columns - used)
            break;
        used += wide > 0 ? wide : 0;
        if (len)
            fwrite(in, 1, len, out);
        else
            putc('?', out);
        in += take;
        n -= take;
    }
    return used;
}

int text_width(const char *s)
{
    int width = 0;
    while (*s) {
        wchar_t w;
        size_t n = printable(s, strlen(s), &w);
        int cols = n ? wcwidth(w) : 1;
        width += cols > 0 ? cols : 0;
        s += n ? n : 1;
    }
    return width;
}
