/* The decision client: asks the daemon whether an event may go on and what should be added, and says it as a hook.
 *
 *   decide [--closed]                             the event on stdin; exit code, stdout and stderr are the decision's
 *
 * It asks over the socket `decide.sock` in the environment's folder below the one above its own, for half a second at
 * most. When nobody answers it starts what `decide.cold` beside it holds: words that each end in NUL. Both answer in
 * the form of guards/protocol.py. When that fails too the event goes on, or with --closed it is denied. Nothing is
 * recorded here.
 */
#define _XOPEN_SOURCE 700
#include "common.h"
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { ASKED_MS = 500, COLD_MS = 5000, REQUEST = 8, ANSWER = 9, WORDS = 16 };
static const size_t PAYLOAD_MAX = 16u << 20, SAID_MAX = 16u << 20;

static char bin[PATH_MAX + 32], state[PATH_MAX + 64]; /* the program's folder; the one above it */
static int closed;

static void fail(const char *reason)
{
    if (closed) dprintf(2, "agent-studio: no decision: %s\n", reason);
    _exit(closed ? 2 : 0);
}

static long long now_ms(void) { return now(CLOCK_MONOTONIC) / 1000000; }

static void read_stdin(Text *input) /* all of it: the agent must not find a closed pipe */
{
    for (size_t total = 0;;) {
        reserve(input, 1 << 16);
        ssize_t size = read(0, input->data + input->size, 1 << 16);
        if (size < 0 && errno == EAGAIN) poll(&(struct pollfd){0, POLLIN, 0}, 1, -1);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (size <= 0 && total > PAYLOAD_MAX) fail("the payload is over 16 MiB");
        if (size <= 0) return;
        total += (size_t)size;
        if (total <= PAYLOAD_MAX) input->size += (size_t)size;
    }
}

static int whole(const Text *answer) /* its parts lie behind its head */
{
    uint32_t sizes[2];
    if (answer->size < ANSWER) return 0;
    memcpy(sizes, answer->data + 1, sizeof sizes);
    return answer->size == ANSWER + (size_t)ntohl(sizes[0]) + ntohl(sizes[1]);
}

static int receive(int fd, Text *answer) /* 1: go on, 0: it has ended, -1: not now */
{
    reserve(answer, 1 << 16);
    ssize_t size = read(fd, answer->data + answer->size, 1 << 16);
    if (size < 0) return errno == EAGAIN || errno == EINTR ? -1 : 0;
    answer->size += (size_t)size;
    return size > 0 && answer->size <= SAID_MAX;
}

static int connected(const char *env) /* a socket's name is short, a project's path may be long: enter its folder */
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "decide.sock"};
    char path[sizeof state + 16];
    struct stat found;
    snprintf(path, sizeof path, "%s/%s", state, env);
    int here = open(".", O_RDONLY | O_CLOEXEC), fd = -1;
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int own = folder >= 0 && !fstat(folder, &found) && found.st_uid == geteuid() && !(found.st_mode & 022);
    if (own && !fchdir(folder) && (fd = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        fcntl(fd, F_SETFL, O_NONBLOCK);
        if (connect(fd, (struct sockaddr *)&address, sizeof address)) close(fd), fd = -1;
    }
    if (here >= 0 && fchdir(here)) return fd; /* nothing that follows needs it */
    if (here >= 0) close(here);
    if (folder >= 0) close(folder);
    return fd;
}

