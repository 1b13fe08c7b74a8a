#include "common/fs.h"

#include <linux/magic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/vfs.h>

enum { NO_MAGIC = 0 }; /* of its own: it has that of another one */

typedef struct file_system {
    const char *type;
    uint32_t magic; /* statfs(2); numbers without a name are of file systems that <linux/magic.h> does not list */
} file_system;

static const file_system local[] = {
    {"ext4", EXT4_SUPER_MAGIC},
    {"ext3", NO_MAGIC},
    {"ext2", NO_MAGIC},
    {"xfs", XFS_SUPER_MAGIC},
    {"btrfs", BTRFS_SUPER_MAGIC},
    {"f2fs", F2FS_SUPER_MAGIC},
    {"zfs", 0x2fc12fc1},
    {"jfs", 0x3153464a},
    {"bcachefs", 0xca451a4e},
    {"nilfs2", NILFS_SUPER_MAGIC},
    {"reiserfs", REISERFS_SUPER_MAGIC},
    {"overlay", OVERLAYFS_SUPER_MAGIC},
    {"tmpfs", TMPFS_MAGIC},
    {"devtmpfs", NO_MAGIC},
    {"ramfs", RAMFS_MAGIC},
    {"rootfs", NO_MAGIC},
    {"hugetlbfs", HUGETLBFS_MAGIC},
    {"devpts", DEVPTS_SUPER_MAGIC},
    {"vfat", MSDOS_SUPER_MAGIC},
    {"exfat", EXFAT_SUPER_MAGIC},
    {"ntfs3", 0x7366746e},
    {"ntfs", 0x5346544e},
    {"hfsplus", 0x482b},
    {"iso9660", ISOFS_SUPER_MAGIC},
    {"udf", UDF_SUPER_MAGIC},
    {"squashfs", SQUASHFS_MAGIC},
    {"erofs", EROFS_SUPER_MAGIC_V1},
    {"cramfs", CRAMFS_MAGIC},
    {"minix", MINIX3_SUPER_MAGIC},
    {"jffs2", JFFS2_SUPER_MAGIC},
    {"ubifs", 0x24051905},
};

static const file_system made_up[] = {
    {"proc", PROC_SUPER_MAGIC},
    {"sysfs", SYSFS_MAGIC},
    {"debugfs", DEBUGFS_MAGIC},
    {"tracefs", TRACEFS_MAGIC},
    {"securityfs", SECURITYFS_MAGIC},
    {"cgroup", CGROUP_SUPER_MAGIC},
    {"cgroup2", CGROUP2_SUPER_MAGIC},
    {"bpf", BPF_FS_MAGIC},
    {"selinuxfs", SELINUX_MAGIC},
    {"smackfs", SMACK_MAGIC},
    {"efivarfs", EFIVARFS_MAGIC},
    {"binfmt_misc", BINFMTFS_MAGIC},
    {"nsfs", NSFS_MAGIC},
    {"resctrl", RDTGROUP_SUPER_MAGIC},
    {"configfs", 0x62656570},
    {"fusectl", 0x65735543},
};

static bool is_among(const file_system *kinds, size_t n, const struct statfs *fs)
{
    for (size_t i = 0; i < n; i++)
        if (kinds[i].magic != NO_MAGIC && kinds[i].magic == (uint32_t)fs->f_type)
            return true;
    return false;
}

bool fs_is_local(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && is_among(local, sizeof local / sizeof *local, &fs);
}

bool fs_is_local_at(const char *name)
{
    struct statfs fs;
    return statfs(name, &fs) == 0 && is_among(local, sizeof local / sizeof *local, &fs);
}

bool fs_is_local_type(const char *type)
{
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (strcmp(type, local[i].type) == 0)
            return true;
    return false;
}

bool fs_is_made_up_at(const char *name)
{
    struct statfs fs;
    return statfs(name, &fs) == 0 && is_among(made_up, sizeof made_up / sizeof *made_up, &fs);
}
