// The ideal bridge: the least that turns Streamable HTTP into one STDIO child per session. `ideal-bridge PORT COMMAND…`
//
// It is the limit that `berth bridge` and the whole path are measured against, so it leaves out everything that may be left out: it does
// not look inside a message (a child answers its requests in order, so the first answer is of the first request), nothing is verified,
// and a write that would block waits. One thread, epoll, no allocation in a call but for an answer longer than any before.
#include "http.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BUFFER = 1 << 16, SESSIONS = 4096, WAITING = 64 };
extern char **environ;
static char **command;
static int epoll_fd;

struct session;
struct source { enum { LISTENER, CONNECTION, CHILD } kind; int fd; };
struct connection { struct source source; size_t held; bool gone, waits; char input[BUFFER]; };
// `waiting` is a ring of the connections whose requests the child has not answered yet.
struct session {
    struct source source; // the child's stdout
    int number, input;
    pid_t pid;
    bool fresh; // the answer to `initialize` carries the session's name
    unsigned first, last;
    struct connection *waiting[WAITING];
    size_t held, room;
    char *output;
};
static struct session *sessions[SESSIONS];

static void fail(const char *what) { perror(what); exit(1); }

static void watch(struct source *source) {
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = source };
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0) fail("epoll_ctl");
}

static bool send_all(int fd, struct iovec *parts, int count) {
    while (count > 0) {
        ssize_t n = writev(fd, parts, count);
        if (n < 0 && errno == EAGAIN) { struct pollfd wait = { fd, POLLOUT, 0 }; poll(&wait, 1, 1000); continue; }
        if (n < 0) return false;
        while (count > 0 && (size_t)n >= parts->iov_len) { n -= (ssize_t)parts->iov_len; parts++; count--; }
        if (count > 0) { parts->iov_base = (char *)parts->iov_base + n; parts->iov_len -= (size_t)n; }
    }
    return true;
}

static void reply(struct connection *to, const char *status, const char *body, size_t size, struct session *named) {
    char head[256], name[64] = "";
    if (named) snprintf(name, sizeof name, "Mcp-Session-Id: s%d\r\n", named->number);
    int length = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n", status, name, size);
    struct iovec parts[] = { { head, (size_t)length }, { (void *)body, size } };
    send_all(to->source.fd, parts, size ? 2 : 1);
}

static struct session *open_session(void) {
    int number = 1;
    while (number < SESSIONS && sessions[number]) number++;
    struct session *session = number < SESSIONS ? calloc(1, sizeof *session) : NULL;
    int in[2], out[2];
    if (!session || pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) fail("session");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    if (posix_spawn(&session->pid, command[0], &actions, NULL, command, environ) != 0) fail(command[0]);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    *session = (struct session){ .source = { CHILD, out[0] }, .number = number, .input = in[1], .pid = session->pid, .fresh = true,
        .room = BUFFER, .output = malloc(BUFFER) };
    if (!session->output) fail("session");
    sessions[number] = session;
    watch(&session->source);
    return session;
}

// The child ends at the end of its input; its own end is seen at its output.
static void close_session(struct session *session) {
    close(session->input);
    close(session->source.fd);
    waitpid(session->pid, NULL, 0);
    sessions[session->number] = NULL;
    for (unsigned i = session->first; i != session->last; i++)
        if (session->waiting[i % WAITING]) reply(session->waiting[i % WAITING], "502 Bad Gateway", "", 0, NULL);
    free(session->output);
    free(session);
}

