/* place.h - a place for meshes that fuzz targets make */
#ifndef PLACE_H
#define PLACE_H

#include "../unit/harness.h"
#include "fuzz.h"

static inline void place_leave(void)
{
    rmdir(harness.directory);
}

/* /dev/shm and the directory for sockets are ours alone and go with the process, however it ends.  Where this user may
 * not mount, a directory in /tmp is left when it crashes. */
static inline void place_make(void)
{
    harness.private_shm = harness_unshare() && mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
                          mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") == 0;
    if (harness.private_shm)
        strcpy(harness.directory, "/dev/shm/s-XXXXXX");
    else
        harness_directory("mppf");
    if (!mkdtemp(harness.directory))
        bail_out("mkdtemp: %s", strerror(errno));
    setenv("XDG_RUNTIME_DIR", harness.directory, 1); /* and not TMPDIR, which libFuzzer shares with its children */
    atexit(place_leave);
}

#endif
