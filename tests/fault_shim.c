// What a failing disk, a slow reader and a full memory look like to a process: preloaded (LD_PRELOAD), it lets calls fail that
// concern paths below one folder, or allocations that one library makes. It is armed by `fault_arm`, and counts.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

// Kinds of calls, as bits.
enum { WRITE = 1, SYNC = 2, RENAME = 4, OPEN = 8, MKDIR = 16, UNLINK = 32, READ = 64, LINK = 128, TRUNCATE = 256, ALLOCATE = 512 };

static char folder[PATH_MAX];  // with a final slash
static int kinds, error_number, is_lasting, read_at_most, read_interrupted;
static long turn;
static long own_count, *count = &own_count;  // shared with the process that forked this one
enum { MOST_LIBRARIES = 8 };
static uintptr_t library_begin[MOST_LIBRARIES], library_end[MOST_LIBRARIES];
static int libraries;
static volatile long reads;

void fault_share(void) {
    count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

long fault_count(void) { return *count; }

// The `number`-th call (from 1) of `which` fails with `error`, and with `lasting` all later ones; 0: they are only counted.
void fault_arm(const char* below, int which, long number, int error, int lasting) {
    snprintf(folder, sizeof folder, "%s/", below);
    *count = 0;
    turn = number;
    error_number = error;
    is_lasting = lasting;
    kinds = which;
}

// Every read gives at most so many bytes; every other one fails with EINTR.
void fault_reads(const char* below, int at_most, int interrupted) {
    snprintf(folder, sizeof folder, "%s/", below);
    read_at_most = at_most;
    read_interrupted = interrupted;
}

static int find_library(struct dl_phdr_info* info, size_t size, void* wanted) {
    (void)size;
    if (strstr(info->dlpi_name, wanted) == NULL) return 0;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD || !(info->dlpi_phdr[i].p_flags & PF_X)) continue;
        library_begin[libraries] = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        library_end[libraries] = library_begin[libraries] + info->dlpi_phdr[i].p_memsz;
        ++libraries;
        return 1;
    }
    return 0;
}

// Allocations are those of the libraries whose file names hold one of the names told. Returns whether there is one.
int fault_library(const char* name) { return libraries < MOST_LIBRARIES && dl_iterate_phdr(find_library, (void*)name); }

static int fails(int kind) {
    if (!(kinds & kind)) return 0;
    const long now = __atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
    if (turn == 0 || (is_lasting ? now < turn : now != turn)) return 0;
    errno = error_number;
    return 1;
}

static int is_below(const char* path) {
    char whole[2 * PATH_MAX];
    if (path[0] == '/') return strncmp(path, folder, strlen(folder)) == 0 || strncmp(path, folder, strlen(folder) - 1) == 0;
    if (getcwd(whole, PATH_MAX) == NULL) return 0;
    strncat(whole, "/", 2);
    return strncmp(whole, folder, strlen(folder)) == 0;
}

static int is_of(int descriptor) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    const ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return is_below(path);
}

#define NEXT(name) \
    static __typeof__(name)* next; \
    if (next == NULL) next = (__typeof__(name)*)dlsym(RTLD_NEXT, #name)
#define ON_PATH(kind, path, call) return (kinds & (kind)) && is_below(path) && fails(kind) ? -1 : next call
#define ON_FILE(kind, descriptor, call) return (kinds & (kind)) && is_of(descriptor) && fails(kind) ? -1 : next call

ssize_t write(int descriptor, const void* data, size_t size) { NEXT(write); ON_FILE(WRITE, descriptor, (descriptor, data, size)); }
ssize_t pwrite(int descriptor, const void* data, size_t size, off_t at) { NEXT(pwrite); ON_FILE(WRITE, descriptor, (descriptor, data, size, at)); }
ssize_t pwrite64(int descriptor, const void* data, size_t size, off64_t at) { NEXT(pwrite64); ON_FILE(WRITE, descriptor, (descriptor, data, size, at)); }
ssize_t writev(int descriptor, const struct iovec* parts, int n) { NEXT(writev); ON_FILE(WRITE, descriptor, (descriptor, parts, n)); }
int fsync(int descriptor) { NEXT(fsync); ON_FILE(SYNC, descriptor, (descriptor)); }
int fdatasync(int descriptor) { NEXT(fdatasync); ON_FILE(SYNC, descriptor, (descriptor)); }
int ftruncate(int descriptor, off_t size) { NEXT(ftruncate); ON_FILE(TRUNCATE, descriptor, (descriptor, size)); }
int ftruncate64(int descriptor, off64_t size) { NEXT(ftruncate64); ON_FILE(TRUNCATE, descriptor, (descriptor, size)); }
int rename(const char* from, const char* to) { NEXT(rename); ON_PATH(RENAME, to, (from, to)); }
int renameat(int a, const char* from, int b, const char* to) { NEXT(renameat); ON_PATH(RENAME, to, (a, from, b, to)); }
int link(const char* from, const char* to) { NEXT(link); ON_PATH(LINK, to, (from, to)); }
int linkat(int a, const char* from, int b, const char* to, int flags) { NEXT(linkat); ON_PATH(LINK, to, (a, from, b, to, flags)); }
int unlink(const char* path) { NEXT(unlink); ON_PATH(UNLINK, path, (path)); }
int unlinkat(int at, const char* path, int flags) { NEXT(unlinkat); ON_PATH(UNLINK, path, (at, path, flags)); }
int rmdir(const char* path) { NEXT(rmdir); ON_PATH(UNLINK, path, (path)); }
int mkdir(const char* path, mode_t mode) { NEXT(mkdir); ON_PATH(MKDIR, path, (path, mode)); }

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list more; \
        va_start(more, flags); \
        mode = va_arg(more, mode_t); \
        va_end(more); \
    }
