/* What the recorder and the decision client share. */
#ifndef COMMON_H
#define COMMON_H
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

typedef struct { char *data; size_t size, room; } Text;

static void fail(const char *reason); /* end this process: each program says how */

static void reserve(Text *text, size_t more)
{
    if (text->size + more <= text->room) return;
    text->room = 2 * (text->size + more);
    if (!(text->data = realloc(text->data, text->room))) fail("out of memory");
}

static long long now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static const char *environment_of(const char *variable) /* NULL when it is unknown */
{
    static const char *const names[] = {"development", "staging", "production"};
    size_t start = strspn(variable, " \t\n\r\v\f"), length = strlen(variable + start);
    while (length && strchr(" \t\n\r\v\f", variable[start + length - 1])) length--;
    for (int i = 0; i < 3; i++)
        if (strlen(names[i]) == length && !strncasecmp(names[i], variable + start, length)) return names[i];
    return NULL;
}

static void find_program(char *path, const char *self) /* of PATH_MAX + 1 characters at least; empty when not found */
{
    ssize_t size = readlink("/proc/self/exe", path, PATH_MAX);
    if (size <= 0 && self && strlen(self) < PATH_MAX) strcpy(path, self), size = (ssize_t)strlen(self);
    path[size > 0 ? size : 0] = 0;
}

static void go_up(char *path)
{
    char *slash = strrchr(path, '/');
    *(slash ? slash : path) = 0;
}
#endif
