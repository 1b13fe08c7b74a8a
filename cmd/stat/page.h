/* page.h - where a view is printed */
#ifndef CMD_STAT_PAGE_H
#define CMD_STAT_PAGE_H

#include <stdbool.h>
#include <stdio.h>

typedef struct stat_page {
    FILE *out;
    bool all;               /* do not cut long tables to the worst rows */
    unsigned width, height; /* columns of the window, 80 where there is none; its lines, 0 where they do not matter */
} stat_page;

/* The window that stdout is: false when it is none. */
bool stat_page_measure(stat_page *page);

#endif
