/* Tests of lib/key.c: what is parsed and refused, the bytes that are hashed, orders compared with those of the
 * real sort(1), ranges compared with the definition. */
#include "record/key.h"
#include "record/key-order.h"
#include "record/key-range.h"
#include "tap.h"

#include <locale.h>
#include <string.h>
#include <unistd.h>

static const unsigned char *bytes_of(const char *s)
{
    return (const unsigned char *)s;
}

/* A copy of exactly these bytes, so that a sanitizer sees a byte read too many.  The caller frees it. */
static unsigned char *exact(const void *data, size_t n)
{
    unsigned char *copy = malloc(n == 0 ? 1 : n);
    if (copy == NULL)
        abort();
    return n == 0 ? copy : memcpy(copy, data, n);
}

static key parsed(const char *text, char separator)
{
    key k;
    mpp_error err = {.text = ""};
    if (key_parse(text, separator, &k, &err) != 0) {
        diag("key '%s': %s", text, err.text);
        abort();
    }
    return k;
}

static int compare(const key *k, const char *a, const char *b)
{
    return key_compare(k, bytes_of(a), strlen(a), bytes_of(b), strlen(b));
}

/* ---- parsing ------------------------------------------------------------------------------------ */

static void test_parse(void)
{
    key k = parsed("2nr,1", '\t');
    ok(k.n == 2 && k.separator == '\t', "'2nr,1' has two fields");
    ok(k.fields[0].field == 2 && k.fields[0].order == KEY_NUMERIC && k.fields[0].reverse && !k.fields[0].fold &&
           !k.fields[0].skip_blanks,
       "its first is field 2, numeric and reversed");
    ok(k.fields[1].field == 1 && k.fields[1].order == KEY_BYTES && !k.fields[1].reverse,
       "its second is field 1, plain: letters are those of their field only");
    k = parsed("65535fbg,3h", (char)0xff);
    ok(k.fields[0].field == 65535 && k.fields[0].order == KEY_GENERAL && k.fields[0].fold && k.fields[0].skip_blanks,
       "'65535fbg' is the last field, with every letter that goes together");
    ok(k.fields[1].order == KEY_HUMAN && k.separator == 0xff, "'3h' is human, and a separator can be any byte");
    ok(parsed("1nn", ' ').fields[0].order == KEY_NUMERIC, "a letter may stand twice");
    ok(parsed("007", ' ').fields[0].field == 7, "a field's number may have leading zeros");
    ok(parsed("", ' ').n == 0, "no text is no key");
    ok(parsed("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16", ' ').n == KEY_FIELDS_MAX, "a key may have %d fields",
       KEY_FIELDS_MAX);
}

static void refuses(const char *text, const char *quoted)
{
    key k;
    mpp_error err = {.text = ""};
    int rc = key_parse(text, '\t', &k, &err);
    if (!ok(rc == -1 && err.status == MPP_S_USAGE && err.os_error == 0 && strstr(err.text, quoted) != NULL,
            "'%s' is refused, and the message says %s", text, quoted))
        diag("%d: %s", rc, err.text);
}

/* What sort's users write for one field: from it, to it. */
static void test_refused_twice(void)
{
    static const struct {
        const char *sorts, *ours;
    } CASES[] = {{"2,2", "-k 2"},         {"2,2n", "-k 2n"},
                 {"2n,2", "-k 2n"},       {"2n,2n", "-k 2n"},
                 {"1n,1r", "-k 1nr"},     {"1r,1n", "-k 1nr"},
                 {"3fb,3hr", "-k 3hfbr"}, {"1b,1", "-k 1b"},
                 {"1,1b", "-k 1"}, /* sort's b of an end is about positions in a field */
                 {"007g,7", "-k 7g"},     {"65535,65535r", "-k 65535r"}};
    char sentence[80], text[80];
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        snprintf(sentence, sizeof sentence, "for sort's -k %s write %s", CASES[i].sorts, CASES[i].ours);
        refuses(CASES[i].sorts, sentence);
        snprintf(text, sizeof text, "9,%s,10", CASES[i].sorts);
        refuses(text, sentence);
    }
    refuses("1,2,1", "names field 1 twice: leave one of them out");
    refuses("1n,2,3,1r", "names field 1 twice: leave one of them out");
    refuses("2n,2g", "names field 2 twice: leave one of them out");
    refuses("2,2,2", "field 2 twice");
}

