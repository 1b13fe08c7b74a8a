/* scan.h - records and a field of each in delimited text, in one pass
 *
 * Delimiter and separator are looked for together, 64 bytes at a time, and only the bits that were found are gone
 * through: W. Langdale and D. Lemire, Parsing Gigabytes of JSON per Second, VLDB Journal 28 (2019), do so for JSON.
 * The widest vectors that the processor has are chosen when the program runs. */
#ifndef SCAN_H
#define SCAN_H

#include "mpp.h"

typedef struct scan_options {
    unsigned char delimiter, separator;
    uint32_t field; /* from 1; 0: fields are not looked for */
} scan_options;

typedef struct scan_record {
    uint32_t end;            /* behind its delimiter */
    uint32_t field, field_n; /* where the field begins, and its bytes; SCAN_MISSING: the record has fewer */
} scan_record;
#define SCAN_MISSING UINT32_MAX

/* The whole records at the start of [p, p + n), n at most SCAN_MAX, up to `max` of them into out; offsets from p.
 * How many. */
enum { SCAN_MAX = 1 << 30 };
unsigned scan_records(const scan_options *o, const unsigned char *p, size_t n, scan_record *out, unsigned max);

/* How often a byte occurs. */
uint64_t scan_count(const unsigned char *p, size_t n, unsigned char c);

/* The same without vectors of a kind that not every processor has: what is chosen where there are none. */
unsigned scan_records_plain(const scan_options *o, const unsigned char *p, size_t n, scan_record *out, unsigned max);
uint64_t scan_count_plain(const unsigned char *p, size_t n, unsigned char c);

#endif
