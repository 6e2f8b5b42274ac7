/* SPDX-License-Identifier: MIT */

/*
 * An HTTP/1.1 server whose connections, requests and buffers come from pools, or, for comparison, from malloc.
 * pool/BUFFERS.md says what it shows.
 */
#define _GNU_SOURCE
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/filter.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SPARE = 64, BACKLOG = 4096 };

struct settings settings = {.address = "127.0.0.1",
                            .port = "8080",
                            .root = -1,
                            .workers = 2,
                            .connections = 10000,
                            .buffers = 4096,
                            .body_most = 256 << 10,
                            .header_most = 8192,
                            .idle_ms = 30000,
                            .request_ms = 30000,
                            .drain_ms = 10000,
                            .linger_ms = 1000,
                            .grace_ms = 300,
                            .epoch_ms = 1000,
                            .pools = true};
struct worker workers[WORKERS_MOST];
atomic_bool stopping;
atomic_size_t connected;
static const char *root_path;

static void usage(FILE *out)
{
    fputs(
        "Usage: server [OPTION]...\n"
        "GET and HEAD of files below --root, POST /echo, GET /metrics (OpenMetrics). Ends at SIGTERM or SIGINT, when\n"
        "the requests that it has are answered.\n\n"
        "  --address=HOST       127.0.0.1\n"
        "  --port=PORT          8080; 0: the system chooses, and the first line of output says which\n"
        "  --root=FOLDER        files to serve; symbolic links are not followed\n"
        "  --workers=N          threads, 1 to 64: 2\n"
        "  --memory=pool|malloc where connections, requests and buffers come from\n"
        "  --connections=N      most at once, others get 503: 10000\n"
        "  --buffers=N          most buffers of 16 KiB, without one it is 503: 4096\n"
        "  --body-max=BYTES     longer bodies get 413: 262144, at most 1048576\n"
        "  --header-max=BYTES   longer heads get 431: 8192\n"
        "  --idle-ms=N          a connection without a byte of a request or an answer is closed: 30000\n"
        "  --request-ms=N       a request that takes longer to arrive gets 408: 30000\n"
        "  --linger-ms=N        how long who is refused may go on sending, and still reads why: 1000\n"
        "  --drain-ms=N         longest stop: 10000\n"
        "  --grace-ms=N         how long after a stop who is idle may still ask: 300\n"
        "  --epoch-ms=N         period of the pools' epochs: 1000\n"
        "  --help\n",
        out);
}

static uint64_t number(const char *option, const char *text, uint64_t least, uint64_t most)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || *end || *text < '0' || *text > '9' || value < least || value > most) {
        fprintf(stderr, "server: --%s=%s: a number from %llu to %llu is wanted\n", option, text,
                (unsigned long long)least, (unsigned long long)most);
        exit(2);
    }
    return value;
}

static bool memory_of(const char *text)
{
    if (strcmp(text, "pool") != 0 && strcmp(text, "malloc") != 0) {
        fprintf(stderr, "server: --memory=%s: pool or malloc is wanted\n", text);
        exit(2);
    }
    return *text == 'p';
}

enum option_code {
    ADDRESS = 256,
    PORT,
    ROOT,
    WORKERS,
    MEMORY,
    CONNECTIONS,
    BUFFERS,
    BODY,
    HEADER,
    IDLE,
    REQUEST,
    LINGER,
    DRAIN,
    GRACE,
    EPOCH,
    HELP
};
static const struct option options[] = {{"address", required_argument, NULL, ADDRESS},
                                        {"port", required_argument, NULL, PORT},
                                        {"root", required_argument, NULL, ROOT},
                                        {"workers", required_argument, NULL, WORKERS},
                                        {"memory", required_argument, NULL, MEMORY},
                                        {"connections", required_argument, NULL, CONNECTIONS},
                                        {"buffers", required_argument, NULL, BUFFERS},
                                        {"body-max", required_argument, NULL, BODY},
                                        {"header-max", required_argument, NULL, HEADER},
                                        {"idle-ms", required_argument, NULL, IDLE},
                                        {"request-ms", required_argument, NULL, REQUEST},
                                        {"linger-ms", required_argument, NULL, LINGER},
                                        {"drain-ms", required_argument, NULL, DRAIN},
                                        {"grace-ms", required_argument, NULL, GRACE},
                                        {"epoch-ms", required_argument, NULL, EPOCH},
                                        {"help", no_argument, NULL, HELP},
                                        {NULL, 0, NULL, 0}};

static void set(int code, const char *name, const char *text)
{
    switch (code) {
    case ADDRESS:
        settings.address = text;
        break;
    case PORT:
        settings.port = text;
        number(name, text, 0, 65535);
        break;
    case ROOT:
        root_path = text;
        break;
    case WORKERS:
        settings.workers = (unsigned)number(name, text, 1, WORKERS_MOST);
        break;
    case MEMORY:
        settings.pools = memory_of(text);
        break;
    case CONNECTIONS:
        settings.connections = number(name, text, 1, 1000000);
        break;
    case BUFFERS:
        settings.buffers = number(name, text, 1, 10000000);
        break;
    case BODY:
        settings.body_most = number(name, text, 0, 1 << 20);
        break;
    case HEADER:
        settings.header_most = (uint32_t)number(name, text, 256, 1 << 20);
        break;
    case IDLE:
        settings.idle_ms = number(name, text, 100, 86400000);
        break;
    case REQUEST:
        settings.request_ms = number(name, text, 100, 86400000);
        break;
    case LINGER:
        settings.linger_ms = number(name, text, 0, 86400000);
        break;
    case DRAIN:
        settings.drain_ms = number(name, text, 0, 86400000);
        break;
    case GRACE:
        settings.grace_ms = number(name, text, 0, 86400000);
        break;
    case EPOCH:
        settings.epoch_ms = number(name, text, 10, 3600000);
        break;
    case HELP:
        usage(stdout);
        exit(fflush(stdout) ? 1 : 0);
    default:
        usage(stderr);
        exit(2);
    }
}

