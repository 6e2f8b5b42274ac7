/* SPDX-License-Identifier: MIT */
#include "launch.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "clean.h"
#include "tools.h"

enum { HEADERS_MOST = 256, LOOK_NS = 100000000, PATIENCE = 10 }; /* looks */

int opool__launch_fail(const char *tool, const char *what, const char *why)
{
    char name[PATH_MAX];
    fprintf(stderr, "opool %s: %s%s%s\n", tool, opool__clean_copy(name, sizeof name, what), *why ? ": " : "", why);
    return OPOOL__LAUNCH_FAILED;
}

int opool__launch_refuse(const char *tool, const char *what, const char *argument)
{
    char text[PATH_MAX];
    fprintf(stderr, "opool %s: %s%s (opool %s --help says more)\n", tool, what,
            opool__clean_copy(text, sizeof text, argument), tool);
    return OPOOL__LAUNCH_FAILED;
}

static int fail(const struct opool__launcher *by, int status, const char *what, const char *why)
{
    opool__launch_fail(by->tool, what, why);
    return status;
}

const char *opool__launch_value(const char *name, char **argv, int *at)
{
    size_t length = strlen(name);
    if (strncmp(argv[*at], name, length) != 0 || (argv[*at][length] && argv[*at][length] != '='))
        return NULL;
    if (argv[*at][length] == '=')
        return argv[*at] + length + 1;
    return argv[*at + 1] ? argv[++*at] : "";
}

/* ---- which file ---- */

static bool is_program(const char *path, int *error)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        if (errno == EACCES)
            *error = EACCES;
        return false;
    }
    if (S_ISREG(status.st_mode) && access(path, X_OK) == 0)
        return true;
    *error = EACCES;
    return false;
}

static bool find_in_path(const char *command, char *path, size_t size, int *error)
{
    const char *folder = getenv("PATH");
    if (!folder)
        folder = "/bin:/usr/bin";
    for (;; folder++) {
        size_t length = strcspn(folder, ":");
        int n = snprintf(path, size, "%.*s%s%s", (int)length, folder, length ? "/" : "", command);
        if (n > 0 && (size_t)n < size && is_program(path, error))
            return true;
        folder += length;
        if (!*folder)
            return false;
    }
}

int opool__launch_find(const struct opool__launcher *by, const char *command, char *path, size_t size)
{
    int error = ENOENT;
    bool found;
    if (strchr(command, '/')) {
        found = strlen(command) < size && is_program(command, &error);
        snprintf(path, size, "%s", command);
    } else {
        found = *command && find_in_path(command, path, size, &error);
    }
    if (found)
        return 0;
    return fail(by, error == EACCES ? OPOOL__LAUNCH_REFUSED : OPOOL__LAUNCH_NOT_FOUND, command, strerror(error));
}

/* ---- which kind of file ---- */

static bool read_header(int fd, ElfW(Ehdr) * header)
{
    return pread(fd, header, sizeof *header, 0) == (ssize_t)sizeof *header &&
           memcmp(header->e_ident, ELFMAG, SELFMAG) == 0;
}

static bool is_of_our_kind(const ElfW(Ehdr) * header)
{
    ElfW(Ehdr) own;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    bool known = fd >= 0 && read_header(fd, &own);
    if (fd >= 0)
        close(fd);
    return !known || (header->e_ident[EI_CLASS] == own.e_ident[EI_CLASS] && header->e_machine == own.e_machine);
}

static bool has_interpreter(int fd, const ElfW(Ehdr) * header)
{
    for (int i = 0; i < header->e_phnum && i < HEADERS_MOST; i++) {
        ElfW(Phdr) segment;
        off_t at = (off_t)(header->e_phoff + (uint64_t)i * header->e_phentsize);
        if (at < 0 || pread(fd, &segment, sizeof segment, at) != (ssize_t)sizeof segment)
            return true; /* a broken file: exec says so better */
        if (segment.p_type == PT_INTERP)
            return true;
    }
    return false;
}

/* The loader of a program that gets rights which its caller has not ignores what it shall preload. */
static bool gains_rights(const char *path, const struct stat *status)
{
    if ((status->st_mode & S_ISUID && status->st_uid != getuid()) ||
        (status->st_mode & S_ISGID && status->st_gid != getgid()))
        return true;
    return getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0;
}

int opool__launch_check(const struct opool__launcher *by, const char *path)
{
    struct stat status;
    ElfW(Ehdr) header;
    char why[512];
    if (stat(path, &status) == 0 && gains_rights(path, &status)) {
        snprintf(why, sizeof why,
                 "runs with rights of its own (setuid, setgid or capabilities): nothing can be preloaded into it; %s",
                 by->with_rights);
        return fail(by, OPOOL__LAUNCH_FAILED, path, why);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || !read_header(fd, &header)) { /* a script, or not to be read: then hope */
        if (fd >= 0)
            close(fd);
        return 0;
    }
    bool ours = is_of_our_kind(&header), dynamic = ours && has_interpreter(fd, &header);
    close(fd);
    if (!ours)
        return fail(by, OPOOL__LAUNCH_FAILED, path, "is built for another kind of processor than this tool");
    if (!dynamic) {
        snprintf(why, sizeof why, "is linked statically: nothing can be preloaded into it; %s", by->if_static);
        return fail(by, OPOOL__LAUNCH_FAILED, path, why);
    }
    return 0;
}

/* ---- which library ---- */

static bool find_library(const char *library, const char *installed, char *path, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", path, size - 1);
    path[n > 0 ? n : 0] = '\0';
    char *end = strrchr(path, '/');
    if (end && (size_t)(end - path) + strlen(library) + 2 <= size) {
        memcpy(end + 1, library, strlen(library) + 1);
        if (access(path, R_OK) == 0)
            return true;
    }
    snprintf(path, size, "%s/%s", installed, library);
    return access(path, R_OK) == 0;
}

