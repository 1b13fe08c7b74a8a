/* fs.h - what is known of file systems, by what the kernel calls them */
#ifndef CMD_COMMON_FS_H
#define CMD_COMMON_FS_H

#include <stdbool.h>

/* Has the file system no server: is it of a disk or memory, so that reading, writing and asking end?  One that is not
 * known may have a server.  By the descriptor or the name of a file in it, or by the word of /proc/PID/mountinfo. */
bool fs_is_local(int fd);
bool fs_is_local_at(const char *name);
bool fs_is_local_type(const char *type);
/* Does the kernel make its files up when somebody reads them? */
bool fs_is_made_up_at(const char *name);

#endif
