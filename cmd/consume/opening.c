#include "consume/opening.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A FIFO that nobody reads yet refuses who does not want to wait. */
static int open_output(opening *o)
{
    enum { FLAGS = O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC };
    int fd;
    while ((fd = open(o->name, FLAGS | O_CREAT | O_NONBLOCK, 0666)) < 0 && errno == EINTR)
        ;
    if (fd >= 0 || errno != ENXIO)
        return fd;
    atomic_store(&o->unread, true);
    if ((fd = open(o->name, FLAGS)) >= 0)
        fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK);
    return fd;
}

/* A regular file is ours from here on, and empty. */
static int take_file(opening *o)
{
    struct stat st;
    if (fstat(o->out.fd, &st) < 0)
        return -1;
    if (!S_ISREG(st.st_mode))
        return 0;
    o->device = st.st_dev;
    o->inode = st.st_ino;
    o->contended = outfile_lock(o->out.fd) < 0;
    return o->contended ? 0 : ftruncate(o->out.fd, 0);
}

/* false: it is to be opened where it is, or (failure) not at all. */
static bool open_new(opening *o)
{
    if (!o->name || o->in_place)
        return false;
    o->file = outfile_make(o->name, o->keep_partial);
    if (!o->file) {
        o->failure = errno;
        return false;
    }
    o->device = o->file->device;
    o->inode = o->file->inode;
    o->contended = o->file->fd < 0;
    if (!o->contended &&
        ((o->out.fd = fcntl(o->file->fd, F_DUPFD_CLOEXEC, 0)) < 0 || io_open(&o->out, o->out.fd, IO_WRITE) < 0))
        o->failure = errno;
    return true;
}

static void open_it(const errand *self, void *arg)
{
    opening *o = arg;
    (void)self;
    if (open_new(o) || o->failure)
        return;
    const int fd = o->name ? open_output(o) : STDOUT_FILENO;
    if (fd < 0 || io_open(&o->out, fd, IO_WRITE) < 0 || (o->name && take_file(o) < 0))
        o->failure = errno;
}

static void opening_free(void *arg)
{
    opening *o = arg;
    if (o->out.fd > STDERR_FILENO)
        close(o->out.fd);
    outfile_free(o->file);
    free(o->name);
    free(o);
}

errand *opening_begin(const char *name, bool in_place, bool keep_partial, opening **made)
{
    opening *o = malloc(sizeof *o);
    if (!o || (*o = (opening){.out = IO_INIT, .in_place = in_place, .keep_partial = keep_partial},
               name && !(o->name = strdup(name)))) {
        free(o);
        errno = ENOMEM;
        return NULL;
    }
    errand *e = errand_begin(open_it, opening_free, o);
    const int failure = errno;
    if (!e)
        opening_free(o);
    errno = failure;
    *made = e ? o : NULL;
    return e;
}
