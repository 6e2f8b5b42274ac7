/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE = 1024, SOCKETS_MOST = 4096 };

/* ---- text of /proc ---- */

/* Bytes read; the text ends with a NUL. */
static size_t read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, size - 1) : 0;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* The entries of a folder that are numbers, one after the other; 0: no more. */
static long next_number(DIR *folder)
{
    const struct dirent *entry;
    while (folder && (entry = readdir(folder)) != NULL)
        if (isdigit((unsigned char)entry->d_name[0]))
            return strtol(entry->d_name, NULL, 10);
    return 0;
}

static void close_folder(DIR *folder)
{
    if (folder)
        closedir(folder);
}

/* ---- who descends ---- */

struct family {
    pid_t pid, parent;
    uint64_t faults;
    bool ended; /* not reaped yet */
};

/* Behind the name, which may hold anything: state, parent, and, as the 10th field of all, minor faults. */
static bool read_family(long pid, struct family *out)
{
    char path[64], text[LINE], state;
    int parent;
    unsigned long faults;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    const char *rest = read_text(path, text, sizeof text) ? strrchr(text, ')') : NULL;
    if (!rest || sscanf(rest + 1, " %c %d %*d %*d %*d %*d %*u %lu", &state, &parent, &faults) != 3)
        return false;
    *out = (struct family){(pid_t)pid, (pid_t)parent, faults, state == 'Z' || state == 'X'};
    return true;
}

struct families {
    struct family *all;
    size_t count;
};

static struct families read_families(void)
{
    struct families found = {NULL, 0};
    DIR *folder = opendir("/proc");
    for (long pid; (pid = next_number(folder)) != 0;) {
        struct family family;
        if (!read_family(pid, &family))
            continue;
        struct family *larger = realloc(found.all, (found.count + 1) * sizeof *larger);
        if (!larger)
            break;
        found.all = larger;
        found.all[found.count++] = family;
    }
    close_folder(folder);
    return found;
}

static bool is_ours(const struct families *found, pid_t pid)
{
    for (size_t depth = 0; depth <= found->count; depth++) {
        size_t i = 0;
        while (i < found->count && found->all[i].pid != pid)
            i++;
        if (i == found->count)
            return false;
        pid = found->all[i].parent;
        if (pid == getpid())
            return true;
    }
    return false;
}

static void each(void (*act)(const struct family *family, void *arg), void *arg)
{
    struct families found = read_families();
    for (size_t i = 0; i < found.count; i++)
        if (is_ours(&found, found.all[i].pid))
            act(&found.all[i], arg);
    free(found.all);
}

static void note_life(const struct family *family, void *lives)
{
    *(bool *)lives |= !family->ended;
}

bool opool__tree_lives(void)
{
    bool lives = false;
    each(note_life, &lives);
    return lives;
}

/* ---- what they cost ---- */

/* Nanoseconds that a thread ran: finer than the ticks of stat. */
static uint64_t thread_ns(long pid, long thread)
{
    char path[96], text[LINE];
    snprintf(path, sizeof path, "/proc/%ld/task/%ld/schedstat", pid, thread);
    return read_text(path, text, sizeof text) ? strtoull(text, NULL, 10) : 0;
}

static uint64_t process_ns(long pid)
{
    char path[64];
    uint64_t ns = 0;
    snprintf(path, sizeof path, "/proc/%ld/task", pid);
    DIR *folder = opendir(path);
    for (long thread; (thread = next_number(folder)) != 0;)
        ns += thread_ns(pid, thread);
    close_folder(folder);
    return ns;
}

static uint64_t peak_of(long pid)
{
    char path[64], text[4 * LINE];
    snprintf(path, sizeof path, "/proc/%ld/status", pid);
    const char *peak = read_text(path, text, sizeof text) ? strstr(text, "\nVmHWM:") : NULL;
    return peak ? strtoull(peak + strlen("\nVmHWM:"), NULL, 10) : 0;
}

static void add_usage(const struct family *family, void *void_usage)
{
    struct opool__tree_usage *usage = void_usage;
    uint64_t peak = peak_of(family->pid);
    usage->cpu_us += process_ns(family->pid) / 1000;
    usage->faults += family->faults;
    usage->peak_kib = peak > usage->peak_kib ? peak : usage->peak_kib;
}

struct opool__tree_usage opool__tree_usage(void)
{
    struct opool__tree_usage usage = {0, 0, 0};
    each(add_usage, &usage);
    return usage;
}

/* ---- who listens ---- */

struct sockets {
    unsigned long inodes[SOCKETS_MOST];
    size_t count;
    bool met;
};

static void add_socket(struct sockets *sockets, unsigned long inode)
{
    if (inode && sockets->count < SOCKETS_MOST)
        sockets->inodes[sockets->count++] = inode;
}

/* Lines of /proc/net/tcp: state is the 4th field, 0A, inode the 10th; of /proc/net/unix: flags the 4th, 00010000, inode
   the 7th. */
static void read_sockets(struct sockets *sockets, const char *path, const char *format, unsigned listening)
{
    char line[LINE];
    FILE *in = fopen(path, "re");
    while (in && fgets(line, sizeof line, in)) {
        unsigned state;
        unsigned long inode;
        if (sscanf(line, format, &state, &inode) == 2 && state == listening)
            add_socket(sockets, inode);
    }
    if (in)
        fclose(in);
}

static bool has_socket(const struct sockets *sockets, const char *link)
{
    unsigned long inode;
    if (sscanf(link, "socket:[%lu]", &inode) != 1)
        return false;
    for (size_t i = 0; i < sockets->count; i++)
        if (sockets->inodes[i] == inode)
            return true;
    return false;
}

static void look_for_sockets(const struct family *family, void *void_sockets)
{
    struct sockets *sockets = void_sockets;
    char path[96], link[LINE];
    snprintf(path, sizeof path, "/proc/%ld/fd", (long)family->pid);
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder && !sockets->met && (entry = readdir(folder)) != NULL) {
        ssize_t n = readlinkat(dirfd(folder), entry->d_name, link, sizeof link - 1);
        link[n > 0 ? n : 0] = '\0';
        sockets->met = has_socket(sockets, link);
    }
    close_folder(folder);
}

bool opool__tree_listens(void)
{
    static struct sockets sockets;
    sockets.count = 0;
    sockets.met = false;
    read_sockets(&sockets, "/proc/net/tcp", "%*s %*s %*s %x %*s %*s %*s %*s %*s %lu", 0x0a);
    read_sockets(&sockets, "/proc/net/tcp6", "%*s %*s %*s %x %*s %*s %*s %*s %*s %lu", 0x0a);
    read_sockets(&sockets, "/proc/net/unix", "%*s %*s %*s %x %*s %*s %lu", 0x10000);
    each(look_for_sockets, &sockets);
    return sockets.met;
}

/* ---- signals ---- */

struct sending {
    int number;
    bool all;
};

static void send(const struct family *family, void *void_sending)
{
    const struct sending *sending = void_sending;
    if (sending->all || family->parent == getpid())
        kill(family->pid, sending->number);
}

void opool__tree_signal(int number, bool all)
{
    struct sending sending = {number, all};
    each(send, &sending);
}
