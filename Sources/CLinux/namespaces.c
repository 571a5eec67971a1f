#define _GNU_SOURCE
#include "CLinux.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

int clinux_namespace_owner(int fd) {
    int owner = ioctl(fd, NS_GET_USERNS);
    return owner < 0 ? -errno : owner;
}

int clinux_namespace_parent(int fd) {
    int parent = ioctl(fd, NS_GET_PARENT);
    return parent < 0 ? -errno : parent;
}

ssize_t clinux_uid_map(int user_namespace, char *text, size_t size) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
    // A process of one thread may enter it, which a fresh child is; between fork and exit it makes system calls only.
    pid_t child = fork();
    if (child == 0) {
        if (setns(user_namespace, CLONE_NEWUSER) < 0) _exit(1);
        int map = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
        ssize_t count = map < 0 ? -1 : read(map, text, size);
        _exit(count > 0 && write(ends[1], text, (size_t)count) == count ? 0 : 1);
    }
    int error = errno;
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        return -error;
    }
    ssize_t count;
    do count = read(ends[0], text, size);
    while (count < 0 && errno == EINTR);
    error = errno;
    close(ends[0]);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    return count < 0 ? -error : count;
}
