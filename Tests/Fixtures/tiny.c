// A whole MCP server in C without a library: STDIO, or Streamable HTTP with a port as its only argument.
// Tools: echo (its arguments back), root (the names in its root directory, for what an image holds).
//
// It reads its own clients' messages only, so JSON is searched, not parsed: "id" is a number or a string, and comes once.
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char in[1 << 20], out[1 << 21];

/// The value behind a member's name up to where it ends, for numbers, strings without escapes and objects.
static void member(const char *text, const char *name, char *value, size_t room) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", name);
    value[0] = 0;
    const char *at = strstr(text, key);
    if (!at) return;
    at += strlen(key);
    while (*at == ' ') at++;
    const char *end = at;
    if (*at == '{') {
        int depth = 0;
        do { depth += (*end == '{') - (*end == '}'); } while (*end && (end++, depth > 0));
    } else if (*at == '"') {
        for (end++; *end && *end != '"'; end++) {}
        end++;
    } else {
        while (*end && !strchr(",}] \n", *end)) end++;
    }
    size_t size = (size_t)(end - at) < room - 1 ? (size_t)(end - at) : room - 1;
    memcpy(value, at, size);
    value[size] = 0;
}

static void names(char *into, size_t room) {
    DIR *root = opendir("/");
    into[0] = 0;
    for (struct dirent *entry; root && (entry = readdir(root));) {
        if (entry->d_name[0] == '.') continue;
        strncat(into, entry->d_name, room - strlen(into) - 2);
        strcat(into, " ");
    }
    if (root) closedir(root);
}

/// Answers a message in `out`; empty for what wants no answer.
static void answer(const char *message) {
    char id[256], method[256], arguments[1 << 16], text[1 << 17];
    member(message, "id", id, sizeof id);
    member(message, "method", method, sizeof method);
    // A slash may be written with a backslash before it.
    char *plain = method;
    for (char *at = method; *at; at++) {
        if (*at != '\\') *plain++ = *at;
    }
    *plain = 0;
    out[0] = 0;
    if (!id[0]) return;
    if (!strcmp(method, "\"initialize\"")) {
        snprintf(out, sizeof out, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"tools\":{}},"
                 "\"serverInfo\":{\"name\":\"tiny\",\"version\":\"1\"}}}", id);
    } else if (!strcmp(method, "\"tools/list\"")) {
        snprintf(out, sizeof out, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"tools\":[{\"name\":\"echo\",\"inputSchema\":{\"type\":\"object\"}},"
                 "{\"name\":\"root\",\"inputSchema\":{\"type\":\"object\"}}]}}", id);
    } else if (!strcmp(method, "\"tools/call\"")) {
        if (strstr(message, "\"name\":\"root\"")) {
            names(text, sizeof text);
        } else {
            member(message, "text", arguments, sizeof arguments);
            // Without its quotes.
            size_t length = strlen(arguments);
            snprintf(text, sizeof text, "%.*s", length > 2 ? (int)length - 2 : 0, arguments + 1);
        }
        snprintf(out, sizeof out, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"%s\"}]}}", id, text);
    } else if (!strcmp(method, "\"ping\"")) {
        snprintf(out, sizeof out, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}", id);
    } else {
        snprintf(out, sizeof out, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":-32601,\"message\":\"no such method\"}}", id);
    }
}

/// One request on a connection of its own.
static void serve(int connection) {
    size_t have = 0, body = 0, length = 0;
    while (have < sizeof in - 1) {
        ssize_t got = read(connection, in + have, sizeof in - 1 - have);
        if (got <= 0) break;
        have += (size_t)got;
        in[have] = 0;
        char *end = strstr(in, "\r\n\r\n");
        if (!end) continue;
        body = (size_t)(end - in) + 4;
        char *field = strcasestr(in, "content-length:");
        length = field && field < end ? (size_t)atol(field + 15) : 0;
        if (have >= body + length) break;
    }
    in[body + length] = 0;
    const char *status = "405 Method Not Allowed";
    out[0] = 0;
    if (!strncmp(in, "POST ", 5)) {
        answer(in + body);
        status = out[0] ? "200 OK" : "202 Accepted";
    }
    dprintf(connection, "HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\nconnection: close\r\n\r\n%s", status, strlen(out), out);
    close(connection);
}

int main(int count, char **words) {
    if (count < 2) {
        while (fgets(in, sizeof in, stdin)) {
            answer(in);
            if (!out[0]) continue;
            puts(out);
            fflush(stdout);
        }
        return 0;
    }
    // A client that went away before its answer is nothing to die of.
    signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(words[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (atoi(words[1]) > 65535 || bind(listener, (struct sockaddr *)&place, sizeof place) || listen(listener, 64)) return 3;
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        if (connection >= 0) serve(connection);
    }
}
