/* Makes system calls on SQLite's files fail. Loaded into the server with LD_PRELOAD and steered through a file that both
 * processes map: see `injector.rs`. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum call { NONE = 0, WRITE = 1, SYNC = 2, READ = 3 };

struct control {
    _Atomic int32_t call;  /* which calls fail */
    _Atomic int32_t from;  /* the first one to fail: 1 is the next */
    _Atomic int32_t count; /* how many fail */
    _Atomic int32_t error; /* with which errno */
    _Atomic int32_t seen;  /* how many have been made */
};

static struct control *control;

__attribute__((constructor)) static void map_control(void) {
    const char *path = getenv("FAULT_CONTROL");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED)
        control = mapped;
}

/* Whether the descriptor is of a database file, its log or its journal. The index of the log is mapped memory. */
static int is_of_database(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    const char *name = strrchr(path, '/');
    return name && strstr(name, ".db") && !strstr(name, "-shm");
}

static int fails(enum call call, int file) {
    if (!control || control->call != call || !is_of_database(file))
        return 0;
    int32_t made = ++control->seen;
    if (made < control->from || made - control->from >= control->count)
        return 0;
    errno = control->error;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int file, const void *bytes, size_t size) {
    return fails(WRITE, file) ? -1 : REAL(write)(file, bytes, size);
}
ssize_t pwrite(int file, const void *bytes, size_t size, off_t at) {
    return fails(WRITE, file) ? -1 : REAL(pwrite)(file, bytes, size, at);
}
ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t at) {
    return fails(WRITE, file) ? -1 : REAL(pwrite64)(file, bytes, size, at);
}
ssize_t read(int file, void *bytes, size_t size) {
    return fails(READ, file) ? -1 : REAL(read)(file, bytes, size);
}
ssize_t pread(int file, void *bytes, size_t size, off_t at) {
    return fails(READ, file) ? -1 : REAL(pread)(file, bytes, size, at);
}
ssize_t pread64(int file, void *bytes, size_t size, off64_t at) {
    return fails(READ, file) ? -1 : REAL(pread64)(file, bytes, size, at);
}
int fsync(int file) {
    return fails(SYNC, file) ? -1 : REAL(fsync)(file);
}
int fdatasync(int file) {
    return fails(SYNC, file) ? -1 : REAL(fdatasync)(file);
}
