/* glance.h - a look at other processes that none of them can hold up
 *
 * Much of /proc/PID (stat, wchan, syscall, io, the links of fd) takes a lock that the process holds while execve(2)
 * makes another program of it.  What it had open is closed meanwhile, which may wait for the server of a network or
 * FUSE file system, for ever; and so would we.
 *
 * So the look is a thread's, which says whom it asks; when it sleeps in the kernel then, it is left behind, and another
 * one begins again and asks anybody but that process.  Who was left behind ends as soon as it is let go. */
#ifndef CMD_PROC_GLANCE_H
#define CMD_PROC_GLANCE_H

#include <stdbool.h>
#include <sys/types.h>

/* Call look(arg) in such a thread, again from its beginning for each process that held it up.  What look() has changed
 * by then stays as it is, and what it has allocated is lost. */
void glance(void (*look)(void *arg), void *arg);

/* Around what asks the kernel about a process. false: that would hold us up, do not ask.  Outside of glance():
 * true. */
bool glance_begin(pid_t pid);
/* May not return. */
void glance_end(void);

#endif
