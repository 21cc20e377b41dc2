/* Routes by system calls alone, without the C library's wrappers: attacks ROUTE FILE SCRATCH PID
 * Writes what it got to standard output; the exit code is 0, or the error number of what refused it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPEN_TREE 428
#define OPENAT2 437
#define PIDFD_OPEN 434
#define FCHMODAT2 452
#define URING_SETUP 425
#define URING_ENTER 426
#define TREE_CLONE 1
#define RECURSIVE 0x8000

static const char *file, *scratch;
static long pid;
static char buffer[8192];

static long must(long result) {
    if (result < 0) exit(errno ? errno : 1);
    return result;
}

static void show(int descriptor) {
    long size = must(syscall(SYS_read, descriptor, buffer, sizeof buffer));
    must(syscall(SYS_write, 1, buffer, size));
}

/* One operation through a ring of its own; returns its result. */
static long ring(struct io_uring_sqe *entry) {
    struct io_uring_params set = {0};
    int descriptor = must(syscall(URING_SETUP, 4, &set));
    size_t size = set.sq_off.array + set.sq_entries * sizeof(unsigned) + 4096;
    size_t answers = set.cq_off.cqes + set.cq_entries * sizeof(struct io_uring_cqe);
    char *queue = mmap(0, size > answers ? size : answers, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, IORING_OFF_SQ_RING);
    char *done = set.features & IORING_FEAT_SINGLE_MMAP ? queue
        : mmap(0, answers, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, IORING_OFF_CQ_RING);
    struct io_uring_sqe *entries = mmap(0, set.sq_entries * sizeof *entry, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, IORING_OFF_SQES);
    if (queue == MAP_FAILED || entries == MAP_FAILED) exit(EIO);
    *entries = *entry;
    ((unsigned *)(queue + set.sq_off.array))[0] = 0;
    __atomic_store_n((unsigned *)(queue + set.sq_off.tail), 1, __ATOMIC_RELEASE);
    must(syscall(URING_ENTER, descriptor, 1, 1, IORING_ENTER_GETEVENTS, 0, 0));
    long result = ((struct io_uring_cqe *)(done + set.cq_off.cqes))[0].res;
    if (result < 0) exit(-result);
    return result;
}

static int ring_open(int flags) {
    struct io_uring_sqe entry = {0};
    entry.opcode = IORING_OP_OPENAT;
    entry.fd = AT_FDCWD;
    entry.addr = (unsigned long)file;
    entry.open_flags = flags;
    return ring(&entry);
}

static void uring_read(void) { show(ring_open(O_RDONLY)); }

static void uring_write(void) {
    struct io_uring_sqe entry = {0};
    entry.opcode = IORING_OP_WRITE;
    entry.fd = ring_open(O_WRONLY);
    entry.addr = (unsigned long)"spoiled";
    entry.len = 7;
    ring(&entry);
}

static void uring_unlink(void) {
    struct io_uring_sqe entry = {0};
    entry.opcode = IORING_OP_UNLINKAT;
    entry.fd = AT_FDCWD;
    entry.addr = (unsigned long)file;
    ring(&entry);
}

static void raw_read(void) { show(must(syscall(SYS_openat, AT_FDCWD, file, O_RDONLY))); }

static void raw_openat2(void) {
    struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_IN_ROOT};
    int root = must(syscall(SYS_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY));
    show(must(syscall(OPENAT2, root, file, &how, sizeof how)));
}

static void raw_sendfile(void) {
    int pipes[2], descriptor = must(syscall(SYS_openat, AT_FDCWD, file, O_RDONLY));
    must(syscall(SYS_pipe2, pipes, 0));
    must(syscall(SYS_splice, descriptor, 0, pipes[1], 0, 4096, 0));
    show(pipes[0]);
}

/* Copy a mount with what is below it, without what is mounted on it. */
static void tree(void) {
    syscall(SYS_unshare, CLONE_NEWNS);
    int copy = must(syscall(OPEN_TREE, AT_FDCWD, "/", TREE_CLONE));
    show(must(syscall(SYS_openat, copy, file + 1, O_RDONLY)));
}

static void user_tree(void) {
    must(syscall(SYS_unshare, CLONE_NEWUSER | CLONE_NEWNS));
    int copy = must(syscall(OPEN_TREE, AT_FDCWD, "/", TREE_CLONE | RECURSIVE)); /* alone it would uncover locked mounts */
    show(must(syscall(SYS_openat, copy, file + 1, O_RDONLY)));
}

/* Enter the mounts of a process outside. */
static void enter(void) {
    int handle = must(syscall(PIDFD_OPEN, pid, 0));
    must(syscall(SYS_setns, handle, CLONE_NEWNS));
    raw_read();
}

static void enter_user(void) {
    int handle = must(syscall(PIDFD_OPEN, pid, 0));
    must(syscall(SYS_setns, handle, CLONE_NEWUSER | CLONE_NEWNS));
    raw_read();
}

static void raw_write(void) {
    int descriptor = must(syscall(SYS_openat, AT_FDCWD, file, O_WRONLY));
    must(syscall(SYS_write, descriptor, "spoiled", 7));
}

static void raw_unlink(void) { must(syscall(SYS_unlinkat, AT_FDCWD, file, 0)); }

static void raw_rename(void) {
    snprintf(buffer, sizeof buffer, "%s/moved", scratch);
    must(syscall(SYS_renameat2, AT_FDCWD, file, AT_FDCWD, buffer, 0));
}

static void raw_link(void) {
    snprintf(buffer, sizeof buffer, "%s/hard", scratch);
    must(syscall(SYS_linkat, AT_FDCWD, file, AT_FDCWD, buffer, 0));
}

static void raw_chmod(void) { must(syscall(FCHMODAT2, AT_FDCWD, file, 0777, 0)); }

static void raw_truncate(void) { must(syscall(SYS_truncate, file, 0)); }

static void raw_allocate(void) {
    int descriptor = must(syscall(SYS_openat, AT_FDCWD, file, O_RDWR));
    must(syscall(SYS_fallocate, descriptor, 0, 0, 1 << 20));
}

static const struct { const char *name; void (*route)(void); } routes[] = {
    {"read", raw_read}, {"openat2", raw_openat2}, {"splice", raw_sendfile}, {"io_uring-read", uring_read},
    {"open_tree", tree}, {"user-open_tree", user_tree}, {"setns", enter}, {"user-setns", enter_user},
    {"write", raw_write}, {"io_uring-write", uring_write}, {"io_uring-unlink", uring_unlink}, {"unlink", raw_unlink},
    {"rename", raw_rename}, {"link", raw_link}, {"fchmodat2", raw_chmod}, {"truncate", raw_truncate},
    {"fallocate", raw_allocate},
};

int main(int count, char **words) {
    if (count != 5) return 99;
    file = words[2];
    scratch = words[3];
    pid = atol(words[4]);
    for (size_t number = 0; number < sizeof routes / sizeof *routes; number++)
        if (!strcmp(words[1], routes[number].name)) {
            routes[number].route();
            return 0;
        }
    return 99;
}
