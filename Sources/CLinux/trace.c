#define _GNU_SOURCE
#include "CLinux.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Which argument of a call is a path (one that it makes or changes, of two), -1 for none, -2 for a socket's address. */
static const struct { long number; const char *name; int path; } calls[] = {
#define CALL(name, path) { SYS_##name, #name, path },
    CALL(openat, 1) CALL(openat2, 1) CALL(mkdirat, 1) CALL(unlinkat, 1) CALL(renameat2, 3) CALL(symlinkat, 2) CALL(linkat, 3) CALL(mknodat, 1)
    CALL(fchmodat, 1) CALL(fchownat, 1) CALL(utimensat, 1) CALL(truncate, 0) CALL(execve, 0) CALL(execveat, 1) CALL(chdir, 0)
    CALL(setxattr, 0) CALL(lsetxattr, 0) CALL(connect, -2) CALL(bind, -2) CALL(sendto, -1) CALL(socket, -1) CALL(listen, -1)
    CALL(write, -1) CALL(pwrite64, -1) CALL(writev, -1) CALL(ftruncate, -1) CALL(fallocate, -1) CALL(clone, -1) CALL(clone3, -1) CALL(mmap, -1)
    CALL(brk, -1) CALL(mprotect, -1) CALL(mremap, -1) CALL(dup, -1) CALL(dup3, -1) CALL(pipe2, -1) CALL(socketpair, -1) CALL(accept4, -1)
    CALL(epoll_create1, -1) CALL(eventfd2, -1) CALL(memfd_create, -1) CALL(inotify_init1, -1) CALL(inotify_add_watch, -1)
    CALL(mount, 1) CALL(umount2, 0) CALL(pivot_root, 0) CALL(chroot, 0) CALL(unshare, -1) CALL(setns, -1) CALL(ptrace, -1)
    CALL(process_vm_readv, -1) CALL(process_vm_writev, -1) CALL(kcmp, -1) CALL(keyctl, -1) CALL(add_key, -1) CALL(request_key, -1) CALL(bpf, -1)
    CALL(perf_event_open, -1) CALL(userfaultfd, -1) CALL(io_uring_setup, -1) CALL(io_uring_enter, -1) CALL(io_uring_register, -1)
    CALL(kexec_load, -1) CALL(init_module, -1) CALL(finit_module, -1) CALL(delete_module, -1) CALL(reboot, -1) CALL(swapon, 0) CALL(swapoff, 0)
    CALL(acct, 0) CALL(quotactl, -1) CALL(settimeofday, -1) CALL(clock_settime, -1) CALL(clock_adjtime, -1) CALL(adjtimex, -1) CALL(vhangup, -1)
    CALL(syslog, -1) CALL(open_by_handle_at, -1) CALL(name_to_handle_at, 1) CALL(fanotify_init, -1) CALL(fanotify_mark, -1) CALL(mbind, -1)
    CALL(set_mempolicy, -1) CALL(get_mempolicy, -1) CALL(migrate_pages, -1) CALL(move_pages, -1) CALL(sethostname, -1) CALL(setdomainname, -1)
    CALL(personality, -1) CALL(setuid, -1) CALL(setgid, -1) CALL(setresuid, -1) CALL(setresgid, -1) CALL(setgroups, -1) CALL(setpriority, -1)
    CALL(sched_setscheduler, -1) CALL(sched_setaffinity, -1) CALL(ioprio_set, -1) CALL(setrlimit, -1) CALL(prlimit64, -1) CALL(capset, -1)
    CALL(mlock, -1) CALL(mlockall, -1) CALL(kill, -1) CALL(tgkill, -1) CALL(pidfd_open, -1) CALL(pidfd_getfd, -1) CALL(pidfd_send_signal, -1)
    CALL(shmget, -1) CALL(shmat, -1) CALL(msgget, -1) CALL(semget, -1) CALL(mq_open, -1) CALL(setsockopt, -1) CALL(prctl, -1) CALL(seccomp, -1)
#ifdef SYS_open
    CALL(open, 0) CALL(creat, 0) CALL(mkdir, 0) CALL(rmdir, 0) CALL(unlink, 0) CALL(rename, 1) CALL(symlink, 1) CALL(link, 1) CALL(mknod, 0)
    CALL(chmod, 0) CALL(chown, 0) CALL(lchown, 0) CALL(utime, 0) CALL(utimes, 0) CALL(fork, -1) CALL(vfork, -1) CALL(pipe, -1) CALL(modify_ldt, -1)
#endif
#undef CALL
};

static volatile pid_t traced;

static void pass(int number) { if (traced > 0) kill(traced, number); }

pid_t clinux_trace_split(void) {
    pid_t child = fork();
    if (child < 0) return -errno;
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0) return errno == 0 ? -EPERM : -errno;
        raise(SIGSTOP);
        return 0;
    }
    traced = child;
    struct sigaction action = { .sa_handler = pass };
    const int passed[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++) sigaction(passed[i], &action, NULL);
    return child;
}

