// The load generator: N sessions of the legacy era, one connection and one call in flight each, every answer checked.
//
//   load --port P [--path /mcp] [--token-file F] [--sessions N] [--warm S] [--seconds S] [--pin CPU] [--calls N]
//        [--tool NAME] [--size BYTES | --result BYTES | --arguments JSON --expect TEXT] [--cpu NAME=PID:self|below|tree]…
//
// A session is opened by initialize and initialized, makes calls, and is ended by DELETE after its last answer. An answer counts when it
// arrives inside the window, whenever it was asked for; nobody leaves with a call in flight. `errors` are answers with a wrong status, id or
// text, `lost` are calls without an answer. Prints one JSON object; exit status 1 when there was an error or a loss.
// With --result the tool is blob, which answers so many letters x: each of them is checked.
// --cpu names the processes whose CPU is read at both edges of the window; --pin puts them and this process on one CPU, without it they
// are given all CPUs.
#include "http.h"
#include "cpu.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum { BUFFER = 1 << 16, TARGETS = 8 };
enum step { INITIALIZE, INITIALIZED, CALL, END, DONE };
struct session {
    int number, fd;
    enum step step;
    uint64_t opened, sent;
    long calls;
    char name[160], expected[4096];
    size_t held, room;
    char *input;
};

static int port, pin = -1, session_count = 1, size = 300, target_count, epoll_fd, open_sessions;
static long limit, result_size, good, errors, lost, in_window;
static double warm = 0.5, seconds = 3;
static const char *path = "/mcp", *tool = "echo", *arguments_text, *expected_text;
static char token[4096], first_error[512];
static struct target targets[TARGETS];
static struct session *sessions;
static uint32_t *latencies, *openings;
static size_t latency_count, latency_room, opening_count;
static uint64_t first_answer;
static bool measuring, stopping;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) { perror(what); exit(2); }

static void wrong(const char *what, const char *shown, size_t length) {
    errors++;
    if (first_error[0]) return;
    int n = snprintf(first_error, sizeof first_error, "%s: %.*s", what, (int)(length > 300 ? 300 : length), shown);
    for (int i = 0; i < n && i < (int)sizeof first_error; i++) // it goes into a JSON string
        if (first_error[i] == '"' || first_error[i] == '\\' || (unsigned char)first_error[i] < ' ') first_error[i] = '\'';
}

static void send_message(struct session *s, const char *method, const char *body) {
    char message[BUFFER], session[256] = "", bearer[4200] = "";
    if (s->name[0]) snprintf(session, sizeof session, "Mcp-Session-Id: %s\r\nMCP-Protocol-Version: 2025-11-25\r\n", s->name);
    if (token[0]) snprintf(bearer, sizeof bearer, "Authorization: Bearer %s\r\n", token);
    int n = snprintf(message, sizeof message,
        "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\n%s%s"
        "Content-Length: %zu\r\n\r\n%s", method, path, port, bearer, session, strlen(body), body);
    if (n >= (int)sizeof message) { fprintf(stderr, "load: message too large\n"); exit(2); }
    s->sent = now();
    if (write(s->fd, message, (size_t)n) != n) { wrong("write", strerror(errno), strlen(strerror(errno))); s->step = DONE; }
}

static void call(struct session *s) {
    char body[8192], arguments[4200];
    s->calls++;
    if (result_size) {
        snprintf(arguments, sizeof arguments, "{\"bytes\":%ld}", result_size);
        snprintf(s->expected, sizeof s->expected, "\"xxxx");
    } else if (arguments_text) {
        snprintf(arguments, sizeof arguments, "%s", arguments_text);
        snprintf(s->expected, sizeof s->expected, "%s", expected_text ? expected_text : "");
    } else { // this call's text and nobody else's, filled up to the size
        int n = snprintf(s->expected, sizeof s->expected, "\"session %d call %ld ", s->number, s->calls);
        while (n < size) s->expected[n++] = 'x';
        s->expected[n++] = '"';
        s->expected[n] = 0;
        snprintf(arguments, sizeof arguments, "{\"text\":%s}", s->expected);
    }
    snprintf(body, sizeof body, "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"method\":\"tools/call\",\"params\":{\"name\":\"%s\",\"arguments\":%s}}",
             s->calls, tool, arguments);
    send_message(s, "POST", body);
}

