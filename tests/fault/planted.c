/* What somebody else has put where the directory for sockets, or a socket, of a mesh is to be.
 *
 * Nothing is followed, used or removed that is not ours alone: attaching is refused and names the place, everybody
 * in the mesh is told, and what was planted is as it was.  (What stands in a segment's place: unit/segment.)
 * Nothing is random. */
#include "door.h"
#include "mesh/mesh.h"
#include "mpp-look.h"
#include "shm/layout.h"

static char elsewhere[64], victim[80]; /* a directory of ours, and a file in it, that links point to */

typedef bool plant(const char *path);

static bool a_file(const char *path)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    return fd >= 0 && write(fd, "precious", 8) == 8 && close(fd) == 0;
}

static bool a_fifo(const char *path)
{
    return mkfifo(path, 0600) == 0;
}

static bool a_directory_of_another(const char *path)
{
    return mkdir(path, 0700) == 0 && chown(path, 12345, 12345) == 0;
}

static bool a_directory_open_to_the_group(const char *path)
{
    return mkdir(path, 0700) == 0 && chmod(path, 0770) == 0;
}

static bool a_link_to_a_directory(const char *path)
{
    return symlink(elsewhere, path) == 0;
}

static bool a_link_to_nothing(const char *path)
{
    return symlink("/nonexistent/directory", path) == 0;
}

static bool a_link_to_a_file(const char *path)
{
    return symlink(victim, path) == 0;
}

static bool a_directory(const char *path)
{
    return mkdir(path, 0700) == 0;
}

static bool precious(void)
{
    char text[16] = "";
    int fd = open(victim, O_RDONLY | O_CLOEXEC);
    const bool there = fd >= 0 && read(fd, text, sizeof text - 1) == 8 && strcmp(text, "precious") == 0;
    if (fd >= 0)
        close(fd);
    return there && harness_entries(elsewhere, "", false) == 1;
}

static bool same_file(const struct stat *a, const char *path)
{
    struct stat b;
    return lstat(path, &b) == 0 && a->st_ino == b.st_ino && a->st_mode == b.st_mode && a->st_uid == b.st_uid;
}

/* Producer and consumer try; both are refused, or find out. */
static void test_directory(const char *what, plant *put)
{
    mpp_error err;
    struct stat before;
    harness.step = what;
    for (unsigned i = 0; i < 2; i++) {
        const char role = i == 0 ? 'p' : 'c';
        mpp_mesh *m = mesh_of(1, 1);
        if (rmdir(m->socket_dir) < 0 || !put(m->socket_dir) || lstat(m->socket_dir, &before) < 0)
            bail_out("cannot plant %s: %s", what, strerror(errno));
        const mpp_status status = claim_status(m, role, 0, &err);
        ok((status == MPP_S_CORRUPT || status == MPP_S_ERROR) && strstr(err.text, m->socket_dir) &&
               strstr(harness_cause(m), m->socket_dir),
           "%s in place of the directory: a %s is refused, and all are told: %s", what,
           role == 'p' ? "producer" : "consumer", err.text);
        mpp_mesh_remove(mpp_mesh_id(m), NULL);
        mpp_mesh_gc(NULL, NULL, NULL);
        /* An empty directory of ours is what a mesh leaves when it dies. */
        ok((same_file(&before, m->socket_dir) || S_ISDIR(before.st_mode)) && precious(),
           "it stays, and nothing that it leads to is touched");
        remove(m->socket_dir);
        mpp_mesh_close(&m);
    }
}

/* In a directory that is ours alone it was ourselves: what was left there is replaced, where it can be. */
static void test_socket(const char *what, plant *put, bool replaced)
{
    mpp_error err;
    char path[LAYOUT_SOCKET_PATH_MAX];
    harness.step = what;
    mpp_mesh *m = mesh_of(1, 1);
    snprintf(path, sizeof path, "%.90s/p0.sock", m->socket_dir);
    if (!put(path))
        bail_out("cannot plant %s: %s", what, strerror(errno));
    const mpp_status status = claim_status(m, 'p', 0, &err);
    ok(replaced ? status == MPP_S_DONE : status == MPP_S_ERROR && strstr(err.text, path),
       "%s in place of a socket is %s", what, replaced ? "replaced" : err.text);
    ok(precious(), "nothing that it leads to is touched");
    rmdir(path);
    mpp_mesh_remove(mpp_mesh_id(m), NULL);
    rmdir(m->socket_dir);
    mpp_mesh_close(&m);
}

int main(void)
{
    harness_begin(60);
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", harness.directory);
    snprintf(victim, sizeof victim, "%s/file", elsewhere);
    if (mkdir(elsewhere, 0700) < 0 || !a_file(victim))
        bail_out("cannot make '%s': %s", victim, strerror(errno));
    test_directory("a file", a_file);
    test_directory("a FIFO", a_fifo);
    test_directory("a directory open to the group", a_directory_open_to_the_group);
    test_directory("a link to a directory", a_link_to_a_directory);
    test_directory("a link to nothing", a_link_to_nothing);
    if (geteuid() == 0)
        test_directory("a directory of another user", a_directory_of_another);
    test_socket("a file", a_file, true);
    test_socket("a FIFO", a_fifo, true);
    test_socket("a link to a file", a_link_to_a_file, true);
    test_socket("a directory", a_directory, false);
    unlink(victim);
    rmdir(elsewhere);
    harness_end();
    return done_testing();
}