static struct clinux_traced_thread *thread_of(struct clinux_trace *trace, pid_t id, int makes) {
    struct clinux_traced_thread *free = NULL;
    for (int i = 0; i < CLINUX_TRACED_THREADS; i++) {
        if (trace->threads[i].id == id) return &trace->threads[i];
        if (!free && trace->threads[i].id == 0) free = &trace->threads[i];
    }
    if (makes && free) *free = (struct clinux_traced_thread){ .id = id };
    return makes ? free : NULL;
}

/* Up to `size` bytes of a traced thread that stands still, in whole words; how many. */
static size_t peek(pid_t id, uint64_t address, char *into, size_t size) {
    size_t count = 0;
    while (count + sizeof(long) <= size) {
        errno = 0;
        long word = ptrace(PTRACE_PEEKDATA, id, (void *)(uintptr_t)(address + count), NULL);
        if (errno) break;
        memcpy(into + count, &word, sizeof word);
        count += sizeof word;
        if (memchr(&word, 0, sizeof word) && size > sizeof(struct sockaddr_in6)) break;
    }
    return count;
}

static void subject(pid_t id, int kind, const uint64_t *arguments, char *into, size_t size) {
    into[0] = 0;
    if (kind >= 0) {
        size_t count = peek(id, arguments[kind], into, size - 1);
        into[count] = 0;
    } else if (kind == -2) {
        char bytes[32] = { 0 }, text[INET6_ADDRSTRLEN] = "";
        size_t count = peek(id, arguments[1], bytes, sizeof(struct sockaddr_in6) / sizeof(long) * sizeof(long));
        struct sockaddr_in6 six;
        struct sockaddr_in four;
        memcpy(&six, bytes, sizeof six);
        memcpy(&four, bytes, sizeof four);
        if (count >= sizeof four && four.sin_family == AF_INET && inet_ntop(AF_INET, &four.sin_addr, text, sizeof text))
            snprintf(into, size, "%s:%d", text, ntohs(four.sin_port));
        else if (count >= 24 && six.sin6_family == AF_INET6 && inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof text))
            snprintf(into, size, "[%s]:%d", text, ntohs(six.sin6_port));
    }
}

static void tell(pid_t id, const struct clinux_traced_thread *thread, int error, struct clinux_failed_call *call) {
    *call = (struct clinux_failed_call){ .error = error, .flags = thread->arguments[thread->number == SYS_openat ? 2 : 1] };
    int kind = -1;
    snprintf(call->name, sizeof call->name, "call %llu", (unsigned long long)thread->number);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if ((uint64_t)calls[i].number != thread->number) continue;
        snprintf(call->name, sizeof call->name, "%s", calls[i].name);
        kind = calls[i].path;
        call->is_known = 1;
        break;
    }
    call->kind = kind >= 0 ? 1 : kind == -2 ? 2 : 0;
    subject(id, kind, thread->arguments, call->subject, sizeof call->subject);
}

int clinux_trace_next(struct clinux_trace *trace, struct clinux_failed_call *call) {
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    for (;;) {
        int status;
        pid_t id = waitpid(-1, &status, __WALL);
        if (id < 0 && errno == EINTR) continue;
        if (id < 0) return 0;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            struct clinux_traced_thread *gone = thread_of(trace, id, 0);
            if (gone) gone->id = 0;
            if (id != traced) continue;
            traced = 0;
            trace->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
            trace->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
            return 0;
        }
        if (!WIFSTOPPED(status)) continue;
        int number = WSTOPSIG(status), deliver = 0, found = 0;
        struct clinux_traced_thread *thread = thread_of(trace, id, 0);
        if (!thread) {
            // The first stop of everything that is new is no signal of its own.
            thread = thread_of(trace, id, 1);
            if (id == traced && !trace->has_begun) {
                trace->has_begun = 1;
                ptrace(PTRACE_SETOPTIONS, id, NULL, options);
            }
            if (number != SIGSTOP && number != (SIGTRAP | 0x80) && status >> 16 == 0) deliver = number;
        } else if (number == (SIGTRAP | 0x80)) {
            struct __ptrace_syscall_info info;
            if (ptrace(PTRACE_GET_SYSCALL_INFO, id, sizeof info, &info) > 0) {
                if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
                    thread->number = info.entry.nr;
                    memcpy(thread->arguments, info.entry.args, sizeof thread->arguments);
                } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && info.exit.is_error) {
                    tell(id, thread, (int)-info.exit.rval, call);
                    found = 1;
                }
            }
        } else if (status >> 16 == 0) {
            deliver = number;
        }
        ptrace(PTRACE_SYSCALL, id, NULL, (long)deliver);
        if (found) return 1;
    }
}