static void advance(struct session *s) {
    switch (s->step) {
    case INITIALIZE:
        s->step = INITIALIZED;
        send_message(s, "POST", "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
        return;
    case INITIALIZED:
    case CALL:
        if (!stopping && (limit == 0 || s->calls < limit)) { s->step = CALL; call(s); return; }
        s->step = END;
        send_message(s, "DELETE", "");
        return;
    default:
        s->step = DONE;
        open_sessions--;
    }
}

static bool has_id(const char *body, size_t length, long id) {
    const char *at = body, *end = body + length;
    while ((at = memmem(at, (size_t)(end - at), "\"id\":", 5))) {
        at += 5;
        while (at < end && *at == ' ') at++;
        if (at < end && *at >= '0' && *at <= '9' && strtol(at, NULL, 10) == id) return true;
    }
    return false;
}

// Whether the answer's text is `result_size` letters x and nothing else.
static bool is_blob(const char *body, size_t length) {
    const char *text = memmem(body, length, "\"xxxx", 5);
    size_t size = (size_t)result_size;
    return text && (size_t)(body + length - text) > size + 1 && text[size + 1] == '"' && memcmp(text + 1, text + 2, size - 1) == 0;
}

static void answered(struct session *s, int status, const char *head, size_t head_size, const char *body, size_t length) {
    uint64_t time = now();
    size_t n;
    const char *name;
    switch (s->step) {
    case INITIALIZE:
        name = http_field(head, head_size, "mcp-session-id", &n);
        if (status != 200 || !name || n >= sizeof s->name) { wrong("initialize", head, head_size); s->step = END; advance(s); return; }
        memcpy(s->name, name, n);
        openings[opening_count++] = (uint32_t)((time - s->sent) / 1000);
        break;
    case INITIALIZED:
        if (status != 202) wrong("initialized", head, head_size);
        break;
    case CALL:
        if (status != 200 || !has_id(body, length, s->calls) || !memmem(body, length, s->expected, strlen(s->expected))
            || (result_size ? !is_blob(body, length) : memmem(body, length, "\"isError\":true", 14) != NULL)) {
            wrong("answer", status == 200 ? body : head, status == 200 ? length : head_size);
            if (status != 200) { s->step = END; advance(s); return; }
            break;
        }
        good++;
        if (!first_answer) first_answer = time - s->opened;
        if (measuring) {
            in_window++;
            if (latency_count == latency_room && !(latencies = realloc(latencies, (latency_room = latency_room * 2 + 65536) * sizeof *latencies))) fail("realloc");
            latencies[latency_count++] = (uint32_t)((time - s->sent) / 1000);
        }
        break;
    default:
        if (status != 200 && status != 202 && status != 204) wrong("delete", head, head_size);
    }
    advance(s);
}

// The body of a chunked answer, moved together in place; -1 while it is not whole. `used` is what it took of the input.
static long unchunk(char *from, size_t held, size_t *used) {
    size_t at = 0, length = 0;
    for (int pass = 0; pass < 2; pass++) { // first look whether it is whole, then move
        at = length = 0;
        for (;;) {
            char *line = memmem(from + at, held - at, "\r\n", 2);
            if (!line) return -1;
            size_t chunk = (size_t)strtoul(from + at, NULL, 16), start = (size_t)(line - from) + 2;
            if (held < start + chunk + 2) return -1;
            if (pass == 1) memmove(from + length, from + start, chunk);
            length += chunk;
            at = start + chunk + 2;
            if (chunk == 0) break;
        }
    }
    *used = at;
    return (long)length;
}

static void received(struct session *s) {
    if (s->held + 1 == s->room && !(s->input = realloc(s->input, s->room *= 2))) fail("realloc");
    ssize_t n = read(s->fd, s->input + s->held, s->room - 1 - s->held);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        epoll_ctl(epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
        if (s->step == DONE) return;
        if (s->step == CALL) lost++;
        wrong("connection closed", s->input, s->held);
        s->step = DONE;
        open_sessions--;
        return;
    }
    s->held += (size_t)n;
    s->input[s->held] = 0;
    char *end = memmem(s->input, s->held, "\r\n\r\n", 4);
    if (!end) return;
    size_t head = (size_t)(end - s->input), body = head + 4, used = 0, length;
    int status = s->held > 12 ? atoi(s->input + 9) : 0;
    const char *field = http_field(s->input, head, "content-length", &length);
    long whole;
    if (field) {
        whole = http_number(field, length);
        if (whole < 0) { wrong("content-length", s->input, head); exit(2); }
        if (s->held < body + (size_t)whole) return;
        used = (size_t)whole;
    } else if (http_field(s->input, head, "transfer-encoding", &length)) {
        whole = unchunk(end + 4, s->held - body, &used);
        if (whole < 0) return;
    } else {
        whole = 0;
    }
    if (s->held != body + used) wrong("bytes after the answer", s->input, s->held);
    s->held = 0; // one call in flight: nothing can follow it. The next message is written over none of the bytes still read here.
    answered(s, status, s->input, head, end + 4, (size_t)whole);
}

static void start(struct session *s, int number) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int one = 1;
    s->number = number;
    s->opened = now();
    s->input = malloc(s->room = BUFFER);
    if (!s->input) fail("malloc");
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = s };
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &event);
    s->step = INITIALIZE;
    send_message(s, "POST",
        "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},"
        "\"clientInfo\":{\"name\":\"load\",\"version\":\"1\"}}}");
}

