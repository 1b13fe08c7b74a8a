#include "mesh/leftover.h"

#include "shm/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

bool mesh_directory_named(const char *name)
{
    return strncmp(name, SEGMENT_PREFIX, strlen(SEGMENT_PREFIX)) == 0 && strlen(name) == strlen(SEGMENT_PREFIX) + 12 &&
           strspn(name + strlen(SEGMENT_PREFIX), "0123456789abcdef") == 12;
}

static bool anybody_listens(const char *base, const char *name, DIR *d)
{
    bool bound = false;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    /* cppcheck-suppress readdirCalled ; a stream of our own */
    for (struct dirent *entry; fd >= 0 && !bound && (entry = readdir(d));) {
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        int n = snprintf(a.sun_path, sizeof a.sun_path, "%s/%s/%s", base, name, entry->d_name);
        bound = n < (int)sizeof a.sun_path && entry->d_name[0] != '.' &&
                (connect(fd, (struct sockaddr *)&a, sizeof a) == 0 || errno != ECONNREFUSED);
    }
    if (fd >= 0)
        close(fd);
    return bound || fd < 0;
}

void mesh_directory_remove(int base, const char *base_path, const char *name)
{
    struct stat st;
    int fd = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        if (fd >= 0)
            close(fd);
        return;
    }
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && !anybody_listens(base_path, name, d)) {
        rewinddir(d);
        /* cppcheck-suppress readdirCalled ; a stream of our own */
        for (struct dirent *entry; (entry = readdir(d));)
            if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode))
                unlinkat(fd, entry->d_name, 0);
        unlinkat(base, name, AT_REMOVEDIR); /* only when nothing else lies in it */
    }
    closedir(d);
}
