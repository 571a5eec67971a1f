// The little HTTP that the generator and the ideal bridge share: one header of a head, by name.
#pragma once
#define _GNU_SOURCE
#include <stddef.h>
#include <string.h>
#include <strings.h>

// The value of a header field inside `head` (which ends before the empty line); NULL when it is not there.
static inline const char *http_field(const char *head, size_t size, const char *name, size_t *length) {
    size_t wanted = strlen(name);
    const char *line = head, *end = head + size;
    while (line < end) {
        const char *stop = memchr(line, '\r', (size_t)(end - line));
        if (!stop) stop = end;
        if ((size_t)(stop - line) > wanted && line[wanted] == ':' && strncasecmp(line, name, wanted) == 0) {
            const char *value = line + wanted + 1;
            while (value < stop && *value == ' ') value++;
            *length = (size_t)(stop - value);
            return value;
        }
        line = stop + 2;
    }
    return NULL;
}

// A decimal number at `text`; -1 when there is none.
static inline long http_number(const char *text, size_t length) {
    long value = 0;
    if (length == 0) return -1;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || value > 1 << 30) return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}
