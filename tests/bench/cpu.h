/* cpu.h - a CPU for each of two processes that are measured */
#ifndef CPU_H
#define CPU_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

/* Stay on the first CPU that we may use, or, for side 1, on the second where there are two.  false with errno. */
static inline bool cpu_pin(int side)
{
    cpu_set_t may, one;
    if (sched_getaffinity(0, sizeof may, &may) < 0)
        return false;
    int skip = side % CPU_COUNT(&may);
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, &may) || skip-- > 0)
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return sched_setaffinity(0, sizeof one, &one) == 0;
}

#endif
