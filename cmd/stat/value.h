/* value.h - values of JSON, put together without a look at each result: whether one was lost is asked in the end */
#ifndef CMD_STAT_VALUE_H
#define CMD_STAT_VALUE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Sets o's field; the value is given away. */
void value_set(json_t *o, const char *name, json_t *value);

void value_append(json_t *array, json_t *value);

/* JSON's integers are signed here; only a corrupt mesh has numbers that large. */
json_t *value_number(uint64_t n);

json_t *value_text_or_null(const char *s);

/* A rate; < 0: unknown. */
json_t *value_rate(double rate);

json_t *value_positive(int64_t n);

json_t *value_role(char role);

/* A value could not be had; and was there none of these so far? */
void value_lost(void);
bool value_complete(void);

#endif
