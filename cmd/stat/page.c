#include "stat/page.h"

#include <sys/ioctl.h>
#include <unistd.h>

bool stat_page_measure(stat_page *page)
{
    enum { WIDTH = 80, HEIGHT = 24 };
    struct winsize w = {0};
    const bool is_window = isatty(STDOUT_FILENO);
    if (is_window)
        ioctl(STDOUT_FILENO, TIOCGWINSZ, &w);
    page->width = w.ws_col ? w.ws_col : WIDTH;
    page->height = w.ws_row ? w.ws_row : HEIGHT;
    return is_window;
}
