/* utf8.h - strings that another process wrote, as JSON has them */
#ifndef CMD_COMMON_UTF8_H
#define CMD_COMMON_UTF8_H

#include <jansson.h>

/* A byte string may not be UTF-8, which JSON must be: what is not becomes U+FFFD.  bytes NULL: null.
 * NULL: no memory. */
json_t *utf8_json(const char *bytes);

#endif
