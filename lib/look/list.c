/* list.c - the meshes of this user */
#include "mpp-look.h"
#include "shm/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool list_add(char ***ids, int *n, const char *id)
{
    char **more = realloc(*ids, ((size_t)*n + 1) * sizeof *more);
    if (!more)
        return false;
    *ids = more;
    if (!(more[*n] = strdup(id)))
        return false;
    ++*n;
    return true;
}

static int list_free(char ***ids, int n)
{
    while (n > 0)
        free((*ids)[--n]);
    free(*ids);
    *ids = NULL;
    errno = ENOMEM;
    return -1;
}

int mpp_mesh_list(char ***ids)
{
    int n = 0;
    bool all = true;
    *ids = NULL;
    DIR *d = opendir(SEGMENT_DIRECTORY);
    if (!d)
        return -1;
    /* readdir() of a stream of one's own is safe with threads. */
    /* cppcheck-suppress readdirCalled */
    for (struct dirent *entry; all && (entry = readdir(d));) {
        struct stat st;
        if (strncmp(entry->d_name, SEGMENT_PREFIX, strlen(SEGMENT_PREFIX)) == 0 &&
            fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid == geteuid())
            all = list_add(ids, &n, entry->d_name + strlen(SEGMENT_PREFIX));
    }
    closedir(d);
    if (!all)
        return list_free(ids, n);
    if (n)
        qsort(*ids, (size_t)n, sizeof **ids, by_name);
    return n;
}
