/* errand.h - a call that may sleep, made by a thread of its own, so that the loop goes on listening
 *
 * A file's kind does not say whether it can keep us waiting: the server of a network or FUSE file system may hang in
 * open(2), read(2) and close(2) of a regular file, and a device may ignore O_NONBLOCK.  Such a call is an errand: a
 * thread makes it while the caller sleeps in mpp_wait() with errand_fd() among its descriptors.  Who has lost interest
 * abandons the errand: the thread goes on until its call returns, then frees the errand; a process that exits ends it.
 *
 * The thread blocks every signal, so that handlers run in the thread of the loop.
 */
#ifndef CMD_COMMON_ERRAND_H
#define CMD_COMMON_ERRAND_H

#include <stdbool.h>

typedef struct errand errand;

/* Begin: a new thread calls run(self, arg).  arg belongs to the errand from here on: whoever comes last,
 * errand_end() or the thread of an abandoned errand, passes it to release (which may be NULL). NULL with errno: no
 * thread, descriptor or memory is to be had; arg is still the caller's. */
errand *errand_begin(void (*run)(const errand *self, void *arg), void (*release)(void *arg), void *arg);

/* Readable, and stays so, once run() has returned. */
int errand_fd(const errand *e);

/* Has run() returned?  What it stored is seen by who gets true. */
bool errand_done(const errand *e);

/* Clear *e, and let arg go.  An errand that is done is finished; another is abandoned: nobody waits for it, and its arg
 * must not be touched any more.  NULL: no effect. */
void errand_end(errand **e);

/* For run(), between two calls of a long errand: has it been abandoned?  Then it returns early. */
bool errand_abandoned(const errand *self);

#endif
