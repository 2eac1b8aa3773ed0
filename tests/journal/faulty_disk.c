/* A disk that fails on demand, put before libc with LD_PRELOAD: while the file named by FAULT_FILE says "fsync", "full"
 * or "readonly", calls on files of the journal fail as such a disk makes them fail. Built by test_disk.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int fault_is(const char *what)
{
    const char *path = getenv("FAULT_FILE");
    char text[16] = "";
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file)
        return 0;
    if (!fgets(text, sizeof text, file))
        text[0] = 0;
    fclose(file);
    return strcmp(text, what) == 0;
}

static int of_journal(int fd)
{
    char link[64], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return strstr(path, "journal.db") != NULL && strstr(path, ".lock") == NULL;
}

#define NEXT(name) __typeof__(&name) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

int fsync(int fd)
{
    NEXT(fsync);
    if (of_journal(fd) && fault_is("fsync")) {
        errno = EIO;
        return -1;
    }
    return next(fd);
}

int fdatasync(int fd)
{
    NEXT(fdatasync);
    if (of_journal(fd) && fault_is("fsync")) {
        errno = EIO;
        return -1;
    }
    return next(fd);
}

static int refused(int fd)
{
    if (!of_journal(fd))
        return 0;
    if (fault_is("full")) {
        errno = ENOSPC;
        return 1;
    }
    if (fault_is("readonly")) {
        errno = EROFS;
        return 1;
    }
    return 0;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    NEXT(pwrite64);
    return refused(fd) ? -1 : next(fd, data, size, offset);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    NEXT(pwrite);
    return refused(fd) ? -1 : next(fd, data, size, offset);
}

ssize_t write(int fd, const void *data, size_t size)
{
    NEXT(write);
    return refused(fd) ? -1 : next(fd, data, size);
}

int ftruncate64(int fd, off64_t size)
{
    NEXT(ftruncate64);
    return refused(fd) ? -1 : next(fd, size);
}
