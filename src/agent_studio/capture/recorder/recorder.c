/* The recorder: keeps one hook payload, or what one hook command did, and never stands in the agent's way.
 *
 *   recorder                                      append stdin to the environment's inbox, exit 0 whatever happens
 *   recorder plugin                               the same, unless the project's settings or `agent-studio run` do it
 *   recorder exec --hook NAME -- CMD [ARG...]     run CMD untouched, append how it went, exit as it did
 *   recorder exec --hook NAME --shell LINE        the same for /bin/sh -c LINE
 *
 * It reads the variable AGENT_STUDIO_ENV and the file `routes` in the folder above its own; for a plugin also whether
 * somebody else records (AGENT_STUDIO_ISOLATION, the settings). One event is one line, written by one write. A payload
 * that starts like JSON is embedded as it is: whether it parses is for the reader to find out. twin.py does the same
 * where there is no compiler; change both together.
 */
#define _XOPEN_SOURCE 700
#include "common.h"
#include <stdarg.h>
#include <sys/time.h>

enum { KEPT = 1024, ENV_KEPT = 64, ARGUMENTS_KEPT = 64, REOPENED = 8 };
enum { LOCK_WAIT_US = 100000, WATCHED_AFTER_US = 500000, FOLLOWED_WITHIN_US = 200000 };
static const unsigned long long PAYLOAD_MAX = 16ULL << 20; /* what is beyond is counted, not kept */
static const long long UNROUTED_LIMIT = 64LL << 20;

typedef struct { const char *kind, *payload; size_t size; unsigned long long bytes; long long ts; int whole; } Event;
typedef struct { const char *name, *inbox, *reason; long long limit; int shared; } Route;

static char state[PATH_MAX + 32]; /* the folder above the program's own */
static int outcome;               /* the exit code, whatever happens */
static volatile pid_t child;
static volatile sig_atomic_t timed_out, overdue;

static void fail(const char *reason)
{
    (void)reason; /* nothing is said: the agent would take it for a hook's word */
    _exit(outcome);
}

static void put(Text *text, const char *bytes, size_t size)
{
    reserve(text, size);
    if (size) memcpy(text->data + text->size, bytes, size);
    text->size += size;
}

static void putf(Text *text, const char *format, ...)
{
    char buffer[128];
    va_list values;
    va_start(values, format);
    int size = vsnprintf(buffer, sizeof buffer, format, values);
    va_end(values);
    if (size > 0 && (size_t)size < sizeof buffer) put(text, buffer, (size_t)size);
}

static size_t utf8_length(const unsigned char *at, size_t left) /* of the character there, 0 when it is none */
{
    if (*at < 0x80) return 1;
    size_t length = *at >= 0xc2 && *at <= 0xdf ? 2 : (*at & 0xf0) == 0xe0 ? 3 : *at >= 0xf0 && *at <= 0xf4 ? 4 : 0;
    if (!length || length > left) return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80) return 0;
    int too_long = (*at == 0xe0 && at[1] < 0xa0) || (*at == 0xf0 && at[1] < 0x90);
    int no_character = (*at == 0xed && at[1] > 0x9f) || (*at == 0xf4 && at[1] > 0x8f);
    return too_long || no_character ? 0 : length;
}

static void put_string(Text *text, const char *bytes, size_t size, size_t kept)
{
    const unsigned char *at = (const unsigned char *)bytes, *end = at + (size < kept ? size : kept);
    put(text, "\"", 1);
    while (at < end) {
        size_t length = utf8_length(at, (size_t)(end - at));
        if (!length) put(text, "\\ufffd", 6);
        else if (*at < 0x20) putf(text, "\\u%04x", *at);
        else if (*at == '"' || *at == '\\') putf(text, "\\%c", *at);
        else put(text, (const char *)at, length);
        at += length ? length : 1;
    }
    put(text, "\"", 1);
}

static void pause_us(long us) { nanosleep(&(struct timespec){0, us * 1000}, NULL); }

static int try_lock(int fd) /* waits a little: a stopped process must not stop the agent */
{
    for (long wait = 50, waited = 0; lockf(fd, F_TLOCK, 0); waited += wait, wait = wait < 1600 ? 2 * wait : wait) {
        if ((errno != EACCES && errno != EAGAIN) || waited >= LOCK_WAIT_US) return 0;
        pause_us(wait);
    }
    return 1;
}

