// A STDIO MCP server for Tests/Soak/soak.py that goes wrong at random: it may die at its start, over its handshake and in a call, stay when
// it is told to end, and leave children. SOAK_SEED and its pid say how.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char line[1 << 16];

static int percent(int chance) { return rand() % 100 < chance; }

static int number(const char *key) {
    const char *found = strstr(line, key);
    return found ? atoi(found + strlen(key)) : -1;
}

static void stay(void) {
    signal(SIGTERM, SIG_IGN);
    for (;;) pause();
}

static void call(int id) {
    if (strstr(line, "\"name\":\"die\"")) _exit(5);
    if (strstr(line, "\"name\":\"hang\"")) return;
    if (strstr(line, "\"name\":\"half\"")) {
        printf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"con", id);
        fflush(stdout);
        _exit(6);
    }
    // A helper that keeps the pipes open, and outlives the server where nobody ends it.
    if (strstr(line, "\"name\":\"fork\"") && fork() == 0) {
        // Or a daemon, which belongs to no group and no session of ours.
        if (id % 2) {
            setsid();
            for (int descriptor = 0; descriptor < 3; descriptor++) close(descriptor);
        }
        stay();
    }
    if (strstr(line, "\"name\":\"slow\"")) usleep(3000);
    printf("noise\n{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"done\"}]}}\n", id);
}

int main(void) {
    const char *seed = getenv("SOAK_SEED");
    srand((unsigned)(seed ? atoi(seed) : 0) ^ (unsigned)getpid());
    if (percent(2)) return 3;
    while (fgets(line, sizeof line, stdin)) {
        int id = number("\"id\":");
        if (id < 0) continue;
        if (strstr(line, "\"method\":\"initialize\"")) {
            if (percent(2)) return 4;
            printf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},"
                   "\"serverInfo\":{\"name\":\"wild\",\"version\":\"1\"}}}\n", id);
        } else if (strstr(line, "\"method\":\"tools/list\"")) {
            printf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"tools\":[]}}\n", id);
        } else if (strstr(line, "\"method\":\"tools/call\"")) {
            call(id);
        } else {
            printf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"error\":{\"code\":-32601,\"message\":\"no\"}}\n", id);
        }
        fflush(stdout);
    }
    if (percent(1)) stay();
    return 0;
}