static void parse(int argc, char **argv)
{
    int code, index = 0;
    while ((code = getopt_long(argc, argv, "", options, &index)) != -1)
        set(code, options[index].name, optarg);
    if (optind < argc) {
        fprintf(stderr, "server: %s: no argument is wanted\n", argv[optind]);
        exit(2);
    }
}

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "server: %s: %s\n", what, why);
    return -1;
}

static int bind_one(const struct addrinfo *at)
{
    static const int on = 1;
    int listener = socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol);
    if (listener >= 0 && setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(listener, at->ai_addr, at->ai_addrlen) == 0 && listen(listener, BACKLOG) == 0)
        return listener;
    const int error = errno;
    if (listener >= 0)
        close(listener);
    errno = error;
    return -1;
}

static int listen_at(void)
{
    char where[320];
    snprintf(where, sizeof where, "%.255s port %.10s", settings.address, settings.port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    int error = getaddrinfo(settings.address, settings.port, &hints, &found), listener = -1;
    if (error)
        return complain(where, gai_strerror(error));
    for (const struct addrinfo *at = found; at && listener < 0; at = at->ai_next)
        listener = bind_one(at);
    if (listener < 0)
        complain(where, strerror(errno));
    freeaddrinfo(found);
    return listener;
}

static bool say_where(int listener)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char host[NI_MAXHOST], port[NI_MAXSERV];
    int error = getsockname(listener, (struct sockaddr *)&address, &length) == 0
                    ? getnameinfo((struct sockaddr *)&address, length, host, sizeof host, port, sizeof port,
                                  NI_NUMERICHOST | NI_NUMERICSERV)
                    : EAI_SYSTEM;
    if (error)
        return complain("address", error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error)) == 0;
    if (printf("listening on %s port %s\n", host, port) < 0 || fflush(stdout) != 0)
        return complain("standard output", strerror(errno)) == 0;
    return true;
}

/* As many descriptors as connections and files need, or what we may have. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    const rlim_t wanted = 2 * settings.connections + 256;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 && getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_cur < settings.connections + 256)
        fprintf(stderr, "server: %llu descriptors may be too few for %zu connections\n",
                (unsigned long long)limit.rlim_cur, settings.connections);
}

/*
 * From here on the system takes no new client: it drops what asks for a connection, and lets pass what completes one.
 * Who believes to be connected gets in, is accepted and answered, before the socket closes. Where the system has no
 * such filter, those few are reset.
 */
static void shut_door(int listener)
{
    enum { FLAGS = 13, FIN_SYN_RST_ACK = 0x17, SYN = 0x02 };
    struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS),
                                 BPF_STMT(BPF_ALU | BPF_AND | BPF_K, FIN_SYN_RST_ACK),
                                 BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
                                 BPF_STMT(BPF_RET | BPF_K, 0xffffffff)};
    const struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    if (setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0)
        fprintf(stderr, "server: SO_ATTACH_FILTER: %s\n", strerror(errno));
}

static unsigned start_workers(int listener, pthread_t *threads)
{
    unsigned started = 0;
    for (; started < settings.workers; started++) {
        struct worker *worker = &workers[started];
        int error = worker_open(worker, started, listener);
        if (!error)
            error = pthread_create(&threads[started], NULL, worker_run, worker);
        if (error) {
            worker_close(worker);
            complain("worker", strerror(error));
            break;
        }
    }
    return started;
}

static void join_workers(const pthread_t *threads, unsigned started)
{
    for (unsigned i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
        worker_close(&workers[i]);
    }
}

/* False: it never came to it. */
static bool serve(int listener, const sigset_t *signals)
{
    pthread_t threads[WORKERS_MOST];
    int received;
    unsigned started = start_workers(listener, threads);
    bool good = started == settings.workers && say_where(listener);
    if (good)
        sigwait(signals, &received);
    shut_door(listener);
    atomic_store(&stopping, true);
    join_workers(threads, started);
    return good;
}

static int start_memory(void)
{
    const struct memory_limits limits = {.connections = settings.connections + SPARE,
                                         .requests = settings.connections + SPARE,
                                         .buffers = settings.buffers,
                                         .workers = settings.workers};
    int error = memory_start(settings.pools, &limits);
    if (!error && settings.pools)
        error = opool_epoch_start(
            &(struct opool_epoch_options){.period_ms = (unsigned)settings.epoch_ms, .use_pressure = true});
    return error ? complain("memory", strerror(-error)) : 0;
}

int main(int argc, char **argv)
{
    sigset_t signals;
    parse(argc, argv);
    if (root_path && (settings.root = open(root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return complain(root_path, strerror(errno)) && 1;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    http_parser_set_max_header_size(settings.header_most);
    raise_descriptors();
    int listener = listen_at();
    if (listener < 0 || start_memory() != 0)
        return 1;
    bool good = serve(listener, &signals);
    close(listener);
    opool_epoch_stop();
    uint64_t left = memory_stop();
    if (left)
        fprintf(stderr, "server: %llu objects were not given back\n", (unsigned long long)left);
    return good && !left ? 0 : 1;
}