/* Open a plain file that still has its name once it is locked: a segment that was sealed meanwhile is left alone.
 * A writer killed in the middle of a write leaves a line without an end: `torn` says so. Without the lock that cannot
 * be known, and an empty line is read as nothing: better one too many than two lines in one. */
static int open_plain(const char *path, long long *size, int *torn, const char **fault)
{
    for (int i = 0; i < REOPENED; i++) {
        struct stat opened, named;
        char last = '\n';
        int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
        if (fd < 0 && (*fault = strerror(errno))) return -1;
        int locked = try_lock(fd), known = !fstat(fd, &opened);
        int plain = known && S_ISREG(opened.st_mode) && opened.st_nlink < 2;
        if (plain && !lstat(path, &named) && named.st_ino == opened.st_ino && named.st_dev == opened.st_dev) {
            *size = opened.st_size;
            *torn = !locked || (*size > 0 && pread(fd, &last, 1, opened.st_size - 1) == 1 && last != '\n');
            return fd;
        }
        close(fd);
        if (!plain && (*fault = "not a plain file")) return -1;
    }
    *fault = "moved away again and again";
    return -1;
}

static void compose(Text *line, const Event *event, const char *env, const char *reason, int whole)
{
    putf(line, "{\"ts\":%lld,\"pid\":%ld,\"kind\":\"%s\"", event->ts, (long)getpid(), event->kind);
    if (env) put(line, ",\"env\":", 7), put_string(line, env, strlen(env), ENV_KEPT);
    if (reason) put(line, ",\"reason\":", 10), put_string(line, reason, strlen(reason), KEPT);
    if (!whole) putf(line, ",\"bytes\":%llu", event->bytes);
    put(line, ",\"payload\":", 11);
    if (whole) {
        size_t start = line->size;
        put(line, event->payload, event->size);
        for (char *at = line->data + start; at < line->data + line->size; at++)
            if (*at == '\n' || *at == '\r') *at = ' ';
    } else put_string(line, event->payload, event->size, KEPT);
    put(line, "}\n", 2);
}

static const char *append(const char *path, const Event *event, const char *env, const char *reason, long long limit)
{
    static Text line;
    long long size = 0;
    int torn = 0;
    const char *fault = NULL;
    int fd = open_plain(path, &size, &torn, &fault);
    if (fd < 0) return fault;
    for (int whole = event->whole; ; whole = 0) {
        line.size = 0;
        put(&line, "\n", (size_t)torn);
        compose(&line, event, env, reason, whole);
        if (!whole || size + (long long)line.size <= limit) break;
    }
    ssize_t written = write(fd, line.data, line.size);
    if (written < 0) fault = strerror(errno);
    else if ((size_t)written < line.size) fault = "written in part";
    close(fd);
    return fault;
}

static Route find_route(const char *env)
{
    static char table[65536], path[sizeof state + 32];
    Route route = {.name = environment_of(env), .reason = "unknown environment", .limit = LLONG_MAX};
    if (!route.name) return route;
    route.reason = "no route";
    snprintf(path, sizeof path, "%s/routes", state);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    ssize_t size = fd < 0 ? 0 : read(fd, table, sizeof table - 1);
    if (fd >= 0) close(fd);
    const char *others[16];
    int count = 0;
    for (char *line = table, *next; size > 0 && *line; line = next) {
        char *end = strchr(line, '\n'), *inbox = strchr(line, '\t');
        next = end ? end + 1 : line + strlen(line);
        if (end) *end = 0;
        if (!inbox || inbox >= next || inbox[1] != '/') continue;
        *inbox++ = 0;
        char *limit = strchr(inbox, '\t');
        if (limit) *limit++ = 0;
        if (!strcmp(line, route.name) && !route.inbox) {
            route.inbox = inbox;
            size_t digits = limit ? strspn(limit, "0123456789") : 0;
            if (digits && digits < 19 && !limit[digits]) route.limit = atoll(limit);
        } else if (strcmp(line, route.name) && count < 16) others[count++] = inbox;
    }
    if (route.inbox) route.reason = NULL;
    while (count && route.inbox) route.shared |= !strcmp(others[--count], route.inbox);
    return route;
}

