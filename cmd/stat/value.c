#include "stat/value.h"

#include "common/utf8.h"

/* jansson reports running out of memory through every call's result; only the end can tell them apart, so what
 * fails on the way is remembered here. */
static bool incomplete;

void value_set(json_t *o, const char *name, json_t *value)
{
    if (json_object_set_new(o, name, value) < 0)
        incomplete = true;
}

void value_append(json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) < 0)
        incomplete = true;
}

json_t *value_number(uint64_t n)
{
    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

json_t *value_text_or_null(const char *s)
{
    return s && *s ? utf8_json(s) : json_null();
}

json_t *value_rate(double rate)
{
    return rate < 0 ? json_null() : json_integer(rate < 1e18 ? (json_int_t)(rate + 0.5) : (json_int_t)1e18);
}

json_t *value_positive(int64_t n)
{
    return n > 0 ? json_integer(n) : json_null();
}

json_t *value_role(char role)
{
    return role == 'p' ? utf8_json("producer") : role == 'c' ? utf8_json("consumer") : json_null();
}

void value_lost(void)
{
    incomplete = true;
}

bool value_complete(void)
{
    return !incomplete;
}
