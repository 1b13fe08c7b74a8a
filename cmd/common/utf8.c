#include "common/utf8.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The length of the UTF-8 sequence at p, in a string that ends with NUL; 0: it is none. */
static size_t utf8_length(const unsigned char *p)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xed && p[1] >= 0xa0;
    bool too_large = p[0] == 0xf4 && p[1] >= 0x90;
    return overlong || surrogate || too_large ? 0 : n;
}

json_t *utf8_json(const char *bytes)
{
    static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */
    if (!bytes)
        return json_null();
    char *valid = malloc(strlen(bytes) * (sizeof replacement - 1) + 1);
    if (!valid)
        return NULL;
    size_t used = 0;
    for (const char *p = bytes; *p;) {
        size_t n = utf8_length((const unsigned char *)p);
        memcpy(valid + used, n ? p : replacement, n ? n : sizeof replacement - 1);
        used += n ? n : sizeof replacement - 1;
        p += n ? n : 1;
    }
    json_t *j = json_stringn(valid, used);
    free(valid);
    return j;
}