static void record(const Event *event)
{
    char path[sizeof state + 32], reason[256];
    const char *env = getenv("AGENT_STUDIO_ENV");
    if (!env) env = "development";
    if (!*state) return;
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is a fault like any other; never inherited by a command */
    Route route = find_route(env);
    if (!route.reason) {
        /* an inbox of two environments names the one in every line */
        const char *fault = append(route.inbox, event, route.shared ? route.name : NULL, NULL, route.limit);
        if (!fault) return;
        snprintf(reason, sizeof reason, "inbox: %s", fault);
        route.reason = reason;
    }
    snprintf(path, sizeof path, "%s/unrouted.jsonl", state);
    append(path, event, env, route.reason, UNROUTED_LIMIT);
}

static void record_payload(long long started)
{
    static Text input;
    Event event = {.kind = "hook", .ts = started};
    for (;;) {
        reserve(&input, 1 << 16);
        ssize_t size = read(0, input.data + input.size, input.room - input.size);
        if (size < 0 && errno == EAGAIN) pause_us(1000);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (size <= 0) break;
        event.bytes += (unsigned long long)size;
        if (event.bytes <= PAYLOAD_MAX) input.size += (size_t)size;
    }
    event.payload = input.data, event.size = input.size;
    size_t start = 0;
    while (start < input.size && strchr(" \t\n\r", input.data[start]) && input.data[start]) start++;
    int starts = start < input.size && input.data[start] && strchr("{[\"0123456789tfn-", input.data[start]);
    event.whole = starts && event.bytes <= PAYLOAD_MAX && !memchr(input.data, 0, input.size);
    if (start == event.bytes) event.payload = "null", event.size = 4, event.whole = 1;
    record(&event);
}

/* Whether the settings start a recorder as well; what runs a command under the clock (`exec`) records no events. */
static int settings_record(void)
{
    static const char *const names[] = {"settings.json", "settings.local.json"}, mark[] = "/.agent-studio/bin/recorder";
    static char path[sizeof state + 64], *line;
    static size_t room;
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/../.claude/%s", state, names[i]);
        FILE *file = fopen(path, "r");
        while (file && getline(&line, &room, file) > 0)
            for (char *at = line; (at = strstr(at, mark)); ) {
                at += sizeof mark - 1;
                if (!strncmp(at, ".py", 3)) at += 3;
                if (strncmp(at, "\\\" ]", 4) && strncmp(at, "\\\" exec ", 8)) return 1;
            }
    }
    return 0;
}

static void on_signal(int number)
{
    int kept = errno;
    if (number == SIGALRM) overdue = 1;
    else if (child > 0) kill(child, number);
    if (number == SIGTERM) timed_out = overdue = 1;
    errno = kept;
}

static void record_run(const char *hook, char **command, long long ts, long long ns, const int *status)
{
    Text text = {0};
    const char *session = getenv("CLAUDE_CODE_SESSION_ID"), *project = getenv("CLAUDE_PROJECT_DIR");
    put(&text, "{\"hook\":", 8), put_string(&text, hook, strlen(hook), KEPT);
    if (status && WIFEXITED(*status)) putf(&text, ",\"exit\":%d,\"signal\":null", WEXITSTATUS(*status));
    else if (status) putf(&text, ",\"exit\":null,\"signal\":%d", WTERMSIG(*status));
    else putf(&text, ",\"exit\":null,\"signal\":null");
    putf(&text, ",\"duration_ms\":%lld.%03lld,\"command\":[", ns / 1000000, ns / 1000 % 1000);
    for (int i = 0; command[i] && i < ARGUMENTS_KEPT; i++) {
        put(&text, ",", i > 0);
        put_string(&text, command[i], strlen(command[i]), KEPT);
    }
    put(&text, "]", 1);
    if (timed_out) putf(&text, ",\"timedOut\":true");
    if (session) put(&text, ",\"session_id\":", 14), put_string(&text, session, strlen(session), KEPT);
    if (project) put(&text, ",\"project_dir\":", 15), put_string(&text, project, strlen(project), KEPT);
    put(&text, "}", 1);
    record(&(Event){"exec", text.data, text.size, text.size, ts, 1});
    free(text.data);
}