static void request(struct connection *from, const char *head, size_t head_size, char *body, size_t size) {
    size_t length;
    const char *name = http_field(head, head_size, "mcp-session-id", &length);
    long number = name && length > 1 ? http_number(name + 1, length - 1) : 0;
    struct session *session = number > 0 && number < SESSIONS ? sessions[number] : NULL;
    if (name && !session) { reply(from, "404 Not Found", "", 0, NULL); return; }
    if (memcmp(head, "DELETE ", 7) == 0 && session) { close_session(session); reply(from, "200 OK", "", 0, NULL); return; }
    if (memcmp(head, "POST ", 5) != 0) { reply(from, "405 Method Not Allowed", "", 0, NULL); return; }
    if (!session) session = open_session();
    bool asks = memmem(body, size, "\"id\"", 4) != NULL;
    char newline = '\n';
    struct iovec parts[] = { { body, size }, { &newline, 1 } };
    if (!send_all(session->input, parts, 2) || (asks && session->last - session->first == WAITING)) {
        reply(from, "502 Bad Gateway", "", 0, NULL);
    } else if (asks) {
        session->waiting[session->last++ % WAITING] = from;
        from->waits = true;
    } else {
        reply(from, "202 Accepted", "", 0, NULL);
    }
}

static void from_client(struct connection *c) {
    ssize_t n = read(c->source.fd, c->input + c->held, BUFFER - c->held);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) { // the client left; if it has a request open, the answer finds it gone
        epoll_ctl(epoll_fd, EPOLL_CTL_DEL, c->source.fd, NULL);
        close(c->source.fd);
        c->source.fd = -1;
        if (c->waits) c->gone = true; else free(c);
        return;
    }
    c->held += (size_t)n;
    char *end;
    while (c->held > 0 && (end = memmem(c->input, c->held, "\r\n\r\n", 4))) {
        size_t head = (size_t)(end - c->input), length;
        const char *field = http_field(c->input, head, "content-length", &length);
        long size = field ? http_number(field, length) : 0;
        if (size < 0) exit(1);
        if (c->held < head + 4 + (size_t)size) break;
        request(c, c->input, head, end + 4, (size_t)size);
        c->held -= head + 4 + (size_t)size;
        memmove(c->input, end + 4 + size, c->held);
    }
    if (c->held == BUFFER) exit(1);
}

static void from_child(struct session *s) {
    ssize_t n = read(s->source.fd, s->output + s->held, s->room - s->held);
    if (n <= 0) { close_session(s); return; }
    s->held += (size_t)n;
    // What was held before has no end of a line in it.
    char *line = s->output, *newline, *fresh = s->output + s->held - n;
    while ((newline = memchr(fresh, '\n', s->held - (size_t)(fresh - s->output)))) {
        struct connection *to = s->first == s->last ? NULL : s->waiting[s->first++ % WAITING];
        if (to && to->gone) free(to);
        else if (to) { to->waits = false; reply(to, "200 OK", line, (size_t)(newline - line), s->fresh ? s : NULL); s->fresh = false; }
        line = fresh = newline + 1;
    }
    s->held -= (size_t)(line - s->output);
    memmove(s->output, line, s->held);
    if (s->held == s->room && !(s->output = realloc(s->output, s->room *= 2))) fail("realloc");
}

int main(int count, char **arguments) {
    if (count < 3) { fprintf(stderr, "usage: ideal-bridge PORT COMMAND…\n"); return 2; }
    command = arguments + 2;
    signal(SIGPIPE, SIG_IGN);
    struct source listener = { LISTENER, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int one = 1;
    setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener.fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener.fd, 1024) < 0) fail("listen");
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    watch(&listener);
    for (;;) {
        struct epoll_event events[64];
        // No event of a batch may free what a later one points at: a connection is freed by its own event, a session by its own or by a
        // DELETE, which the generator sends when no answer of the child is due any more.
        int ready = epoll_wait(epoll_fd, events, 64, -1);
        if (ready < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < ready; i++) {
            struct source *source = events[i].data.ptr;
            if (source->kind == CONNECTION) { from_client((struct connection *)source); continue; }
            if (source->kind == CHILD) { from_child((struct session *)source); continue; }
            int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            struct connection *c = fd < 0 ? NULL : calloc(1, sizeof *c);
            if (!c) continue;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            c->source = (struct source){ CONNECTION, fd };
            watch(&c->source);
        }
    }
}
