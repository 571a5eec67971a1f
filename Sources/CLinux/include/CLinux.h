#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// System calls that Swift's Glibc module does not offer, each a thin wrapper: results are the kernel's, `-errno` on failure.

int clinux_pidfd_open(pid_t pid);
int clinux_pidfd_send_signal(int pidfd, int signal);
int clinux_memfd_create(const char *name, unsigned int flags);
/// Seals a memory file against every later change (write, grow, shrink, seal).
int clinux_memfd_seal(int fd);
int clinux_close_range(unsigned int first, unsigned int last);
int clinux_pipe_cloexec(int fds[2]);
int clinux_set_cloexec(int fd, int on);
/* A counter that the kernel adds to; non-blocking, close-on-exec. */
int clinux_eventfd(void);
int clinux_set_nonblocking(int fd, int on);

int clinux_set_child_subreaper(int on);
int clinux_set_dumpable(int on);
int clinux_get_dumpable(void);
int clinux_set_parent_death_signal(int signal);
int clinux_set_no_new_privs(void);
int clinux_set_name(const char *name);

int clinux_unshare_mounts(void);
/// Gives the calling thread a working directory, root and umask of its own.
int clinux_unshare_fs(void);
int clinux_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data);
int clinux_umount_detach(const char *target);
/// The magic number of the file system that `path` lies on (`statfs`), or `-errno`.
long clinux_file_system(const char *path);
/// Reads the resolver's configuration anew, for the calling thread; with `on` names that have a dot are looked up as they are alone,
/// and not with the host's search list behind them.
void clinux_resolve_as_written(int on);
/// Whether the kernel has a file system of that name, 1 or 0; loads its module where it is one, as a mount would. `-errno` when it cannot be asked.
int clinux_knows_file_system(const char *name);
/// Which mount an open file lies on: two binds of one file system differ. -1 where the kernel does not tell (before 5.8).
int64_t clinux_mount_id(int fd);
unsigned long clinux_ms_private_rec(void);
unsigned long clinux_ms_bind(void);
unsigned long clinux_ms_rdonly_nosuid_nodev(void);
unsigned long clinux_ms_nosuid_nodev_noexec(void);

/// The user namespace that owns the namespace behind `fd`, as a descriptor; `-errno` (EPERM: outside of what the caller sees).
int clinux_namespace_owner(int fd);
/// The user namespace around the user namespace behind `fd`, likewise.
int clinux_namespace_parent(int fd);
/// Reads a user namespace's `uid_map` as its parent numbers it, also when no process lives in it: how many bytes, or `-errno`.
ssize_t clinux_uid_map(int user_namespace, char *text, size_t size);
/// A new network namespace of the caller's user namespace, as a descriptor, close-on-exec, which alone keeps it: `lo` is up, every
/// address there is, of IPv4 and IPv6, is its own (`local default dev lo`), and any user may bind any port. `-errno`, and `step` says of what.
int clinux_local_network(const char **step);

/// Becomes uid:gid for good: supplementary groups emptied (or set to `gid`), real, effective and saved ids, every thread.
int clinux_become(uid_t uid, gid_t gid);
/// Does as `uid` may from now on, to files and to processes, while no process of that uid may signal or trace this one: its
/// real and saved ids are `own`, which nobody else has. No supplementary groups.
int clinux_act_for(uid_t uid, uid_t own, gid_t gid);
int clinux_setrlimit(int resource, uint64_t soft, uint64_t hard);
int clinux_rlimit_nproc(void);
int clinux_rlimit_nofile(void);
int clinux_rlimit_core(void);
int clinux_rlimit_fsize(void);

/// The name of the next entry that is neither `.` nor `..`, or NULL at the end; it stays until the directory is read again.
// Not by <dirent.h>: with it in this header the compiler takes `dirent` for ours or for Glibc's by the order of files.
struct __dirstream;
const char *clinux_next_name(struct __dirstream *directory);
/// Takes the POSIX access list off a file; also well where there is none.
int clinux_remove_access_list(int fd);

/// How `clinux_spawn` starts a program: every descriptor above 2 is closed in the child, signal masks and
/// handlers are reset, and the child leads a session (`new_session`) or a process group (`new_group`) of its own.
struct clinux_spawn_options {
    /// Descriptors to become 0, 1 and 2; -1 for /dev/null opened read-only (0) or write-only (1, 2).
    int stdio[3];
    /// Descriptors to become 3, 4, …; `extra_count` of them, then everything above is closed.
    const int *extra;
    int extra_count;
    int new_session;
    int new_group;
    /// Working directory or NULL.
    const char *directory;
    /// What the child gets when the *thread* that started it ends, a killed process's included; 0 for nothing.
    int parent_death_signal;
    /// How soon the kernel ends the child for want of memory, -1000 to 1000, before it runs anything; 0 leaves it as it is here.
    int oom_score_adj;
};
/// Returns the pid, or `-errno`. `path` is used as it is (no PATH search).
pid_t clinux_spawn(const char *path, char *const argv[], char *const envp[], const struct clinux_spawn_options *options);

/// `waitid(P_ALL | P_PID, WNOHANG|WEXITED)`: the pid reaped (and its exit code or signal), 0 for none, `-errno`.
pid_t clinux_reap(pid_t pid, int *exit_code, int *signal);
/// How a child of ours ended, without reaping it: its pid when it is dead, 0 while it lives, `-errno` (ECHILD: reaped).
pid_t clinux_peek_exit(pid_t pid, int *exit_code, int *signal);
/// The next dead child without reaping it, 0 for none.
pid_t clinux_peek_dead_child(void);

/// Handles `signals` by writing each number as one byte into a pipe: the read end, non-blocking, or `-errno`. Once per process.
int clinux_signal_pipe(const int *signals, int count);
/// `signal(SIGPIPE, SIG_IGN)`: a write to a closed pipe answers EPIPE.
void clinux_ignore_sigpipe(void);

/// Milliseconds on the clock that never goes back.
int64_t clinux_monotonic_milliseconds(void);

/// `execve` that only returns on failure.
int clinux_execve(const char *path, char *const argv[], char *const envp[]);
/// Overwrites memory in a way that the compiler keeps.
void clinux_wipe(void *memory, size_t count);

/// Flushes the file system that holds `fd`.
int clinux_syncfs(int fd);
/// Opens `path` for reading as a process would whose root is `root`: no link leads out of it. Only to look where `lookOnly`.
int clinux_open_in_root(int root, const char *path, int lookOnly);
/// Copies up to `count` bytes between two files, at and behind their positions, in the kernel where it can: how many, 0 at the end, `-errno`.
ssize_t clinux_copy_file(int from, int to, size_t count);