// Serves answers until the time has come, or until every session has ended or begun to call.
static void serve(uint64_t until, bool to_begin) {
    for (;;) {
        uint64_t time = now();
        if (time >= until || open_sessions == 0) return;
        if (to_begin) {
            bool all = true;
            for (int i = 0; i < session_count; i++) all = all && sessions[i].step >= CALL;
            if (all) return;
        }
        struct epoll_event events[64];
        int ready = epoll_wait(epoll_fd, events, 64, (int)((until - time) / 1000000) + 1);
        if (ready < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < ready; i++) received(events[i].data.ptr);
    }
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t percentile(uint32_t *values, size_t count, double part) {
    if (count == 0) return 0;
    qsort(values, count, sizeof *values, ascending);
    return values[(size_t)((double)(count - 1) * part)];
}

static double own_cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void arguments(int count, char **words) {
    for (int i = 1; i + 1 < count; i += 2) {
        const char *name = words[i], *value = words[i + 1];
        #define OPTION(text) (strcmp(name, text) == 0)
        if (OPTION("--port")) port = atoi(value);
        else if (OPTION("--path")) path = value;
        else if (OPTION("--sessions")) session_count = atoi(value);
        else if (OPTION("--seconds")) seconds = atof(value);
        else if (OPTION("--warm")) warm = atof(value);
        else if (OPTION("--pin")) pin = atoi(value);
        else if (OPTION("--calls")) limit = atol(value);
        else if (OPTION("--size")) size = atoi(value);
        else if (OPTION("--result")) { result_size = atol(value); tool = "blob"; }
        else if (OPTION("--tool")) tool = value;
        else if (OPTION("--arguments")) arguments_text = value;
        else if (OPTION("--expect")) expected_text = value;
        else if (OPTION("--token-file")) { // not in argv, which everybody can read
            FILE *file = fopen(value, "r");
            if (!file || fscanf(file, "%4095s", token) != 1) fail(value);
            fclose(file);
        } else if (OPTION("--cpu") && target_count < TARGETS) {
            struct target *t = &targets[target_count++];
            char part[8];
            if (sscanf(value, "%31[^=]=%d:%7s", t->name, &t->pid, part) != 3) { fprintf(stderr, "load: --cpu %s\n", value); exit(2); }
            t->self = strcmp(part, "below") != 0;
            t->below = strcmp(part, "self") != 0;
        } else { fprintf(stderr, "load: unknown option %s\n", name); exit(2); }
    }
    if (count % 2 == 0 || port == 0 || session_count < 1 || size < 40 || size > 4000 || result_size < 0 || result_size > 16 << 20) { fprintf(stderr, "load: see the head of load.c\n"); exit(2); }
}

int main(int count, char **words) {
    arguments(count, words);
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int cpu = 0; cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++) if (pin < 0 || cpu == pin) CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
    cpu_read_processes();
    for (int i = 0; i < target_count; i++) cpu_each_thread(&targets[i], cpu_pin_thread, &set);

    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    sessions = calloc((size_t)session_count, sizeof *sessions);
    openings = calloc((size_t)session_count, sizeof *openings);
    if (!sessions || !openings) fail("calloc");
    open_sessions = session_count;
    for (int i = 0; i < session_count; i++) start(&sessions[i], i);
    serve(now() + 60000000000u, true); // children start: as long as it takes, up to a minute
    if (limit == 0) serve(now() + (uint64_t)(warm * 1e9), false);

    uint64_t before[TARGETS], after[TARGETS];
    cpu_read_processes();
    for (int i = 0; i < target_count; i++) before[i] = cpu_of(&targets[i]);
    double busy = cpu_busy(), own = own_cpu();
    uint64_t began = now();
    measuring = true;
    serve(limit ? UINT64_MAX / 2 : began + (uint64_t)(seconds * 1e9), false);
    measuring = false;
    uint64_t ended = now();
    cpu_read_processes();
    for (int i = 0; i < target_count; i++) after[i] = cpu_of(&targets[i]);
    busy = cpu_busy() - busy;
    own = own_cpu() - own;

    stopping = true;
    serve(now() + 10000000000u, false); // answers still on their way, and the ends of the sessions
    for (int i = 0; i < session_count; i++) if (sessions[i].step == CALL) lost++;
    if (good == 0) errors++;

    double window = (double)(ended - began) / 1e9, named = 0;
    printf("{\"sessions\":%d,\"calls\":%ld,\"seconds\":%.3f,\"calls_per_s\":%.0f,\"p50_us\":%u,\"p99_us\":%u,\"errors\":%ld,\"lost\":%ld,"
           "\"open_p50_us\":%u,\"first_answer_us\":%.0f,\"cpu_us_per_call\":{", session_count, in_window, window, (double)in_window / window,
           percentile(latencies, latency_count, 0.5), percentile(latencies, latency_count, 0.99), errors, lost,
           percentile(openings, opening_count, 0.5), (double)first_answer / 1e3);
    for (int i = 0; i < target_count; i++) {
        double used = (double)(int64_t)(after[i] - before[i]) / 1e9; // negative, and so seen, if children ended inside the window
        named += used;
        printf("%s\"%s\":%.2f", i ? "," : "", targets[i].name, in_window ? used * 1e6 / (double)in_window : 0);
    }
    double others = (busy - own - named) / window;
    printf("},\"others_cores\":%.2f,\"first_error\":\"%s\"}\n", others > 0 ? others : 0, first_error);
    return errors || lost ? 1 : 0;
}
