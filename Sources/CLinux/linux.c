#define _GNU_SOURCE
#include <dirent.h>
#include "CLinux.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define RESULT(call) ({ long r = (call); (int)(r < 0 ? -errno : r); })

int clinux_pidfd_open(pid_t pid) { return RESULT(syscall(SYS_pidfd_open, pid, 0)); }
int clinux_pidfd_send_signal(int pidfd, int signal) { return RESULT(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0)); }
int clinux_memfd_create(const char *name, unsigned int flags) { return RESULT(memfd_create(name, flags | MFD_CLOEXEC | MFD_ALLOW_SEALING)); }
int clinux_memfd_seal(int fd) { return RESULT(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)); }
int clinux_close_range(unsigned int first, unsigned int last) { return RESULT(syscall(SYS_close_range, first, last, 0)); }
int clinux_pipe_cloexec(int fds[2]) { return RESULT(pipe2(fds, O_CLOEXEC)); }
int clinux_eventfd(void) { return RESULT(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }
int clinux_set_cloexec(int fd, int on) { return RESULT(fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0)); }
int clinux_set_nonblocking(int fd, int on) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0) return -errno;
    return RESULT(fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
}

int clinux_set_child_subreaper(int on) { return RESULT(prctl(PR_SET_CHILD_SUBREAPER, on, 0, 0, 0)); }
int clinux_set_dumpable(int on) { return RESULT(prctl(PR_SET_DUMPABLE, on, 0, 0, 0)); }
int clinux_get_dumpable(void) { return RESULT(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)); }
int clinux_set_parent_death_signal(int signal) { return RESULT(prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0)); }
int clinux_set_no_new_privs(void) { return RESULT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); }
int clinux_set_name(const char *name) { return RESULT(prctl(PR_SET_NAME, name, 0, 0, 0)); }

int clinux_unshare_mounts(void) { return RESULT(unshare(CLONE_NEWNS)); }
int clinux_unshare_fs(void) { return RESULT(unshare(CLONE_FS)); }
int clinux_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data) {
    return RESULT(mount(source, target, type, flags, data));
}
long clinux_file_system(const char *path) {
    struct statfs status;
    return statfs(path, &status) < 0 ? -errno : (long)status.f_type;
}
int clinux_knows_file_system(const char *name) {
    int context = (int)syscall(SYS_fsopen, name, 1 /* FSOPEN_CLOEXEC */);
    if (context < 0) return errno == ENODEV ? 0 : -errno;
    close(context);
    return 1;
}
int64_t clinux_mount_id(int fd) {
    struct statx found;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &found) < 0 || !(found.stx_mask & STATX_MNT_ID)) return -1;
    return (int64_t)found.stx_mnt_id;
}
int clinux_umount_detach(const char *target) { return RESULT(umount2(target, MNT_DETACH)); }
unsigned long clinux_ms_private_rec(void) { return MS_PRIVATE | MS_REC; }
unsigned long clinux_ms_bind(void) { return MS_BIND; }
unsigned long clinux_ms_rdonly_nosuid_nodev(void) { return MS_RDONLY | MS_NOSUID | MS_NODEV; }
unsigned long clinux_ms_nosuid_nodev_noexec(void) { return MS_NOSUID | MS_NODEV | MS_NOEXEC; }

int clinux_become(uid_t uid, gid_t gid) {
    if (setgroups(0, NULL) < 0) return -errno;
    if (setresgid(gid, gid, gid) < 0) return -errno;
    if (setresuid(uid, uid, uid) < 0) return -errno;
    return 0;
}
int clinux_act_for(uid_t uid, uid_t own, gid_t gid) {
    if (setgroups(0, NULL) < 0) return -errno;
    if (setresgid(gid, gid, gid) < 0) return -errno;
    return RESULT(setresuid(own, uid, own));
}
int clinux_setrlimit(int resource, uint64_t soft, uint64_t hard) {
    struct rlimit limit = { .rlim_cur = soft, .rlim_max = hard };
    return RESULT(setrlimit(resource, &limit));
}
int clinux_rlimit_nproc(void) { return RLIMIT_NPROC; }
int clinux_rlimit_nofile(void) { return RLIMIT_NOFILE; }
int clinux_rlimit_core(void) { return RLIMIT_CORE; }
int clinux_rlimit_fsize(void) { return RLIMIT_FSIZE; }

const char *clinux_next_name(DIR *directory) {
    for (struct dirent *entry; (entry = readdir(directory));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) return entry->d_name;
    return NULL;
}

int clinux_remove_access_list(int fd) {
    int result = RESULT(fremovexattr(fd, "system.posix_acl_access"));
    return result == -ENODATA || result == -EOPNOTSUPP ? 0 : result;
}

/// How soon the kernel ends the calling process for want of memory, in the new process too: `errno`. No function of the library formats it.
static int score(int value) {
    char text[8];
    int begin = sizeof text;
    unsigned rest = value < 0 ? -(unsigned)value : (unsigned)value;
    do text[--begin] = '0' + rest % 10; while ((rest /= 10) && begin > 1);
    if (value < 0) text[--begin] = '-';
    // Every descriptor above the wanted ones is closed by now, and so is this one.
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC), length = (int)sizeof text - begin;
    if (fd < 0) return errno;
    ssize_t count = write(fd, text + begin, length);
    int error = count == length ? 0 : count < 0 ? errno : EIO;
    close(fd);
    return error;
}

