/* Records what a process does to the files below RECORD_ROOT, in order, into RECORD_LOG (LD_PRELOAD, Linux).
 *
 * One record: operation (1 byte), length of the path (u32), path, offset (u64), length of the data (u32), data.
 * C create, M mkdir, W write, T truncate (offset: new size), R rename (data: new path), U unlink, S sync.
 * tests/faults/test_power_cuts.py plays the records back up to any point, as a disk that lost its power then holds it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int log_fd = -1;
static const char *root;

static void put(const void *data, size_t size) {
    syscall(SYS_write, log_fd, data, size);
}

static int is_ours(const char *path) {
    if (log_fd < 0) {
        const char *name = getenv("RECORD_LOG");
        root = getenv("RECORD_ROOT");
        if (!name || !root) return 0;
        log_fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    return log_fd >= 0 && strncmp(path, root, strlen(root)) == 0;
}

static void record(char operation, const char *path, uint64_t offset, const void *data, size_t size) {
    uint32_t path_size = (uint32_t)strlen(path), data_size = (uint32_t)size;
    put(&operation, 1);
    put(&path_size, 4);
    put(path, path_size);
    put(&offset, 8);
    put(&data_size, 4);
    if (size) put(data, size);
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return is_ours(path);
}

static int opened(int fd, const char *path, int flags, int was_there) {
    if (fd >= 0 && is_ours(path)) {
        if (!was_there) record('C', path, 0, NULL, 0);
        else if (flags & O_TRUNC) record('T', path, 0, NULL, 0);
    }
    return fd;
}

#define OPEN(name)                                                                  \
    int name(const char *path, int flags, ...) {                                    \
        va_list arguments;                                                          \
        va_start(arguments, flags);                                                 \
        mode_t mode = (flags & O_CREAT) ? va_arg(arguments, mode_t) : 0;            \
        va_end(arguments);                                                          \
        int was_there = faccessat(AT_FDCWD, path, F_OK, 0) == 0;                    \
        return opened(REAL(name)(path, flags, mode), path, flags, was_there);       \
    }
OPEN(open)
OPEN(open64)

static void wrote(int fd, const void *data, ssize_t size, off_t offset) {
    char path[PATH_MAX];
    int kept = errno;
    if (size > 0 && path_of(fd, path)) record('W', path, (uint64_t)offset, data, (size_t)size);
    errno = kept;
}

ssize_t write(int fd, const void *data, size_t size) {
    off_t offset = lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
    ssize_t done = syscall(SYS_write, fd, data, size);
    wrote(fd, data, done, offset);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    ssize_t done = syscall(SYS_pwrite64, fd, data, size, offset);
    wrote(fd, data, done, offset);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

int ftruncate64(int fd, off64_t size) {
    char path[PATH_MAX];
    int done = (int)syscall(SYS_ftruncate, fd, size);
    if (done == 0 && path_of(fd, path)) record('T', path, (uint64_t)size, NULL, 0);
    return done;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int synced(int fd, int done) {
    char path[PATH_MAX];
    if (done == 0 && path_of(fd, path)) record('S', path, 0, NULL, 0);
    return done;
}

int fsync(int fd) { return synced(fd, (int)syscall(SYS_fsync, fd)); }
int fdatasync(int fd) { return synced(fd, (int)syscall(SYS_fdatasync, fd)); }

int rename(const char *from, const char *to) {
    int done = REAL(rename)(from, to);
    if (done == 0 && is_ours(from)) record('R', from, 0, to, strlen(to));
    return done;
}

int unlink(const char *path) {
    int done = REAL(unlink)(path);
    if (done == 0 && is_ours(path)) record('U', path, 0, NULL, 0);
    return done;
}

int mkdir(const char *path, mode_t mode) {
    int done = REAL(mkdir)(path, mode);
    if (done == 0 && is_ours(path)) record('M', path, 0, NULL, 0);
    return done;
}
