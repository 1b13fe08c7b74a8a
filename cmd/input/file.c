#include "input/file.h"

#include <linux/magic.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

/* File systems of disks and memory, in which a read ends. */
static const unsigned disks[] = {
    EXT4_SUPER_MAGIC,       XFS_SUPER_MAGIC,
    BTRFS_SUPER_MAGIC,      TMPFS_MAGIC,
    OVERLAYFS_SUPER_MAGIC,  RAMFS_MAGIC,
    HUGETLBFS_MAGIC,        F2FS_SUPER_MAGIC,
    SQUASHFS_MAGIC,         EROFS_SUPER_MAGIC_V1,
    ISOFS_SUPER_MAGIC,      UDF_SUPER_MAGIC,
    MSDOS_SUPER_MAGIC,      EXFAT_SUPER_MAGIC,
    REISERFS_SUPER_MAGIC,   NILFS_SUPER_MAGIC,
    JFFS2_SUPER_MAGIC,      CRAMFS_MAGIC,
    MINIX3_SUPER_MAGIC,     0x3153464a /* JFS */,
    0x2fc12fc1 /* ZFS */,   0xca451a4e /* bcachefs */,
    0x7366746e /* NTFS3 */, 0x24051905 /* UBIFS */,
    0x482b /* HFS+ */,      0x5346544e /* NTFS */,
};

/* Those whose files are made up by the kernel when somebody reads them. */
static const unsigned made_up[] = {
    PROC_SUPER_MAGIC,         SYSFS_MAGIC,         DEBUGFS_MAGIC, TRACEFS_MAGIC,        SECURITYFS_MAGIC,
    CGROUP_SUPER_MAGIC,       CGROUP2_SUPER_MAGIC, BPF_FS_MAGIC,  SELINUX_MAGIC,        SMACK_MAGIC,
    EFIVARFS_MAGIC,           BINFMTFS_MAGIC,      NSFS_MAGIC,    RDTGROUP_SUPER_MAGIC, 0x62656570 /* configfs */,
    0x65735543 /* fusectl */,
};

static bool is_among(const unsigned kinds[], size_t n, const struct statfs *fs)
{
    for (size_t i = 0; i < n; i++)
        if (kinds[i] == (unsigned)fs->f_type)
            return true;
    return false;
}

static bool sleeps_device(const struct stat *st)
{
    enum { MEMORY = 1, NULL_DEVICE = 3, ZERO = 5, FULL = 7, URANDOM = 9 };
    const unsigned which = minor(st->st_rdev);
    return major(st->st_rdev) != MEMORY ||
           !(which == NULL_DEVICE || which == ZERO || which == FULL || which == URANDOM);
}

bool file_sleeps(int fd, const struct stat *st)
{
    struct statfs fs;
    if (S_ISREG(st->st_mode))
        return fstatfs(fd, &fs) < 0 || !is_among(disks, sizeof disks / sizeof *disks, &fs);
    return S_ISCHR(st->st_mode) && sleeps_device(st) && !isatty(fd);
}

bool file_quick(const char *name, const struct stat *st)
{
    enum { SMALL = 1 << 20 };
    struct statfs fs;
    return S_ISREG(st->st_mode) && st->st_size <= SMALL && statfs(name, &fs) == 0 &&
           is_among(disks, sizeof disks / sizeof *disks, &fs);
}

bool file_sized(const char *name, const struct stat *st)
{
    struct statfs fs;
    return S_ISREG(st->st_mode) &&
           !(statfs(name, &fs) == 0 && is_among(made_up, sizeof made_up / sizeof *made_up, &fs));
}