/// The new process, which shares our memory until it is another program: system calls and nothing else.
static int become(const char *path, char *const argv[], char *const envp[], const struct clinux_spawn_options *options, const int *lifted, int count, pid_t parent) {
    struct sigaction standard = { .sa_handler = SIG_DFL };
    for (int number = 1; number < NSIG; number++) sigaction(number, &standard, NULL);
    if (options->new_session && setsid() < 0) return errno;
    if (options->new_group && setpgid(0, 0) < 0) return errno;
    for (int target = 0; target < count; target++)
        if (dup2(lifted[target], target) < 0) return errno;
    if (syscall(SYS_close_range, count, ~0u, 0) < 0) return errno;
    if (options->directory && chdir(options->directory) < 0) return errno;
    if (options->parent_death_signal) {
        if (prctl(PR_SET_PDEATHSIG, options->parent_death_signal, 0, 0, 0) < 0) return errno;
        if (getppid() != parent) return ESRCH;
    }
    if (options->oom_score_adj) {
        int error = score(options->oom_score_adj);
        if (error) return error;
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(path, argv, envp);
    return errno;
}

pid_t clinux_spawn(const char *path, char *const argv[], char *const envp[], const struct clinux_spawn_options *options) {
    // The sources may lie among the targets (descriptor 3 may be wanted as 1): lift every one above them first.
    enum { limit = 16 };
    int count = 3 + options->extra_count, lifted[limit], opened = 0;
    pid_t pid = -EINVAL;
    if (options->extra_count < 0 || count > limit) return pid;
    for (; opened < count; opened++) {
        int source = opened < 3 ? options->stdio[opened] : options->extra[opened - 3];
        int null = -1;
        if (opened < 3 && source < 0) source = null = open("/dev/null", (opened == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
        lifted[opened] = source < 0 ? -1 : fcntl(source, F_DUPFD_CLOEXEC, count);
        int error = lifted[opened] < 0 ? errno : 0;
        if (null >= 0) close(null);
        if (error) { pid = -error; goto done; }
    }

    // posix_spawn does all of this but the parent's death signal. No handler of ours may run in the child.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pid_t parent = getpid();
    volatile int error = 0;
    pid = vfork();
    if (pid == 0) {
        error = become(path, argv, envp, options, lifted, count, parent);
        _exit(127);
    }
    if (pid < 0) pid = -errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid > 0 && error) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
        pid = -error;
    }
done:
    for (int i = 0; i < opened; i++) if (lifted[i] >= 0) close(lifted[i]);
    return pid;
}

pid_t clinux_reap(pid_t pid, int *exit_code, int *signal) {
    siginfo_t info = { 0 };
    if (waitid(pid > 0 ? P_PID : P_ALL, (id_t)pid, &info, WEXITED | WNOHANG) < 0) return -errno;
    if (info.si_pid == 0) return 0;
    *exit_code = info.si_code == CLD_EXITED ? info.si_status : -1;
    *signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
    return info.si_pid;
}
pid_t clinux_peek_exit(pid_t pid, int *exit_code, int *signal) {
    siginfo_t info = { 0 };
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0) return -errno;
    if (info.si_pid == 0) return 0;
    *exit_code = info.si_code == CLD_EXITED ? info.si_status : -1;
    *signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
    return info.si_pid;
}
pid_t clinux_peek_dead_child(void) {
    siginfo_t info = { 0 };
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0) return -errno;
    return info.si_pid;
}

static int signal_pipe_writer = -1;
static void write_signal(int number) {
    int saved = errno;
    unsigned char byte = (unsigned char)number;
    // A full pipe already wakes its reader; what was dropped is a repetition.
    ssize_t written = write(signal_pipe_writer, &byte, 1);
    (void)written;
    errno = saved;
}
int clinux_signal_pipe(const int *signals, int count) {
    int fds[2];
    if (signal_pipe_writer >= 0) return -EBUSY;
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) return -errno;
    signal_pipe_writer = fds[1];
    struct sigaction action = { .sa_handler = write_signal, .sa_flags = SA_RESTART | SA_NOCLDSTOP };
    sigfillset(&action.sa_mask);
    for (int i = 0; i < count; i++)
        if (sigaction(signals[i], &action, NULL) < 0) return -errno;
    // A starter may have handed down a mask that would keep them out.
    sigset_t wanted;
    sigemptyset(&wanted);
    for (int i = 0; i < count; i++) sigaddset(&wanted, signals[i]);
    pthread_sigmask(SIG_UNBLOCK, &wanted, NULL);
    return fds[0];
}
void clinux_ignore_sigpipe(void) { signal(SIGPIPE, SIG_IGN); }

int clinux_execve(const char *path, char *const argv[], char *const envp[]) {
    execve(path, argv, envp);
    return -errno;
}
void clinux_wipe(void *memory, size_t count) { explicit_bzero(memory, count); }

int clinux_syncfs(int fd) { return RESULT(syncfs(fd)); }
int clinux_open_in_root(int root, const char *path, int lookOnly) {
    // Not blocking: the file may be a fifo.
    struct open_how how = {.flags = (lookOnly ? O_PATH : O_RDONLY | O_NONBLOCK | O_NOCTTY) | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    return RESULT((int)syscall(SYS_openat2, root, path, &how, sizeof how));
}
ssize_t clinux_copy_file(int from, int to, size_t count) {
    ssize_t copied = copy_file_range(from, NULL, to, NULL, count, 0);
    if (copied >= 0) return copied;
    if (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) return -errno;
    // Between two file systems the kernel does not copy: a piece by hand.
    char piece[32 << 10];
    ssize_t got = read(from, piece, count < sizeof piece ? count : sizeof piece);
    if (got < 0) return -errno;
    for (ssize_t done = 0; done < got;) {
        ssize_t put = write(to, piece + done, (size_t)(got - done));
        if (put < 0 && errno != EINTR) return -errno;
        if (put > 0) done += put;
    }
    return got;
}
int64_t clinux_monotonic_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
