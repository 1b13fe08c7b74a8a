/* A name that is taken: by a mesh in use, by one that is dead or unused, by another user's, by what is no mesh.
 * Whoever asks for it is told which, and what to do; what is there stays as it was. */
#include "harness.h"
#include "mpp-look.h"

static char place[96];

static bool tells(const char *name, const char *a, const char *b, mpp_error *err)
{
    struct stat before, after;
    mpp_mesh *m = NULL;
    mpp_mesh_options o = harness_smallest();
    o.name = name;
    snprintf(place, sizeof place, "/dev/shm/mpp_%s", name);
    lstat(place, &before);
    const bool no = mpp_mesh_create(&o, &m, err) < 0 && err->status == MPP_S_ERROR;
    const bool same = lstat(place, &after) == 0 && before.st_ino == after.st_ino && before.st_size == after.st_size;
    return no && same && strstr(err->text, a) && strstr(err->text, b);
}

static void refused(const char *name, const char *a, const char *b, const char *what)
{
    mpp_error err = {0};
    const bool told = tells(name, a, b, &err);
    ok(told, "%s: %s", what, err.text);
}

static mpp_mesh *make(const char *name)
{
    mpp_mesh_options o = harness_smallest();
    o.name = name;
    return harness_mesh(&o);
}

static void drop(mpp_mesh **m)
{
    mpp_mesh_remove(mpp_mesh_id(*m), NULL);
    mpp_mesh_close(m);
}

static int die(void *arg)
{
    mpp_mesh *m = harness_open(arg);
    harness_producer(m, 0, 1);
    return 0; /* and leaves nothing in order */
}

static void test_meshes(void)
{
    char text[64];
    mpp_mesh *m = make("a");
    refused("a", "nobody is at present", "--remove", "nobody has come yet");
    mpp_consumer *c = harness_consumer(m, 0);
    snprintf(text, sizeof text, "consumer 0 (pid %d);", (int)getpid());
    refused("a", "in use", text, "one is in it");
    mpp_producer *p = harness_producer(m, 0, 1);
    refused("a", "in use", "and others", "several are");
    mpp_consumer_detach(&c);
    mpp_producer_detach(&p);
    mpp_mesh_close(&m);
    m = make("b");
    ok(harness_reap(harness_fork(die, (void *)"b")) == 0, "one dies in it");
    refused("b", "nobody can use", "--gc", "it is dead");
    drop(&m);
    m = make("c");
    drop(&m);
    m = make("c");
    ok(m != NULL, "a name that is free again can be had");
    drop(&m);
}

static int as_another(void *arg)
{
    (void)arg;
    if (seteuid(65534) < 0)
        return 77;
    mpp_error err = {0};
    return tells("other", "another user (uid 0)", "another --name", &err) ? 0 : 1;
}

static void test_another_user(void)
{
    if (geteuid() != 0 || !harness.private_shm) {
        ok(true, "another user # SKIP not root");
        return;
    }
    mpp_mesh *m = make("other");
    ok(chmod(harness.directory, 0777) == 0 && harness_reap(harness_fork(as_another, NULL)) == 0,
       "a mesh of another user's is named as such");
    snprintf(place, sizeof place, "/dev/shm/mpp_other");
    ok(chown(place, 65534, 65534) == 0, "also for root");
    refused("other", "another user (uid 65534)", "another --name", "of another user, for root");
    ok(chown(place, 0, 0) == 0, "given back");
    drop(&m);
}

static void test_no_mesh(void)
{
    int fd = open("/dev/shm/mpp_text", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    ok(fd >= 0 && write(fd, "text", 4) == 4, "a file that is no mesh");
    refused("text", "no mesh that works", "--remove", "too short");
    if (ftruncate(fd, 1 << 20) < 0 || pwrite(fd, "\0\0\0\0", 4, 0) != 4)
        bail_out("cannot write: %s", strerror(errno));
    refused("text", "half made", "--remove", "half made");
    close(fd);
    ok(mpp_mesh_remove("text", NULL) == 0, "and --remove does");
    ok(symlink("/etc/passwd", "/dev/shm/mpp_link") == 0, "a symbolic link");
    refused("link", "not a regular file", "/dev/shm/mpp_link", "a link");
    unlink("/dev/shm/mpp_link");
    ok(mkdir("/dev/shm/mpp_directory", 0700) == 0, "a directory");
    refused("directory", "not a regular file", "another --name", "a directory");
    rmdir("/dev/shm/mpp_directory");
}

int main(void)
{
    harness_begin(60);
    harness.step = "names that are taken";
    test_meshes();
    test_another_user();
    test_no_mesh();
    harness_end();
    return done_testing();
}