int open(const char* path, int flags, ...) { MODE(flags) NEXT(open); ON_PATH(OPEN, path, (path, flags, mode)); }
int open64(const char* path, int flags, ...) { MODE(flags) NEXT(open64); ON_PATH(OPEN, path, (path, flags, mode)); }
int openat(int at, const char* path, int flags, ...) { MODE(flags) NEXT(openat); ON_PATH(OPEN, path, (at, path, flags, mode)); }
int openat64(int at, const char* path, int flags, ...) { MODE(flags) NEXT(openat64); ON_PATH(OPEN, path, (at, path, flags, mode)); }
FILE* fopen(const char* path, const char* mode) { NEXT(fopen); return (kinds & OPEN) && is_below(path) && fails(OPEN) ? NULL : next(path, mode); }
FILE* fopen64(const char* path, const char* mode) { NEXT(fopen64); return (kinds & OPEN) && is_below(path) && fails(OPEN) ? NULL : next(path, mode); }
// stdio writes past the functions above.
size_t fwrite(const void* data, size_t size, size_t n, FILE* file) {
    NEXT(fwrite);
    return (kinds & WRITE) && is_of(fileno(file)) && fails(WRITE) ? 0 : next(data, size, n, file);
}
int fflush(FILE* file) { NEXT(fflush); return file != NULL && (kinds & WRITE) && is_of(fileno(file)) && fails(WRITE) ? EOF : next(file); }

ssize_t read(int descriptor, void* data, size_t size) {
    NEXT(read);
    if ((kinds & READ) && is_of(descriptor) && fails(READ)) return -1;
    if ((read_at_most || read_interrupted) && is_of(descriptor)) {
        if (read_interrupted && __atomic_add_fetch(&reads, 1, __ATOMIC_SEQ_CST) % 2) {
            errno = EINTR;
            return -1;
        }
        if (read_at_most && size > (size_t)read_at_most) size = (size_t)read_at_most;
    }
    return next(descriptor, data, size);
}

ssize_t pread(int descriptor, void* data, size_t size, off_t at) { NEXT(pread); ON_FILE(READ, descriptor, (descriptor, data, size, at)); }
ssize_t pread64(int descriptor, void* data, size_t size, off64_t at) { NEXT(pread64); ON_FILE(READ, descriptor, (descriptor, data, size, at)); }

static int fails_allocation(const void* caller) {
    if (!(kinds & ALLOCATE)) return 0;
    for (int i = 0; i < libraries; ++i)
        if ((uintptr_t)caller >= library_begin[i] && (uintptr_t)caller < library_end[i]) return fails(ALLOCATE);
    return 0;
}

void* malloc(size_t size) {
    extern void* __libc_malloc(size_t);
    return fails_allocation(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}
void* calloc(size_t n, size_t size) {
    extern void* __libc_calloc(size_t, size_t);
    return fails_allocation(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}
void* realloc(void* before, size_t size) {
    extern void* __libc_realloc(void*, size_t);
    return fails_allocation(__builtin_return_address(0)) ? NULL : __libc_realloc(before, size);
}
void* mmap(void* address, size_t size, int protection, int flags, int descriptor, off_t at) {
    NEXT(mmap);
    return fails_allocation(__builtin_return_address(0)) ? MAP_FAILED : next(address, size, protection, flags, descriptor, at);
}

// operator new, of C++
static void* allocate_or_throw(size_t size, const void* caller) {
    extern void* __libc_malloc(size_t);
    void* const found = fails_allocation(caller) ? NULL : __libc_malloc(size == 0 ? 1 : size);
    if (found == NULL) ((void (*)(void))dlsym(dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD), "_ZSt17__throw_bad_allocv"))();
    return found;
}
void* _Znwm(size_t size) { return allocate_or_throw(size, __builtin_return_address(0)); }
void* _Znam(size_t size) { return allocate_or_throw(size, __builtin_return_address(0)); }
void* _ZnwmRKSt9nothrow_t(size_t size, const void* tag) {
    extern void* __libc_malloc(size_t);
    (void)tag;
    return fails_allocation(__builtin_return_address(0)) ? NULL : __libc_malloc(size == 0 ? 1 : size);
}
void* _ZnamRKSt9nothrow_t(size_t size, const void* tag) {
    extern void* __libc_malloc(size_t);
    (void)tag;
    return fails_allocation(__builtin_return_address(0)) ? NULL : __libc_malloc(size == 0 ? 1 : size);
}
