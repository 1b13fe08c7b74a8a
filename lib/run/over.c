#include "run/over.h"

#include "run/registry.h"
#include "run/word.h"
#include "shm/layout.h"

run_over run_over_for_consumer(run_word word, unsigned run, bool unread)
{
    if (run == 0)
        return OVER_IT_IS;
    if (run > word.run + 1)
        return OVER_CORRUPT;
    if (word.run != run)
        return word.run > run ? OVER_IT_IS : OVER_NOT_YET;
    if (word.state == LAYOUT_CANCELLED || word.state == LAYOUT_UNASKED)
        return OVER_IT_IS;
    return word.state == LAYOUT_ENDED && !unread ? OVER_IT_IS : OVER_NOT_YET;
}

run_rest run_rest_of_consumer(const registry *r, unsigned consumer)
{
    if (r->run == 0 || r->asked[consumer] > r->run || r->cancelled[consumer] >= r->run)
        return REST_NONE;
    return r->asked[consumer] < r->run ? REST_ASK : REST_READ;
}
