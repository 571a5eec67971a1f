extension SeccompProfile {
    /// What a program needs, by purpose.
    static let allowed: [Group] = [
        Group(
            "open, read, write and describe files",
            """
            access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate
            fchdir fchmod fchmodat fchown fchownat fcntl fdatasync flock fstat fstatfs fsync ftruncate getcwd getdents getdents64
            ioctl lchown link linkat lseek lstat mkdir mkdirat newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2
            pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv rename renameat renameat2 rmdir sendfile splice
            stat statfs statx symlink symlinkat sync sync_file_range syncfs tee truncate umask unlink unlinkat utime utimensat
            utimes futimesat write writev
            """),
        Group(
            "extended attributes of files it owns",
            """
            fgetxattr flistxattr fremovexattr fsetxattr getxattr lgetxattr listxattr llistxattr lremovexattr lsetxattr
            removexattr setxattr
            """),
        Group("FIFOs and sockets in the file system; device nodes need a capability", "mknod mknodat"),
        Group("change notification within its own files", "inotify_add_watch inotify_init inotify_init1 inotify_rm_watch"),
        Group(
            "memory of its own",
            """
            brk get_mempolicy madvise membarrier memfd_create mincore mlock mlock2 mlockall mmap mprotect mremap msync munlock
            munlockall munmap pkey_alloc pkey_free pkey_mprotect
            """),
        Group(
            "start, watch and end processes and threads",
            """
            execve execveat exit exit_group fork getpgid getpgrp getpid getppid getsid gettid pidfd_open pidfd_send_signal
            setpgid setsid vfork wait4 waitid arch_prctl get_robust_list get_thread_area rseq set_robust_list set_thread_area
            set_tid_address restart_syscall prctl
            """),
        Group(
            "scheduling and priorities of its own",
            """
            getcpu getpriority ioprio_get ioprio_set sched_get_priority_max sched_get_priority_min sched_getaffinity
            sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr
            sched_setparam sched_setscheduler sched_yield setpriority
            """),
        Group("limits and accounting", "getrlimit getrusage prlimit64 setrlimit sysinfo times uname"),
        Group(
            "signals",
            """
            kill pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
            rt_tgsigqueueinfo sigaltstack signalfd signalfd4 tgkill tkill
            """),
        Group(
            "clocks and timers, reading only",
            """
            alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep setitimer time timer_create
            timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime
            """),
        Group(
            "waiting for descriptors",
            """
            epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 poll ppoll pselect6 select
            """),
        Group("kernel asynchronous I/O of databases", "io_cancel io_destroy io_getevents io_setup io_submit"),
        Group(
            "sockets, once `socket` let the family through",
            """
            accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg sendmsg
            sendto setsockopt shutdown socketpair
            """),
        Group("locks", "futex"),
        Group("randomness", "getrandom"),
        Group(
            "identities: the agent changes them with its capabilities, a child cannot",
            """
            capget capset getegid geteuid getgid getgroups getresgid getresuid getuid setfsgid setfsuid setgid setgroups
            setregid setresgid setresuid setreuid setuid
            """),
        Group(
            "tightening its own sandbox",
            "landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp"),
    ]

    /// Allowed when an app asks: objects that outlive their maker, so the next holder of a user id reads its predecessor's.
    static let persistentIPC = Group(
        "System V and POSIX queues, semaphores and segments outlive the process that made them",
        """
        shmget shmat shmctl shmdt msgget msgctl msgrcv msgsnd semget semctl semop semtimedop mq_open mq_getsetattr mq_notify
        mq_timedreceive mq_timedsend mq_unlink
        """)

    /// Answered EPERM rather than ENOSYS: programs know these calls and handle a refusal of them best.
    static let refused: [Group] = [
        Group(
            "mounts: the mount family builds views of file systems",
            """
            mount umount2 pivot_root move_mount open_tree open_tree_attr fsopen fsconfig fsmount fspick mount_setattr statmount
            listmount chroot
            """),
        Group("namespaces: a fresh user namespace holds every capability in it", "setns unshare"),
        Group("other processes' memory and descriptors", "ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd"),
        Group("the kernel's key rings are not separated by namespaces", "keyctl add_key request_key"),
        Group("kernel surface with a history of escapes", "bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register"),
        Group("memory hidden from the kernel itself", "memfd_secret"),
        Group(
            "the host's kernel: modules, kexec, power, accounting, swap",
            """
            kexec_load kexec_file_load init_module finit_module delete_module reboot swapon swapoff acct quotactl quotactl_fd
            """),
        Group("the host's clock", "settimeofday clock_settime clock_adjtime adjtimex"),
        Group("the host's ports and terminals", "iopl ioperm vhangup"),
        Group("the host's log", "syslog"),
        Group("files by handle, past every path", "open_by_handle_at name_to_handle_at lookup_dcookie fanotify_init fanotify_mark"),
        Group("placement of memory on the host's nodes", "mbind set_mempolicy migrate_pages move_pages"),
        Group("names that belong to the machine's configuration", "sethostname setdomainname"),
        Group("segments of 32-bit emulators", "modify_ldt"),
    ]

    /// Calls of the engines' default that are simply absent (ENOSYS) here, and why.
    static let omitted: [Group] = [
        Group("replaced by mmap for a decade", "remap_file_pages"),
        Group("reaping memory of a dying process is the host's business", "process_mrelease"),
        Group("never implemented on this architecture", "epoll_ctl_old epoll_wait_old"),
        Group("not a call of the kernel, a name in old lists", "fstatat64 sigaction signal timerfd"),
    ]

    /// Calls of the engines' default that only 32-bit kernels' interfaces have: the one architecture of a machine lacks them.
    static let otherArchitectures = Group(
        "32-bit interfaces",
        """
        _llseek _newselect chown32 clock_adjtime64 clock_getres_time64 clock_gettime64 clock_nanosleep_time64 fadvise64_64 fchown32 fcntl64
        fstat64 fstatfs64 ftruncate64 futex_time64 getegid32 geteuid32 getgid32 getgroups32 getresgid32 getresuid32 getuid32 ipc
        lchown32 lstat64 mmap2 mq_timedreceive_time64 mq_timedsend_time64 ppoll_time64 pselect6_time64 readdir recv
        recvmmsg_time64 rt_sigtimedwait_time64 sched_rr_get_interval_time64 semtimedop_time64 send sendfile64 setfsgid32
        setfsuid32 setgid32 setgroups32 setregid32 setresgid32 setresuid32 setreuid32 setuid32 sigpending sigprocmask sigreturn
        sigsuspend socketcall stat64 statfs64 syscall timer_gettime64 timer_settime64 timerfd_gettime64 timerfd_settime64
        truncate64 ugetrlimit umount utimensat_time64 waitpid
        """)
}