static int ask_daemon(const char *env, const Text *payload, Text *answer)
{
    long long until = now_ms() + ASKED_MS, left;
    uint32_t size = htonl((uint32_t)payload->size);
    char head[REQUEST] = {'A', 'S', 'D', 1};
    int fd = connected(env), going = fd >= 0;
    memcpy(head + 4, &size, sizeof size);
    for (size_t sent = 0; going && (left = until - now_ms()) > 0;) {
        int more = sent < REQUEST + payload->size;
        if (poll(&(struct pollfd){fd, more ? POLLOUT : POLLIN, 0}, 1, (int)left) < 0) continue;
        const char *from = sent < REQUEST ? head + sent : payload->data + (sent - REQUEST);
        size_t rest = sent < REQUEST ? REQUEST - sent : REQUEST + payload->size - sent;
        ssize_t done = more ? write(fd, from, rest) : 0;
        if (more && done < 0 && errno != EAGAIN && errno != EINTR) break;
        if (more) sent += done > 0 ? (size_t)done : 0;
        else going = receive(fd, answer) != 0;
    }
    if (fd >= 0) close(fd);
    return whole(answer);
}

static void become_cold(char **words, FILE *in, FILE *out, pid_t parent)
{
    int nowhere = open("/dev/null", O_WRONLY);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* who kills us means it too */
    if (getppid() != parent) _exit(1);
#endif
    (void)parent;
    if (dup2(fileno(in), 0) == 0 && dup2(fileno(out), 1) == 1 && dup2(nowhere, 2) == 2) execv(words[0], words);
    _exit(127);
}

static int ask_cold(const Text *payload, Text *answer)
{
    static char line[65536], path[sizeof bin + 16];
    char *words[WORDS + 1] = {0};
    int count = 0, status = 0;
    snprintf(path, sizeof path, "%s/decide.cold", bin);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, line, sizeof line - 1);
    for (char *word = line; word < line + size && count < WORDS - 3; word += strlen(word) + 1) words[count++] = word;
    if (fd >= 0) close(fd);
    FILE *in = tmpfile(), *out = tmpfile(); /* files: a pipe would need reading and writing at once */
    if (!count || !in || !out) return 0;
    if (fwrite(payload->data, 1, payload->size, in) < payload->size || fflush(in) || fseek(in, 0, SEEK_SET)) return 0;
    words[count++] = state, words[count++] = "--framed";
    if (closed) words[count++] = "--closed";
    pid_t parent = getpid(), child = fork();
    if (!child) become_cold(words, in, out, parent);
    long long until = now_ms() + COLD_MS;
    while (child > 0 && waitpid(child, &status, WNOHANG) == 0) {
        if (now_ms() > until) return kill(child, SIGKILL), waitpid(child, &status, 0), 0;
        nanosleep(&(struct timespec){0, 2000000}, NULL);
    }
    answer->size = 0;
    lseek(fileno(out), 0, SEEK_SET);
    while (child > 0 && receive(fileno(out), answer) == 1) continue;
    return child > 0 && WIFEXITED(status) && !WEXITSTATUS(status) && whole(answer);
}

static void say(int fd, const char *bytes, size_t size)
{
    for (ssize_t done; size > 0; bytes += done, size -= (size_t)done)
        if ((done = write(fd, bytes, size)) < 0 && (done = 0, errno != EINTR && errno != EAGAIN)) return;
}

int main(int count, char **words)
{
    Text payload = {0}, answer = {0};
    for (int i = 1; i < count; i++) closed |= !strcmp(words[i], "--closed");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* ignored, there would be nothing to wait for */
    find_program(bin, words[0]);
    go_up(bin), go_up(strcpy(state, bin));
    read_stdin(&payload);
    const char *variable = getenv("AGENT_STUDIO_ENV"), *env = environment_of(variable ? variable : "development");
    if (!env) fail("AGENT_STUDIO_ENV names an unknown environment");
    if (!ask_daemon(env, &payload, &answer) && !ask_cold(&payload, &answer)) fail("neither the daemon nor Python answers");
    uint32_t sizes[2];
    memcpy(sizes, answer.data + 1, sizeof sizes);
    say(1, answer.data + ANSWER, ntohl(sizes[0]));
    say(2, answer.data + ANSWER + ntohl(sizes[0]), ntohl(sizes[1]));
    _exit((unsigned char)answer.data[0]);
}
