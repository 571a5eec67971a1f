// A STDIO MCP server with two tools: `echo` answers its argument `text`, `blob` answers `bytes` letters x. Built statically, so that it runs
// in any machine.
//
// It does as little as a server can: the figures are of what stands before it. It reads just enough JSON for what the load generator
// sends: an id that is a number or a plain string, and a text without escapes.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LARGEST = 16 << 20 };
static char input[1 << 20], output[LARGEST + 1024];

// The value after `"key":` inside the line, spaces skipped; NULL when the key is not there.
static const char *member(const char *line, size_t size, const char *key) {
    const char *found = memmem(line, size, key, strlen(key));
    if (!found) return NULL;
    found += strlen(key);
    while (found < line + size && (*found == ' ' || *found == ':')) found++;
    return found < line + size ? found : NULL;
}

static size_t until(const char *text, const char *end, const char *stops) {
    size_t n = 0;
    while (text + n < end && !strchr(stops, text[n])) n++;
    return n;
}

static void answer(const char *line, size_t size) {
    const char *end = line + size;
    const char *method = member(line, size, "\"method\"");
    const char *id = member(line, size, "\"id\"");
    if (!method || !id || *method != '"') return; // a notification, or nothing we asked for
    int id_size = (int)(*id == '"' ? until(id + 1, end, "\"") + 2 : until(id, end, ",} "));
    method++;
    size_t method_size = until(method, end, "\"");
    int length;
    #define IS(name) (method_size == sizeof(name) - 1 && memcmp(method, name, method_size) == 0)
    const char *wanted = IS("tools/call") ? member(line, size, "\"bytes\"") : NULL;
    if (wanted) {
        int bytes = atoi(wanted);
        if (bytes < 0 || bytes > LARGEST) bytes = LARGEST;
        length = snprintf(output, sizeof output, "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"", id_size, id);
        memset(output + length, 'x', (size_t)bytes);
        length += bytes;
        length += snprintf(output + length, sizeof output - (size_t)length, "\"}],\"isError\":false}}\n");
    } else if (IS("tools/call")) {
        const char *text = member(line, size, "\"text\"");
        int text_size = text && *text == '"' ? (int)until(text + 1, end, "\"") : 0;
        length = snprintf(output, sizeof output,
            "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"%.*s\"}],\"isError\":false}}\n",
            id_size, id, text_size, text_size ? text + 1 : "");
    } else if (IS("initialize")) {
        length = snprintf(output, sizeof output,
            "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},"
            "\"serverInfo\":{\"name\":\"echo\",\"version\":\"1\"}}}\n", id_size, id);
    } else if (IS("tools/list")) {
        length = snprintf(output, sizeof output,
            "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":{\"tools\":[{\"name\":\"echo\",\"description\":\"Answers its text.\",\"inputSchema\":"
            "{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\"}},\"required\":[\"text\"]}},{\"name\":\"blob\",\"description\":\"Answers so many "
            "letters.\",\"inputSchema\":{\"type\":\"object\",\"properties\":{\"bytes\":{\"type\":\"integer\"}},\"required\":[\"bytes\"]}}]}}\n",
            id_size, id);
    } else if (IS("ping")) {
        length = snprintf(output, sizeof output, "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":{}}\n", id_size, id);
    } else {
        length = snprintf(output, sizeof output,
            "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"error\":{\"code\":-32601,\"message\":\"Method not found\"}}\n", id_size, id);
    }
    for (int sent = 0; sent < length;) {
        ssize_t n = write(1, output + sent, (size_t)(length - sent));
        if (n <= 0) exit(1);
        sent += (int)n;
    }
}

int main(void) {
    size_t held = 0;
    for (;;) {
        ssize_t n = read(0, input + held, sizeof input - held);
        if (n <= 0) return 0; // the bridge closed our input: that is how a STDIO server is told to end
        held += (size_t)n;
        char *line = input, *newline;
        while ((newline = memchr(line, '\n', held - (size_t)(line - input)))) {
            answer(line, (size_t)(newline - line));
            line = newline + 1;
        }
        held -= (size_t)(line - input);
        memmove(input, line, held);
        if (held == sizeof input) return 1;
    }
}