static void test_refused(void)
{
    static const char *const LETTERS[] = {"'1d'", "'1i'", "'1M'", "'1R'", "'1V'", "'1z'", "'1N'", "'1 '", "'1-'"};
    for (size_t i = 0; i < sizeof LETTERS / sizeof *LETTERS; i++) {
        char text[3] = {LETTERS[i][1], LETTERS[i][2], '\0'};
        refuses(text, LETTERS[i]);
        refuses(text, "n, g or h (one of them), f, b, r");
    }
    refuses("2nx,1", "'2nx'");
    refuses("2nx,1", "from 'x' on");
    refuses("1,2ng", "from 'g' on");
    refuses("1gh", "from 'h' on");
    refuses("1nh", "exclude one another, as they do in sort");
    refuses("1M", "sort's letters d, i, M, R and V");
    refuses("1.3", "from '.3' on");
    refuses("1.3", "make them a field of their own");
    refuses("+1", "write N + 1");
    refuses("1,0", "'0'");
    refuses("65536", "'65536'");
    refuses("65536", "1 to 65535");
    refuses("4294967297", "'4294967297'");
    refuses("99999999999999999999999999", "from 1 to 65535");
    refuses("n", "'n'");
    refuses("-1", "'-1'");
    refuses(" 1", "' 1'");
    refuses("1,", "''");
    refuses(",1", "''");
    refuses("1,,2", "''");
    refuses("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "more than 16 fields");
    char longer[KEY_TEXT_MAX + 1];
    memset(longer, 'r', sizeof longer);
    longer[0] = '1';
    longer[KEY_TEXT_MAX] = '\0';
    refuses(longer, "longer than 127 bytes");
    longer[KEY_TEXT_MAX - 1] = '\0';
    ok(parsed(longer, '\t').n == 1, "a key may have %d bytes", KEY_TEXT_MAX - 1);
    key k;
    ok(key_parse("x", '\t', &k, NULL) == -1, "an error needs no place for its text");
}

/* ---- the bytes that are hashed ------------------------------------------------------------------ */

static void joins(const char *list, const char *body, bool found, bool in_place, const char *want)
{
    key k = parsed(list, ':');
    key_scratch scratch = {NULL, 0};
    size_t n = strlen(body), len;
    unsigned char *copy = exact(body, n);
    const unsigned char *bytes;
    bool all = key_bytes(&k, copy, n, &scratch, &bytes, &len);
    bool here = bytes >= copy && bytes + len <= copy + n;
    if (!ok(all == found && here == in_place && len == strlen(want) && memcmp(bytes, want, len) == 0,
            "key '%s' of '%s' is '%s'%s%s", list, body, want, found ? "" : ", with a field missing",
            in_place ? ", not copied" : ""))
        diag("found %d, in place %d, '%.*s'", all, here, (int)len, (const char *)bytes);
    free(scratch.data);
    free(copy);
}

static void test_key_bytes(void)
{
    joins("1", "a:b:c", true, true, "a");
    joins("2", "a:b:c", true, true, "b");
    joins("3", "a:b:c", true, true, "c");
    joins("4", "a:b:c", false, true, "");
    joins("65535", "a:b:c", false, true, "");
    joins("1", "", true, true, "");
    joins("2", "", false, true, "");
    joins("2", ":", true, true, "");
    joins("3", ":", false, true, "");
    joins("1", "abc", true, true, "abc");
    joins("", "a:b", true, true, "a:b");
    joins("", "", true, true, "");
    joins("1,2", "a:b:c", true, true, "a:b");
    joins("2,3", "a:b:c", true, true, "b:c");
    joins("1,2,3", "::", true, true, "::");
    joins("2,1", "a:b:c", true, false, "b:a");
    joins("1,3", "a:b:c", true, false, "a:c");
    joins("3,1,2", "a:b:c", true, false, "c:a:b");
    joins("1,2", "a", false, false, "a:");
    joins("3,4,5", "a:b:c", false, false, "c::");
    joins("7,8", "a:b:c", false, false, ":");
    key one = parsed("2", ':');
    const unsigned char *bytes;
    size_t len;
    ok(!key_bytes(&one, NULL, 0, NULL, &bytes, &len) && bytes != NULL && len == 0,
       "a record of no bytes needs no address, and a key of one field no scratch");
}

/* Field by field, byte by byte, from the definition. */
static bool ref_key_bytes(const key *k, const unsigned char *body, size_t n, unsigned char *to, size_t *len)
{
    bool all = true;
    *len = 0;
    for (unsigned i = 0; i < k->n; i++) {
        uint32_t at = 1;
        if (i > 0)
            to[(*len)++] = k->separator;
        for (size_t b = 0; b < n; b++)
            if (body[b] == k->separator)
                at++;
            else if (at == k->fields[i].field)
                to[(*len)++] = body[b];
        all &= at >= k->fields[i].field;
    }
    return all;
}

static void test_key_bytes_against_reference(void)
{
    enum { ROUNDS = 20000, BODY = 40 };
    unsigned bad = 0;
    key_scratch scratch = {NULL, 0};
    for (unsigned i = 0; i < ROUNDS && bad == 0; i++) {
        key k = {.n = 1 + (unsigned)tap_random(4), .separator = ':'};
        unsigned char body[BODY], want[4 * BODY + 4];
        size_t n = tap_random(BODY + 1), len, want_len;
        for (unsigned f = 0; f < k.n; f++)
            k.fields[f].field = 1 + (uint32_t)tap_random(5);
        for (size_t b = 0; b < n; b++)
            body[b] = tap_random(4) == 0 ? ':' : (unsigned char)('a' + tap_random(26));
        const unsigned char *bytes;
        unsigned char *copy = exact(body, n);
        bool all = key_bytes(&k, copy, n, &scratch, &bytes, &len);
        bool want_all = ref_key_bytes(&k, body, n, want, &want_len);
        bad += all != want_all || len != want_len || memcmp(bytes, want, len) != 0;
        if (bad != 0)
            diag("'%.*s': '%.*s', not '%.*s'", (int)n, (char *)body, (int)len, (const char *)bytes, (int)want_len,
                 (char *)want);
        free(copy);
    }
    free(scratch.data);
    ok(bad == 0, "keys of %d random records agree with the reference", ROUNDS);
}

/* Two moduli near 2^32 show all of the hash's 64 bits. */
static void hashes(const char *what, const unsigned char *p, size_t n, uint64_t xxh3)
{
    static const unsigned MODULI[] = {1, 2, 3, 4, 7, 256, 4294967291, 4294967295};
    unsigned bad = 0;
    for (size_t i = 0; i < sizeof MODULI / sizeof *MODULI; i++)
        bad += key_hash(p, n, MODULI[i]) != xxh3 % MODULI[i];
    ok(bad == 0, "the hash of %s is what xxhsum says", what);
}

static void test_hash(void)
{
    /* printf %s STRING | xxhsum -H3 */
    static const struct {
        const char *text;
        uint64_t hash;
    } STRINGS[] = {{"", 0x2d06800538d394c2},
                   {"a", 0xe6c632b61e964e1f},
                   {"key", 0xbbea0d63a05165e3},
                   {"2024-01-01", 0x38be2aa818dbfdea}};
    /* head -c LENGTH /dev/zero | tr '\0' x | xxhsum -H3: one of each way that XXH3 takes by length */
    static const struct {
        size_t n;
        uint64_t hash;
    } LENGTHS[] = {{17, 0x89975e6b7d2f5a11},
                   {100, 0xc90984ffdf50ce42},
                   {200, 0x50ef124fb1e4de53},
                   {300, 0xa5d1b4607dc83554},
                   {5000, 0x8d8567cbc9ee3d90}};
    char what[32];
    for (size_t i = 0; i < sizeof STRINGS / sizeof *STRINGS; i++) {
        snprintf(what, sizeof what, "'%s'", STRINGS[i].text);
        hashes(what, bytes_of(STRINGS[i].text), strlen(STRINGS[i].text), STRINGS[i].hash);
    }
    for (size_t i = 0; i < sizeof LENGTHS / sizeof *LENGTHS; i++) {
        unsigned char *p = malloc(LENGTHS[i].n);
        if (p == NULL)
            abort();
        memset(p, 'x', LENGTHS[i].n);
        snprintf(what, sizeof what, "%zu times x", LENGTHS[i].n);
        hashes(what, p, LENGTHS[i].n, LENGTHS[i].hash);
        free(p);
    }
}

/* ---- orders, against sort(1) -------------------------------------------------------------------- */

typedef struct text {
    char data[256];
    size_t n;
} text;

static void append(text *t, const char *s)
{
    size_t n = strlen(s);
    if (t->n + n < sizeof t->data) {
        memcpy(t->data + t->n, s, n + 1);
        t->n += n;
    }
}

static void append_chars(text *t, const char *alphabet, unsigned n)
{
    for (; n > 0; n--)
        append(t, (char[]){alphabet[tap_random(strlen(alphabet))], '\0'});
}

static void append_one(text *t, const char *const *of, size_t n)
{
    append(t, of[tap_random(n)]);
}

/* Few different digits, so that there are ties and near ties. */
static void append_decimal(text *t)
{
    static const char *const HEADS[] = {"", "", "", "-", "-", " ", "  -", "\t", "\n", "+", "- ", "--", "\v"};
    append_one(t, HEADS, sizeof HEADS / sizeof *HEADS);
    append_chars(t, "0", (unsigned)tap_random(3));
    append_chars(t, "0129", (unsigned)tap_random(tap_random(5) == 0 ? 40 : 4));
    if (tap_random(3) == 0) {
        append(t, ".");
        append_chars(t, "019", (unsigned)tap_random(4));
        append_chars(t, "0", (unsigned)tap_random(3));
    }
    append_chars(t, " .,-xe5", tap_random(4) == 0 ? 1 : 0);
}

static bool knows_quetta;  /* sort does: since 9.2, which has a rule for NaNs, too */
static unsigned nans_left; /* before that, how several are ordered depends on padding bytes */

static void append_human(text *t)
{
    append_decimal(t);
    append_chars(t, knows_quetta ? "kKMGTPEZYRQmgrqBi " : "kKMGTPEZYmgBi ", (unsigned)tap_random(3));
}

static void append_nan(text *t)
{
    static const char *const NANS[] = {"nan", "-nan", "NaN", "nan(123)", "-NAN(5)", " nan", "+nan", "nanx", "nan("};
    if (knows_quetta || nans_left > 0)
        append_one(t, NANS, sizeof NANS / sizeof *NANS);
    nans_left -= nans_left > 0;
}

static void append_general(text *t)
{
    static const char *const SPECIAL[] = {
        "inf", "-inf",   "INFINITY",     "0x1p3",     "0X10",    "1e5",     "-1E-3",   "1e5000", "-1e5000", "1e-5",
        "+5",  ".5",     "5.",           ".",         "",        " 7",      "\n7",     "1e",     "0x",      "1_0",
        "1,5", "-0",     "+0",           "0",         "x",       "1e+",     "infx",    "\v8",    "8 ",      "1e5 x",
        "-",   "1e4931", "infinity",     "-Infinity", "0x1.8p1", "0x.8P-1", "-0x1p-3", "0xg",    "1e-4940", "00012",
        "--1", "+-1",    "1e9999999999", "1d5",       "na",      "i"};
    if (tap_random(2) == 0)
        append_one(t, SPECIAL, sizeof SPECIAL / sizeof *SPECIAL);
    else
        append_decimal(t);
}

static void append_text(text *t)
{
    append_chars(t, " \t\n", tap_random(3) == 0 ? (unsigned)tap_random(3) : 0);
    append_chars(t, "aAbBzZ_[`@{~ \x80\xc3\xff", (unsigned)tap_random(5));
}

static void append_field(text *t)
{
    static void (*const KINDS[])(text *) = {append_decimal, append_human, append_general,
                                            append_text,    append_human, append_nan};
    KINDS[tap_random(sizeof KINDS / sizeof *KINDS)](t);
}

enum { RECORDS = 300 };

static void make_records(text *records, char separator)
{
    for (unsigned i = 0; i < RECORDS; i++) {
        records[i] = (text){.n = 0};
        for (uint64_t f = tap_random(4); f > 0; f--) {
            append_field(&records[i]);
            if (f > 1)
                append(&records[i], (char[]){separator, '\0'});
        }
    }
}

/* "2nr,1" for us is -k2nr,2 -k1,1 for sort. */
static void sort_options(const char *list, char *options, size_t room)
{
    size_t n = 0;
    options[0] = '\0';
    while (*list != '\0') {
        int len = (int)strcspn(list, ",");
        n += (size_t)snprintf(options + n, room - n, " -k%.*s,%lu", len, list, strtoul(list, NULL, 10));
        list += len + (list[len] == ',');
    }
}

/* What sort makes of the records; both ways NUL ends one.  Its size. */
static size_t sort_says(const text *records, unsigned n, const char *options, char separator, char *out, size_t room)
{
    char command[256], path[] = "/tmp/mpp-key-XXXXXX";
    int fd = mkstemp(path);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    if (f == NULL)
        abort();
    for (unsigned i = 0; i < n; i++)
        fwrite(records[i].data, 1, records[i].n + 1, f);
    fclose(f);
    snprintf(command, sizeof command, "LC_ALL=C sort -zs -t '%c'%s %s", separator, options, path);
    f = popen(command, "r");
    if (f == NULL)
        abort();
    size_t size = fread(out, 1, room, f);
    if (pclose(f) != 0)
        diag("failed: %s", command);
    unlink(path);
    return size;
}

static void find_out_what_sort_knows(void)
{
    const text records[] = {{"1R", 2}, {"1Y", 2}};
    char out[8] = "";
    knows_quetta = sort_says(records, 2, " -h", ':', out, sizeof out) == 6 && strcmp(out, "1Y") == 0;
}

static const key *sort_key; /* qsort has no argument to pass */

static int stable(const void *a, const void *b)
{
    const text *x = *(const text *const *)a, *y = *(const text *const *)b;
    unsigned char *p = exact(x->data, x->n), *q = exact(y->data, y->n);
    int d = key_compare(sort_key, p, x->n, q, y->n);
    free(p);
    free(q);
    return d != 0 ? d : (x > y) - (x < y);
}

static void show(const char *what, const char *s)
{
    char line[1024];
    int n = 0;
    for (; *s != '\0' && n < (int)sizeof line - 5; s++)
        n += snprintf(line + n, sizeof line - (size_t)n, *s >= ' ' && *s <= '~' ? "%c" : "\\x%02x", (unsigned char)*s);
    diag("%s: '%.*s'", what, n, line);
}

/* Stable sorting makes equality count too: what is equal to one and not to the other changes the order. */
static bool sorts_alike(const key *k, const char *options, char separator)
{
    static text records[RECORDS];
    static char theirs[RECORDS * sizeof(text)];
    const text *ours[RECORDS];
    nans_left = 1;
    make_records(records, separator);
    size_t at = 0, n = sort_says(records, RECORDS, options, separator, theirs, sizeof theirs);
    for (unsigned i = 0; i < RECORDS; i++)
        ours[i] = &records[i];
    sort_key = k;
    qsort(ours, RECORDS, sizeof *ours, stable);
    for (unsigned i = 0; i < RECORDS; i++) {
        if (at + ours[i]->n >= n || strcmp(theirs + at, ours[i]->data) != 0) {
            diag("sort -t '%c'%s, record %u", separator, options, i);
            show("ours", ours[i]->data);
            show("sort's", at < n ? theirs + at : "(none)");
            return false;
        }
        at += ours[i]->n + 1;
    }
    return at == n;
}

/* Letter by letter, as the bits of `letters` say: none, n, g or h, then f, b, r. */
static void write_letters(unsigned letters, char to[8])
{
    static const char orders[] = "\0ngh";
    snprintf(to, 8, "%.1s%s%s%s", &orders[letters & 3], letters & 4 ? "f" : "", letters & 8 ? "b" : "",
             letters & 16 ? "r" : "");
}

enum { LETTER_SETS = 32 };

static char any_separator(void)
{
    return "\t:, "[tap_random(4)];
}

static void orders_as_sort(const char *list)
{
    char options[128];
    unsigned bad = 0;
    sort_options(list, options, sizeof options);
    for (unsigned i = 0; i < 2; i++) {
        key k = parsed(list, any_separator());
        bad += !sorts_alike(&k, options, (char)k.separator);
    }
    ok(bad == 0, "key '%s' orders as sort%s does", list, options);
}

static void test_against_sort(void)
{
    static const char *const LISTS[] = {"", "2,1", "2nr,1", "1h,2g", "3r,1n,2f", "1,2,3", "9,1"};
    for (unsigned letters = 0; letters < LETTER_SETS; letters++) {
        char set[8], list[16];
        write_letters(letters, set);
        snprintf(list, sizeof list, "%u%s", 1 + letters % 3 / 2, set);
        orders_as_sort(list);
        snprintf(list, sizeof list, "2%s,1%s", letters & 16 ? "" : "r", set);
        orders_as_sort(list);
    }
    for (size_t i = 0; i < sizeof LISTS / sizeof *LISTS; i++)
        orders_as_sort(LISTS[i]);
    static const struct {
        const char *options;
        key_field field;
    } WHOLE[] = {{" -n", {.order = KEY_NUMERIC}}, {" -fr", {.fold = true, .reverse = true}}};
    for (size_t i = 0; i < sizeof WHOLE / sizeof *WHOLE; i++) {
        key k = {.fields = {WHOLE[i].field}, .n = 1, .separator = ':'};
        ok(sorts_alike(&k, WHOLE[i].options, ':'), "a whole record orders as sort%s does", WHOLE[i].options);
    }
}

/* ---- ranges, against sort(1) -------------------------------------------------------------------- */

static int in_order(const void *a, const void *b)
{
    const text *x = a, *y = b;
    return key_compare(sort_key, bytes_of(x->data), x->n, bytes_of(y->data), y->n);
}

static int in_full_order(const void *a, const void *b)
{
    const text *x = a, *y = b;
    int d = in_order(a, b);
    return d != 0 ? d : key_compare(&(key){.n = 0}, bytes_of(x->data), x->n, bytes_of(y->data), y->n);
}

/* Some records' first fields, ascending, no two of them equal.  How many. */
static unsigned make_bounds(const key *k, const text *records, text *bounds, unsigned most)
{
    unsigned n = 0;
    for (unsigned i = 0; i < most; i++) {
        bounds[i] = records[i];
        bounds[i].n = strcspn(records[i].data, (char[]){(char)k->separator, '\0'});
        bounds[i].data[bounds[i].n] = '\0';
    }
    sort_key = k;
    qsort(bounds, most, sizeof *bounds, in_order);
    for (unsigned i = 0; i < most; i++)
        if (bounds[i].n > 0 && (n == 0 || in_order(&bounds[n - 1], &bounds[i]) < 0))
            bounds[n++] = bounds[i];
    return n;
}

/* As -P range has it. */
static void write_bounds(const text *bounds, unsigned n, char *list)
{
    for (unsigned i = 0; i < n; i++) {
        if (i > 0)
            *list++ = ',';
        for (const char *s = bounds[i].data; *s != '\0'; s++) {
            if (*s == ',' || *s == '\\')
                *list++ = '\\';
            *list++ = *s;
        }
    }
    *list = '\0';
}

/* Boundaries before the records: of what is equal, a stable sort puts the boundary first, and behind it stands what its
 * range gets. */
static bool ranges_as_sort(const key *k, const char *options)
{
    enum { MOST = 12 };
    static text all[MOST + RECORDS];
    static char theirs[sizeof all], list[2 * MOST * sizeof(text)];
    text bounds[MOST];
    key_ranges r;
    mpp_error err = {.text = ""};
    nans_left = 0;
    make_records(all + MOST, (char)k->separator);
    unsigned n = make_bounds(k, all + MOST, bounds, MOST), seen = 0, bad = 0;
    text *first = all + MOST - n;
    memcpy(first, bounds, n * sizeof *bounds);
    write_bounds(bounds, n, list);
    size_t size = sort_says(first, n + RECORDS, options, (char)k->separator, theirs, sizeof theirs);
    if (key_ranges_parse(list, k, n + 1, &r, &err) != 0) {
        diag("range:%s: %s", list, err.text);
        return false;
    }
    for (const char *s = theirs; s < theirs + size; s += strlen(s) + 1)
        if (seen < n && strcmp(s, bounds[seen].data) == 0)
            seen++;
        else if (key_range(&r, k, bytes_of(s), strlen(s)) != seen && bad++ == 0)
            show("not in its range", s);
    key_ranges_free(&r);
    return bad == 0 && seen == n;
}

static void test_ranges_against_sort(void)
{
    for (unsigned letters = 0; letters < LETTER_SETS; letters++) {
        char set[8], list[16], options[128];
        write_letters(letters, set);
        snprintf(list, sizeof list, "1%s", set);
        sort_options(list, options, sizeof options);
        key k = parsed(list, any_separator());
        ok(ranges_as_sort(&k, options), "ranges of key '%s' are as sort%s orders", list, options);
    }
}

/* ---- orders, cases that sort's own tests think of ------------------------------------------------- */

/* Records end with |, and are sorted by the key and then by their bytes; without any, whole records are. */
static void test_known_cases(void)
{
    static const struct {
        const char *list;
        char separator;
        const char *in, *out;
    } CASES[] = {
        {"1n", 1, ".01|0|", "0|.01|"},
        {"1n", 1, ".02|.00|", ".00|.02|"},
        {"1n", 1, ".02|.000|", ".000|.02|"},
        {"1n", 1, ".029|.021|", ".021|.029|"},
        {"1n", 1, ".02|.0*|", ".0*|.02|"},
        {"1n", 1, ".02|.*|", ".*|.02|"},
        {"1n", 1, ".01a|.010|", ".010|.01a|"},
        {"1n", 1, "11|2|", "2|11|"},
        {"1n", 1, "2e1|1e2|", "1e2|2e1|"},
        {"1n", 1, "-1|-9|", "-9|-1|"},
        {"2n", ':', "a:1|b:-|", "b:-|a:1|"},
        {"2n", ':', "a:1|b:X|", "b:X|a:1|"},
        {"1", 1, "11|2|", "11|2|"},
        {"1g", 1, "1e2|2e1|", "2e1|1e2|"},
        {"2g", ' ', "a 1e2|b 2e1|", "b 2e1|a 1e2|"},
        {"1g", 1, "10|1e1|1|", "1|10|1e1|"},
        {"1g", 1, "45|NaN|x|-inf|-.05|000||", "|x|NaN|-inf|-.05|000|45|"},
        {"1g", 1, "nan|-nan|NaN|-NaN(1)|", "-NaN(1)|-nan|NaN|nan|"},
        {"1g", 1, "1.7976931348623157e+308|0|-1.7976931348623157e+308|1e4000|",
         "-1.7976931348623157e+308|0|1.7976931348623157e+308|1e4000|"},
        {"1h", 1, "1Q|1R|1Y|1Z|1E|1P|1T|1G|1M|1K|02|1|Y|-1k|-1M|-1G|-1T|-1P|-1E|-1Z|-1Y|-1R|-1Q|",
         "-1Q|-1R|-1Y|-1Z|-1E|-1P|-1T|-1G|-1M|-1k|Y|1|02|1K|1M|1G|1T|1P|1E|1Z|1Y|1R|1Q|"},
        {"1h", 1, "1M|-2G|-3K|", "-2G|-3K|1M|"},
        {"2h,1", ' ', "a 1G|b 1023M|", "b 1023M|a 1G|"},
        {"1h", 1, "1.E|2.M|", "2.M|1.E|"},
        {"1h", 1, "2..2M|1..2E|", "1..2E|2..2M|"},
        {"1h", 1, "1GiB|1030MiB|", "1030MiB|1GiB|"},
        {"1h", 1, "8981K|909991M|-8T|21G|0.8M|", "-8T|8981K|0.8M|909991M|21G|"},
        {"1h", 1, "0M|0K|-0K|-P|-0M|", "-0K|-0M|-P|0K|0M|"},
        {"1", ' ', "B|A|", "A|B|"},
        {"2", ' ', "A B A|A A Z|", "A A Z|A B A|"},
        {"2,3", ' ', "9 a b|7 a a|", "7 a a|9 a b|"},
        {"2,3", ' ', "y k b|z k a|", "z k a|y k b|"},
        {"1b,2", ':', "a :b|a\t:a|", "a\t:a|a :b|"},
        {"2b,3", ':', "a :b|z:a\t:a|", "z:a\t:a|a :b|"},
        {"1,2nr", ' ', "b 2|b 1|b 3|", "b 3|b 2|b 1|"},
        {"2f,1r", ' ', "3 b|4 B|", "4 B|3 b|"},
        {"1f", 1, "a|A|_|", "A|a|_|"},
        {"1f", 1, "_|aag|Aag|'s|", "'s|Aag|aag|_|"},
        {"", 1, "a|A|_|", "A|_|a|"},
        {"", 1, "\t||", "|\t|"},
        {"1", '/', "a-b-c/x|a b/x|", "a b/x|a-b-c/x|"},
        {"1r", 1, "a|b|ab|", "b|ab|a|"},
        {"9999", ':', "b|a|", "a|b|"},
        {"1nr", ' ', "2 b|1 a|2 a|1 b|", "2 a|2 b|1 a|1 b|"}, /* and not as sort -rn, whose ties go backwards */
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        text records[32], got = {.n = 0};
        unsigned n = 0;
        key k = parsed(CASES[i].list, CASES[i].separator);
        for (const char *s = CASES[i].in; *s != '\0'; s += records[n++].n + 1)
            records[n] = (text){.n = strcspn(s, "|")}, memcpy(records[n].data, s, records[n].n);
        sort_key = &k;
        qsort(records, n, sizeof *records, in_full_order);
        for (unsigned j = 0; j < n; j++) {
            append(&got, records[j].data);
            append(&got, "|");
        }
        if (!ok(strcmp(got.data, CASES[i].out) == 0, "'%s' by '%s'", CASES[i].in, CASES[i].list))
            show("sorted", got.data);
    }
}

/* ---- orders, cases worth naming ----------------------------------------------------------------- */

static void test_long_numbers(void)
{
    enum { DIGITS = 100000 };
    key k = parsed("1n", ':');
    char *a = malloc(DIGITS + 1), *b = malloc(DIGITS + 1);
    if (a == NULL || b == NULL)
        abort();
    memset(a, '7', DIGITS);
    memset(b, '7', DIGITS);
    a[DIGITS] = b[DIGITS] = '\0';
    ok(compare(&k, a, b) == 0, "two numbers of %d digits can be equal", DIGITS);
    a[DIGITS - 1] = '8';
    ok(compare(&k, a, b) > 0, "or differ in the last digit");
    a[1] = '.';
    b[1] = '.';
    ok(compare(&k, a, b) > 0, "also behind the point");
    key g = parsed("1g", ':');
    memset(a, '7', DIGITS);
    ok(compare(&g, a, "1e4000") > 0 && compare(&g, "-inf", a) < 0, "g takes as many digits without reading beyond");
    memset(a, '0', DIGITS);
    memcpy(a + DIGITS - 3, "2e1", 3);
    ok(compare(&g, a, "20") == 0 && compare(&g, "19", a) < 0, "nor does it stop before the end");
    memset(a, ' ', DIGITS - 2);
    memcpy(a + DIGITS - 2, "-5", 2);
    ok(compare(&g, a, "-5") == 0, "whatever stands before it");
    free(a);
    free(b);
}

static void test_named_orders(void)
{
    key n = parsed("1n", ':'), g = parsed("1g", ':'), h = parsed("1h", ':'), nr = parsed("1nr", ':');
    ok(compare(&n, "10", "9") > 0 && compare(&n, "1.10", "1.1") == 0, "n compares numbers, not text");
    ok(compare(&n, "-0", "") == 0 && compare(&n, "abc", "0") == 0, "to n, what is no number is zero");
    ok(compare(&n, "1e3", "2") < 0 && compare(&g, "1e3", "2") > 0, "g knows exponents, n does not");
    ok(compare(&g, "x", "nan") < 0 && compare(&g, "nan", "-inf") < 0, "to g, non-numbers come first, then NaNs");
    ok(compare(&g, "-NaN", "nan") < 0 && compare(&g, "-nan(7)", "-nan") == 0 && compare(&g, "nan(1)", " NAN") == 0,
       "to g, NaNs with a minus come before those without, and else they are equal");
    ok(compare(&g, "nan", "-infinity") < 0 && compare(&g, "INF", "1e4931") > 0 && compare(&g, "0x1p4", "16") == 0,
       "to g, infinities and hexadecimal numbers are numbers");
    ok(compare(&g, "x", "y") == 0 && compare(&g, "-0", "+0.0") == 0, "to g, non-numbers are equal, and so are zeros");
    ok(compare(&h, "9Y", "1R") < 0 && compare(&h, "9R", "1Q") < 0 && compare(&h, "-1Q", "-9R") < 0 &&
           compare(&h, "1r", "1") == 0 && compare(&h, "0Q", "1") < 0,
       "h knows R and Q, behind Y");
    ok(compare(&h, "1024K", "1M") < 0 && compare(&h, "1KiB", "1K") == 0 && compare(&h, "inf", "0") == 0 &&
           compare(&h, "  -3K", "-2K") < 0,
       "to h, only the first letter of a unit counts, and inf is no number");
    ok(compare(&n, "1,000", "2") < 0 && compare(&n, "+5", "1") < 0 && compare(&n, "007", "7") == 0 &&
           compare(&n, "-.5", "-.4") < 0,
       "n has no thousands, and no plus");
    ok(compare(&h, "2000M", "1G") < 0 && compare(&h, "1k", "1K") == 0, "h compares suffixes first");
    ok(compare(&h, "-1G", "-2000M") < 0 && compare(&h, "0G", "1") < 0, "a suffix takes the number's sign");
    ok(compare(&nr, "1", "2") > 0 && compare(&nr, "a", "b") == 0, "r reverses, and what is equal stays equal");
    key missing = parsed("3", ':');
    ok(compare(&missing, "a:b", "x:y:") == 0, "a missing field is empty");
}

static void test_locale(void)
{
    static const char *const LOCALES[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "es_ES.UTF-8", "de_DE", "fr_FR"};
    const char *set = NULL;
    for (size_t i = 0; i < sizeof LOCALES / sizeof *LOCALES && set == NULL; i++)
        set = setlocale(LC_ALL, LOCALES[i]);
    key g = parsed("1g", ':');
    ok(compare(&g, "1.5", "1") > 0 && compare(&g, "1,5", "1") == 0, "a point is a point, a comma none, in locale %s%s",
       set == NULL ? "C" : set, set == NULL ? " # SKIP no locale here has a decimal comma" : "");
    setlocale(LC_ALL, "C");
}

/* ---- ranges ------------------------------------------------------------------------------------- */

static void ranges_refuse(const char *list, const char *bounds, unsigned consumers, const char *quoted)
{
    key k = parsed(list, ':');
    key_ranges r;
    mpp_error err = {.text = ""};
    int rc = key_ranges_parse(bounds, &k, consumers, &r, &err);
    if (!ok(rc == -1 && err.status == MPP_S_USAGE && strstr(err.text, quoted) != NULL && r.n == 0 && r.bounds == NULL,
            "range:%s for %u consumers and key '%s' is refused, and the message says %s", bounds, consumers, list,
            quoted))
        diag("%d: %s", rc, err.text);
}

static void test_ranges_refused(void)
{
    ranges_refuse("1", "b,d", 2, "boundaries is 2");
    ranges_refuse("1", "b,d", 4, "consumers, 4");
    ranges_refuse("1", "", 2, "boundaries is 0");
    ranges_refuse("1", "b", 1, "boundaries is 1");
    ranges_refuse("1", "d,b", 3, "'b' does not come after 'd'");
    ranges_refuse("1", "b,b", 3, "'b' does not come after 'b'");
    ranges_refuse("1r", "b,d", 3, "'d' does not come after 'b'");
    ranges_refuse("1n", "10,9", 3, "'9' does not come after '10'");
    ranges_refuse("1n", "1,1.0", 3, "'1.0' does not come after '1'");
    ranges_refuse("2,1n", "b:2,b:1", 3, "'b:1' does not come after 'b:2'");
    ranges_refuse("1", "b:c", 2, "'b:c' has more fields");
    ranges_refuse("2,1", "b:c,c:d:", 3, "'c:d:' has more fields");
    ranges_refuse("1", "b\\n,d", 3, "'b\\n,d'");
    ranges_refuse("1", "b,d\\", 3, "for a backslash");
}

/* Which consumer gets these keys: the digits in `want` are their numbers. */
static void sends(const char *list, const char *bounds, unsigned consumers, const char *const *bodies, const char *want)
{
    key k = parsed(list, ':');
    key_ranges r;
    mpp_error err = {.text = ""};
    char got[32] = "";
    if (key_ranges_parse(bounds, &k, consumers, &r, &err) != 0)
        diag("%s", err.text);
    for (unsigned i = 0; bodies[i] != NULL; i++) {
        unsigned char *copy = exact(bodies[i], strlen(bodies[i]));
        got[i] = (char)('0' + key_range(&r, &k, copy, strlen(bodies[i])));
        free(copy);
    }
    if (!ok(strcmp(got, want) == 0, "range:%s by key '%s' sends to consumers %s", bounds, list, want))
        diag("sent to %s", got);
    key_ranges_free(&r);
    if (r.n != 0 || r.bounds != NULL || r.lens != NULL)
        diag("not cleared");
}

static void test_range_boundaries(void)
{
    static const char *const LETTERS[] = {"", "a", "b", "ba", "c", "d", "z", NULL};
    static const char *const NUMBERS[] = {"x:-5", "x:9", "x:9.99", "x:10.0", "x:50", "x:100", "x:1000", "x", NULL};
    static const char *const PAIRS[] = {"1:a", "2:a", "3:a", "1:b", "2:b", "1:c", "2", NULL};
    static const char *const ODD[] = {"a", "a,", "a,b", "b\\", "b\\c", NULL};
    static const char *const RECORDS_OF_TWO[] = {"a:z", "b", "b:", "b:c", NULL};
    sends("1", "b,d", 3, LETTERS, "0011122");
    sends("1r", "d,b", 3, LETTERS, "2221110"); /* in reverse too a boundary belongs to the range that it begins */
    sends("1", "", 1, LETTERS, "0000000");
    sends("1", ",b", 3, LETTERS, "1122222");
    sends("2n", "10,100", 3, NUMBERS, "00011220");
    sends("2nr", "100,10", 3, NUMBERS, "22221102");
    sends("2,1n", "a:2,b:2", 3, PAIRS, "0111220");
    sends("2,1n", "b", 2, PAIRS, "0001110");
    sends("1", "a\\,,b\\\\", 3, ODD, "01122");
    sends("", "b:", 2, RECORDS_OF_TWO, "0011");
}

static void test_many_ranges(void)
{
    enum { CONSUMERS = 256 };
    char list[CONSUMERS * 5] = "", number[16];
    key k = parsed("2n", ':');
    key_ranges r;
    unsigned bad = 0;
    for (unsigned i = 1; i < CONSUMERS; i++) {
        snprintf(number, sizeof number, "%s%u", i > 1 ? "," : "", i * 10);
        strcat(list, number);
    }
    bool made = key_ranges_parse(list, &k, CONSUMERS, &r, NULL) == 0;
    for (unsigned v = 0; made && v < CONSUMERS * 10; v++) {
        int n = snprintf(number, sizeof number, "x:%u:y", v);
        bad += key_range(&r, &k, bytes_of(number), (size_t)n) != v / 10;
        n = snprintf(number, sizeof number, "%u", v);
        bad += key_range_of_bytes(&r, &k, bytes_of(number), (size_t)n) != v / 10;
    }
    ok(made && bad == 0, "each of %d ranges gets its keys, and its boundary", CONSUMERS);
    key_ranges_free(&r);
}

static int by_key(const void *a, const void *b)
{
    return compare(sort_key, *(const char *const *)a, *(const char *const *)b);
}

/* The keys are fields 1 and 2, so that a joined key is itself a record that key_compare() can tell from others. */
static bool ranges_agree(const key *k)
{
    enum { MOST = 9 };
    static char keys[MOST][8];
    char *bounds[MOST], list[MOST * 9] = "", body[16];
    for (unsigned i = 0; i < MOST; i++) {
        snprintf(keys[i], sizeof keys[i], "%u:%u", (unsigned)tap_random(12), (unsigned)tap_random(12));
        bounds[i] = keys[i];
    }
    sort_key = k;
    qsort(bounds, MOST, sizeof *bounds, by_key);
    unsigned n = 0;
    for (unsigned i = 0; i < MOST; i++)
        if (n == 0 || compare(k, bounds[n - 1], bounds[i]) < 0)
            bounds[n++] = bounds[i];
    for (unsigned i = 0; i < n; i++)
        strcat(strcat(list, i > 0 ? "," : ""), bounds[i]);
    key_ranges r;
    if (key_ranges_parse(list, k, n + 1, &r, NULL) != 0)
        return false;
    unsigned bad = 0;
    for (unsigned i = 0; i < 200; i++) {
        int len = snprintf(body, sizeof body, "%u:%u:x", (unsigned)tap_random(13), (unsigned)tap_random(13));
        unsigned want = 0;
        while (want < n && compare(k, bounds[want], body) <= 0)
            want++;
        bad += key_range(&r, k, bytes_of(body), (size_t)len) != want;
        bad += key_range_of_bytes(&r, k, bytes_of(body), (size_t)len - 2) != want;
    }
    key_ranges_free(&r);
    return bad == 0;
}

static void test_ranges_against_definition(void)
{
    static const char *const LISTS[] = {"1,2", "1n,2n", "1r,2", "1nr,2nr", "1,2h"};
    for (size_t i = 0; i < sizeof LISTS / sizeof *LISTS; i++) {
        key k = parsed(LISTS[i], ':');
        unsigned bad = 0;
        for (unsigned round = 0; round < 50; round++)
            bad += !ranges_agree(&k);
        ok(bad == 0, "ranges by key '%s' are those of the definition", LISTS[i]);
    }
}

int main(void)
{
    tap_seed();
    test_parse();
    test_refused();
    test_refused_twice();
    test_key_bytes();
    test_key_bytes_against_reference();
    test_hash();
    test_named_orders();
    test_long_numbers();
    test_locale();
    test_ranges_refused();
    test_range_boundaries();
    test_many_ranges();
    test_ranges_against_definition();
    test_known_cases();
    find_out_what_sort_knows();
    test_against_sort();
    test_ranges_against_sort();
    return done_testing();
}
