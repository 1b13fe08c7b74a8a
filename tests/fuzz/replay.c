/* replay.c - the fuzz targets without a fuzzer: every file that is named, and those in directories that are named
 *
 *     fuzz-NAME DIRECTORY        TAP: one test, that all inputs in it went through
 *     fuzz-NAME FILE             the same of one input, such as a crash-... that libFuzzer has written
 *
 * An input on which the target crashes or hangs is named last. */
#include "fuzz.h"

#include "../unit/harness.h"
#include "last-words.h"

/* Of targets that need it. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { PATIENCE = 30 }; /* seconds for one input */

static void replay_file(const char *name)
{
    static unsigned char data[1 << 20];
    snprintf(last_words, sizeof last_words, "%s", name);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, data, sizeof data);
    if (n < 0)
        bail_out("%s: %s", name, strerror(errno));
    close(fd);
    unsigned char *exact = food_copy((food){data, (size_t)n});
    alarm(PATIENCE);
    LLVMFuzzerTestOneInput(exact, (size_t)n);
    alarm(0);
    free(exact);
}

static unsigned replay_directory(const char *name)
{
    unsigned n = 0;
    struct dirent **entries;
    int count = scandir(name, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", name, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') {
            replay_file(path);
            n++;
        }
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return n;
}

static unsigned replay(const char *name)
{
    struct stat st;
    if (stat(name, &st) < 0)
        bail_out("%s: %s", name, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return replay_directory(name);
    replay_file(name);
    return 1;
}

int main(int argc, char **argv)
{
    last_words_prepare();
    if (LLVMFuzzerInitialize)
        LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++) {
        const unsigned n = replay(argv[i]);
        ok(n > 0, "%u inputs in %s went through", n, argv[i]);
    }
    return done_testing();
}