/* The loader takes blanks and colons for the end of a name: then it gets another name of the file. */
static bool name_for_loader(char *path, size_t size)
{
    if (!strpbrk(path, " :"))
        return true;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(path, size, "/proc/%ld/fd/%d", (long)getpid(), fd);
    return fd >= 0;
}

int opool__launch_preload(const struct opool__launcher *by, const char *library, const char *installed, char *variable,
                          size_t size)
{
    char path[PATH_MAX];
    const char *others = getenv("LD_PRELOAD");
    if (!find_library(library, installed, path, sizeof path))
        return fail(by, OPOOL__LAUNCH_FAILED, path, "the library to preload is not there");
    if (!name_for_loader(path, sizeof path))
        return fail(by, OPOOL__LAUNCH_FAILED, "the library to preload", strerror(errno));
    int n = snprintf(variable, size, "LD_PRELOAD=%s%s%s", path, others ? ":" : "", others ? others : "");
    if (n < 0 || (size_t)n >= size)
        return fail(by, OPOOL__LAUNCH_FAILED, "LD_PRELOAD", "too long");
    return 0;
}

/* ---- start ---- */

const int opool__launch_ends[OPOOL__LAUNCH_ENDS] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT};

void opool__launch_add_ends(sigset_t *set)
{
    for (size_t i = 0; i < OPOOL__LAUNCH_ENDS; i++)
        sigaddset(set, opool__launch_ends[i]);
}

static sigset_t watched_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    opool__launch_add_ends(&set);
    return set;
}

/* A script whose first line names no interpreter is one for the shell, as execvp has it. */
static void run_by_shell(const char *path, char **argv)
{
    size_t n = 0;
    while (argv[n])
        n++;
    char **shell = calloc(n + 2, sizeof *shell);
    if (!shell)
        return;
    shell[0] = (char *)(uintptr_t) "sh";
    shell[1] = (char *)(uintptr_t)path;
    memcpy(shell + 2, argv + 1, (n - 1) * sizeof *shell);
    execv("/bin/sh", shell);
    free(shell);
}

static _Noreturn void become(const char *path, char **argv, char *const *variables, const sigset_t *mask, int errors)
{
    for (; *variables; variables++)
        putenv(*variables);
    /* Else a program of gcc -fsanitize=address ends before it starts: what is preloaded comes before its run time. */
    static char asan[4096];
    const char *others = getenv("ASAN_OPTIONS");
    int n =
        snprintf(asan, sizeof asan, "%s%sverify_asan_link_order=0", others ? others : "", others && *others ? ":" : "");
    if (n > 0 && (size_t)n < sizeof asan)
        setenv("ASAN_OPTIONS", asan, 1);
    opool__restore_signals();
    sigprocmask(SIG_SETMASK, mask, NULL);
    execv(path, argv);
    int error = errno;
    if (error == ENOEXEC)
        run_by_shell(path, argv);
    if (write(errors, &error, sizeof error) != (ssize_t)sizeof error)
        _exit(OPOOL__LAUNCH_FAILED);
    _exit(OPOOL__LAUNCH_REFUSED);
}

int opool__launch_start(const struct opool__launcher *by, const char *path, char **argv, char *const *variables,
                        pid_t *started)
{
    sigset_t watched = watched_signals(), before;
    int errors[2], error = 0;
    if (pipe2(errors, O_CLOEXEC) != 0)
        return fail(by, OPOOL__LAUNCH_FAILED, path, strerror(errno));
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    sigprocmask(SIG_BLOCK, &watched, &before);
    fflush(NULL);
    *started = fork();
    if (*started == 0)
        become(path, argv, variables, &before, errors[1]);
    close(errors[1]);
    if (*started < 0)
        error = errno;
    else
        while (read(errors[0], &error, sizeof error) < 0 && errno == EINTR)
            continue;
    close(errors[0]);
    if (!error)
        return 0;
    if (*started > 0)
        waitpid(*started, NULL, 0);
    return fail(by,
                error == ENOENT ? OPOOL__LAUNCH_NOT_FOUND
                : *started > 0  ? OPOOL__LAUNCH_REFUSED
                                : OPOOL__LAUNCH_FAILED,
                path, strerror(error));
}

/* ---- wait ---- */

struct waiting {
    pid_t started;
    bool ended; /* the first one */
    int status;
};

static int exit_status(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* False: no process is left. */
static bool reap(struct waiting *waiting)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0)
            return pid == 0;
        if (pid == waiting->started) {
            waiting->ended = true;
            waiting->status = exit_status(status);
        }
    }
}

/* False: wait no more. What the terminal sends comes to the program without our help. */
static bool pass_on(const struct waiting *waiting, const siginfo_t *signal)
{
    if (waiting->ended)
        return false;
    if (signal->si_code != SI_KERNEL)
        kill(waiting->started, signal->si_signo);
    return true;
}

int opool__launch_wait(const struct opool__launcher *by, pid_t started, void (*look)(void *arg), void *arg)
{
    struct waiting waiting = {.started = started};
    sigset_t watched = watched_signals();
    struct timespec a_while = {.tv_nsec = LOOK_NS};
    int waited = 0;
    while (reap(&waiting)) {
        siginfo_t signal;
        int number = sigtimedwait(&watched, &signal, &a_while);
        look(arg);
        if (waiting.ended && ++waited == PATIENCE)
            fprintf(stderr,
                    "opool %s: the command ended and left processes behind: waiting for them, until interrupted\n",
                    by->tool);
        if (number > 0 && number != SIGCHLD && !pass_on(&waiting, &signal))
            break;
    }
    return waiting.status;
}