/* Leave someone behind who outlives us: a client that ends a slow hook by force leaves us no time to record it. */
static int watch(const char *hook, char **command, long long ts, long long started)
{
    int ends[2];
    if (pipe(ends)) return -1;
    pid_t middle = fork();
    if (middle) {
        close(ends[0]);
        while (middle > 0 && waitpid(middle, NULL, 0) < 0 && errno == EINTR) continue;
        return ends[1];
    }
    if (fork()) _exit(0);
    setsid();
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++) dup2(null, fd); /* the client waits for whoever holds its pipes */
    close(ends[1]);
    char byte;
    ssize_t size;
    while ((size = read(ends[0], &byte, 1)) < 0 && errno == EINTR) continue;
    if (!size) timed_out = 1, record_run(hook, command, ts, now(CLOCK_MONOTONIC) - started, NULL);
    _exit(0);
}

static void become(char **command)
{
    execvp(command[0], command);
    int code = errno == ENOENT || errno == ENOTDIR ? 127 : 126;
    dprintf(2, "recorder: cannot run %s: %s\n", command[0], strerror(errno));
    _exit(code);
}

static void start(char **command)
{
    static const int forwarded[] = {SIGTERM, SIGINT, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal}, inherited; /* no SA_RESTART: the timer ends the wait */
    int caught[3];
    sigset_t held, before;
    sigemptyset(&held);
    for (int i = 0; i < 3; i++) sigaddset(&held, forwarded[i]);
    sigprocmask(SIG_BLOCK, &held, &before);
    signal(SIGCHLD, SIG_DFL); /* ignored, there would be nothing to wait for */
    for (int i = 0; i < 3; i++) {
        caught[i] = !sigaction(forwarded[i], NULL, &inherited) && inherited.sa_handler != SIG_IGN;
        if (caught[i]) sigaction(forwarded[i], &action, NULL);
    }
    pid_t parent = getpid(), started = fork();
    if (started > 0) {
        child = started;
        sigaction(SIGALRM, &action, NULL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        return;
    }
    for (int i = 0; i < 3; i++)
        if (caught[i]) signal(forwarded[i], SIG_DFL);
#ifdef __linux__
    if (!started) prctl(PR_SET_PDEATHSIG, SIGKILL); /* who kills us means the command */
    if (!started && getppid() != parent) _exit(outcome);
#endif
    (void)parent;
    sigprocmask(SIG_SETMASK, &before, NULL);
    become(command); /* also when no process could be had: unmeasured, but run */
}

static void run(int count, char **words, long long ts)
{
    char *hook = "", *line[] = {"/bin/sh", "-c", NULL, NULL}, **command = NULL;
    int at = 2;
    for (; at + 1 < count && strcmp(words[at], "--"); at += 2)
        if (!strcmp(words[at], "--hook")) hook = words[at + 1];
        else if (!strcmp(words[at], "--shell")) line[2] = words[at + 1], command = line;
        else break;
    if (!command && at + 1 < count && !strcmp(words[at], "--")) command = words + at + 1;
    if (!command) {
        dprintf(2, "usage: recorder exec --hook NAME (-- CMD [ARG...] | --shell LINE)\n");
        _exit(127); /* not 2, which would block the agent */
    }
    long long started = now(CLOCK_MONOTONIC);
    start(command);
    siginfo_t ended;
    int watcher = -1, status = 0;
    setitimer(ITIMER_REAL, &(struct itimerval){{0, WATCHED_AFTER_US}, {0, WATCHED_AFTER_US}}, NULL);
    do { /* a signal that comes just before we wait is seen when the timer ends the wait */
        if (overdue && watcher < 0) watcher = watch(hook, command, ts, started);
    } while (waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT) && errno == EINTR);
    pid_t done = child;
    child = 0; /* before its number is free for another process, which no signal may reach */
    while (waitpid(done, &status, 0) < 0 && errno == EINTR) continue;
    outcome = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
    /* A client that ends a slow hook by force may reach the command before us: then our watcher is to tell of it. */
    if (watcher >= 0 && outcome == 128 + SIGKILL && !WIFEXITED(status)) pause_us(FOLLOWED_WITHIN_US);
    record_run(hook, command, ts, now(CLOCK_MONOTONIC) - started, &status);
    signal(SIGPIPE, SIG_IGN);
    if (watcher >= 0 && write(watcher, "", 1) < 0) return;
}

int main(int count, char **words)
{
    long long started = now(CLOCK_REALTIME);
    find_program(state, words[0]);
    go_up(state), go_up(state);
    if (count > 1 && !strcmp(words[1], "exec")) run(count, words, started);
    else if (count < 2 || strcmp(words[1], "plugin") || !(getenv("AGENT_STUDIO_ISOLATION") || settings_record()))
        record_payload(started);
    _exit(outcome);
}
