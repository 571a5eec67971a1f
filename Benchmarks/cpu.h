// CPU time and pinning of process trees, from /proc. A tree is read when asked for, so children born meanwhile count.
#pragma once
#include <dirent.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROCESSES = 32768 };
struct process { int pid, parent; };
static struct process processes[PROCESSES];
static int process_count;

// What part of a tree is meant: the process alone, all below it, or both.
struct target { char name[32]; int pid; bool self, below; };

static inline void cpu_read_processes(void) {
    process_count = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc)) && process_count < PROCESSES;) {
        int pid = atoi(entry->d_name);
        if (pid <= 0) continue;
        char path[64], line[512];
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        size_t n = fread(line, 1, sizeof line - 1, file);
        fclose(file);
        line[n] = 0;
        char *close = strrchr(line, ')'); // a process may have a parenthesis in its name
        int parent;
        if (close && sscanf(close + 1, " %*c %d", &parent) == 1) processes[process_count++] = (struct process){ pid, parent };
    }
    if (proc) closedir(proc);
}

static inline bool cpu_is_below(int pid, int root) {
    for (int depth = 0; depth < 64 && pid > 1; depth++) {
        int parent = 0;
        for (int i = 0; i < process_count; i++) if (processes[i].pid == pid) { parent = processes[i].parent; break; }
        if (parent == root) return true;
        pid = parent;
    }
    return false;
}

// Calls `body` with every thread of the target.
static inline void cpu_each_thread(const struct target *target, void (*body)(int pid, int thread, void *context), void *context) {
    for (int i = 0; i < process_count; i++) {
        int pid = processes[i].pid;
        if (!(pid == target->pid ? target->self : target->below && cpu_is_below(pid, target->pid))) continue;
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/task", pid);
        DIR *tasks = opendir(path);
        for (struct dirent *entry; tasks && (entry = readdir(tasks));) if (atoi(entry->d_name) > 0) body(pid, atoi(entry->d_name), context);
        if (tasks) closedir(tasks);
    }
}

// Nanoseconds a thread was on a CPU. `schedstat` and not `stat`, whose 10 ms ticks are too coarse for 32 children in three seconds.
static inline void cpu_add_thread(int pid, int thread, void *total) {
    char path[96];
    unsigned long long ns;
    snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", pid, thread);
    FILE *file = fopen(path, "r");
    if (!file) return;
    if (fscanf(file, "%llu", &ns) == 1) *(uint64_t *)total += ns;
    fclose(file);
}

static inline void cpu_pin_thread(int pid, int thread, void *set) {
    (void)pid;
    sched_setaffinity(thread, sizeof(cpu_set_t), set);
}

static inline uint64_t cpu_of(const struct target *target) {
    uint64_t total = 0;
    cpu_each_thread(target, cpu_add_thread, &total);
    return total;
}

// Seconds of all CPUs that somebody used.
static inline double cpu_busy(void) {
    unsigned long long user = 0, nice = 0, system = 0, idle, wait, irq = 0, soft = 0;
    FILE *file = fopen("/proc/stat", "r");
    if (!file) return 0;
    if (fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &wait, &irq, &soft) != 7) user = 0;
    fclose(file);
    return (double)(user + nice + system + irq + soft) / (double)sysconf(_SC_CLK_TCK);
}
