/* SPDX-License-Identifier: MIT */
#include "live.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "environment.h"
#include "save.h"

/* ---- names ---- */

static bool join(char *out, const char *before, const char *behind)
{
    int n = snprintf(out, PATH_MAX, "%s%s", before, behind);
    if (n >= 0 && n < PATH_MAX)
        return true;
    errno = ENAMETOOLONG;
    return false;
}

static bool name_rest(struct opool__live *live)
{
    return join(live->folder, live->file, ".live") && join(live->part, live->file, ".part");
}

bool opool__live_name(struct opool__live *live, const char *file)
{
    char folder[PATH_MAX], whole[PATH_MAX];
    const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
    int n = snprintf(folder, sizeof folder, "%.*s", slash ? (int)(name - file) : 1, slash ? file : ".");
    if (n < 0 || (size_t)n >= sizeof folder) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (!realpath(folder, whole))
        return false;
    if (!*name) {
        errno = EISDIR;
        return false;
    }
    size_t length = strlen(whole);
    if (length > 1 && length + 1 < sizeof whole)
        memcpy(whole + length, "/", 2);
    return join(live->file, whole, name) && name_rest(live);
}

const char *opool__live_keeps(const struct opool__live *live)
{
    struct stat status;
    if (stat(live->file, &status) != 0)
        return errno == ENOENT ? NULL : strerror(errno);
    if (!S_ISREG(status.st_mode))
        return S_ISDIR(status.st_mode) ? strerror(EISDIR) : "not a regular file";
    return access(live->file, W_OK) == 0 ? NULL : strerror(errno);
}

/* The part of a line of /proc/PID/maps that names a live image of the process, cut to the folder's name. */
static char *folder_in(char *line, long pid)
{
    char name[32], *path = strchr(line, '/');
    char *slash = path ? strrchr(path, '/') : NULL;
    snprintf(name, sizeof name, "/%ld-", pid);
    if (!slash || strncmp(slash, name, strlen(name)) != 0)
        return NULL;
    *slash = '\0';
    size_t length = strlen(path);
    return length > 5 && strcmp(path + length - 5, ".live") == 0 ? path : NULL;
}

bool opool__live_of(struct opool__live *live, long pid)
{
    char name[64], line[PATH_MAX + 256], *folder = NULL;
    snprintf(name, sizeof name, "/proc/%ld/maps", pid);
    FILE *maps = fopen(name, "re");
    if (!maps)
        return false;
    while (!folder && fgets(line, sizeof line, maps))
        folder = folder_in(line, pid);
    fclose(maps);
    if (!folder) {
        errno = ENODATA;
        return false;
    }
    folder[strlen(folder) - 5] = '\0';
    return join(live->file, folder, "") && name_rest(live);
}

/* ---- the control file ---- */

static bool write_control(const struct opool__live *live, bool paused)
{
    char path[PATH_MAX];
    if (!join(path, live->folder, "/" OPOOL__PROFILE_CONTROL))
        return false;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return false;
    bool good = pwrite(fd, paused ? "0" : "1", 1, 0) == 1;
    int error = errno;
    close(fd);
    errno = error;
    return good;
}

void opool__live_drop(const struct opool__live *live)
{
    char path[PATH_MAX];
    if (join(path, live->folder, "/" OPOOL__PROFILE_CONTROL))
        (void)unlink(path);
    (void)rmdir(live->folder);
    (void)unlink(live->part);
}

/* A program that gives rights up may fork afterwards: its children make images, too. */
bool opool__live_make(const struct opool__live *live, bool paused)
{
    if (mkdir(live->folder, 0700) != 0)
        return false;
    int fd = open(live->part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    bool good = fd >= 0 && write_control(live, paused) && (geteuid() != 0 || chmod(live->folder, 01777) == 0);
    int error = errno;
    if (fd >= 0)
        close(fd);
    if (!good)
        opool__live_drop(live);
    errno = error;
    return good;
}

/* ---- each image ---- */

struct visit {
    const struct opool__live *live;
    int part; /* to append to */
    bool all, paused, failed;
    int error;
    struct opool__saved *saved;
};

static void fail_visit(struct visit *visit)
{
    visit->error = errno;
    visit->failed = true;
}

/* 0: it is no image's name. */
static long pid_of(const char *name)
{
    char *end;
    long pid = strtol(name, &end, 10);
    return pid > 0 && *end == '-' ? pid : 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    const char *dash_a = strchr((*a)->d_name, '-'), *dash_b = strchr((*b)->d_name, '-');
    size_t length_a = strlen(dash_a), length_b = strlen(dash_b);
    /* Times in hexadecimal digits: the longer one is the later one. */
    return length_a != length_b ? (length_a < length_b ? -1 : 1) : strcmp(dash_a, dash_b);
}

static int is_image(const struct dirent *entry)
{
    return pid_of(entry->d_name) != 0;
}

static uint64_t nanoseconds(clockid_t clock)
{
    struct timespec now;
    return clock_gettime(clock, &now) == 0 ? (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec : 0;
}

/* When the process began, by CLOCK_MONOTONIC, up to a tick of the kernel's too early; 0: not known. */
static uint64_t begin_of(long pid)
{
    char name[64], text[1024];
    unsigned long long ticks;
    long rate = sysconf(_SC_CLK_TCK);
    snprintf(name, sizeof name, "/proc/%ld/stat", pid);
    FILE *file = fopen(name, "re");
    if (!file)
        return 0;
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    /* Behind the name, which may hold anything. */
    const char *rest = strrchr(text, ')');
    if (!rest || rate <= 0 ||
        sscanf(rest + 1, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu", &ticks) !=
            1)
        return 0;
    uint64_t ns = ticks * (1000000000u / (uint64_t)rate), awake = nanoseconds(CLOCK_MONOTONIC);
    uint64_t asleep = nanoseconds(CLOCK_BOOTTIME) - awake; /* read later: it is not less */
    return ns > asleep ? ns - asleep : 0;
}

/* Has another process the number now? It began after the image, whose name says when that was. */
static bool is_anothers(const char *name, long pid)
{
    const uint64_t enough = 100000000; /* the clocks were read one after the other */
    return begin_of(pid) > strtoull(strchr(name, '-') + 1, NULL, 16) + enough;
}

/* How the image's process ended, as enum of `ended` has it, if it did not say so itself: it may have executed another
   program since. */
static uint32_t how_ended(const struct dirent *const *all, int count, int i)
{
    long pid = pid_of(all[i]->d_name);
    if (is_anothers(all[i]->d_name, pid))
        return OPOOL__PROFILE_EXITED;
    for (int later = i + 1; later < count; later++)
        if (pid_of(all[later]->d_name) == pid)
            return OPOOL__PROFILE_EXECED;
    return kill((pid_t)pid, 0) != 0 && errno == ESRCH ? OPOOL__PROFILE_EXITED : OPOOL__PROFILE_RUNNING;
}

static bool each_image(struct visit *visit, void (*see)(struct visit *visit, int fd, const char *path, uint32_t ended))
{
    struct dirent **all;
    int count = scandir(visit->live->folder, &all, is_image, by_name);
    if (count < 0)
        return false;
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX];
        int n = snprintf(path, sizeof path, "%s/%s", visit->live->folder, all[i]->d_name);
        int fd = n > 0 && (size_t)n < sizeof path ? open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
        if (fd >= 0) {
            see(visit, fd, path, how_ended((const struct dirent *const *)all, count, i));
            close(fd);
        }
    }
    for (int i = 0; i < count; i++)
        free(all[i]);
    free(all);
    errno = visit->error;
    return !visit->failed;
}

static void set_field(int fd, size_t offset, const void *value, size_t bytes)
{
    if (pwrite(fd, value, bytes, (off_t)offset) != (ssize_t)bytes)
        return; /* it is a figure less */
}

static void pause_one(struct visit *visit, int fd, const char *path, uint32_t ended)
{
    struct opool__profile_header header;
    uint32_t paused = visit->paused;
    (void)path;
    if (ended != OPOOL__PROFILE_RUNNING)
        return;
    if (!opool__save_header(fd, &header)) {
        if (errno == EPROTONOSUPPORT)
            fail_visit(visit);
        return;
    }
    if (header.paused == paused)
        return;
    header.last_ns = nanoseconds(CLOCK_MONOTONIC);
    struct {
        uint64_t switched_ns, before_ns;
    } now = {header.last_ns, opool__profile_recorded(&header)};
    set_field(fd, offsetof(struct opool__profile_header, switched_ns), &now, sizeof now);
    set_field(fd, offsetof(struct opool__profile_header, paused), &paused, sizeof paused);
}

bool opool__live_pause(const struct opool__live *live, bool paused)
{
    struct visit visit = {.live = live, .paused = paused};
    return write_control(live, paused) && each_image(&visit, pause_one);
}

/* ---- gathering ---- */

static uint64_t resident(long pid)
{
    char name[64];
    unsigned long all, pages = 0;
    snprintf(name, sizeof name, "/proc/%ld/statm", pid);
    FILE *file = fopen(name, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%lu %lu", &all, &pages) != 2)
        pages = 0;
    fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void note_use(int fd, long pid)
{
    struct {
        uint64_t resident, seen_ns, seen_cpu_ns;
    } use = {.resident = resident(pid), .seen_ns = nanoseconds(CLOCK_MONOTONIC)};
    clockid_t clock;
    if (use.resident == 0) /* it just ended */
        return;
    if (clock_getcpuclockid((pid_t)pid, &clock) == 0)
        use.seen_cpu_ns = nanoseconds(clock);
    set_field(fd, offsetof(struct opool__profile_header, resident_bytes), &use, sizeof use);
}

static void gather_one(struct visit *visit, int fd, const char *path, uint32_t ended)
{
    struct opool__profile_header header;
    if (!opool__save_header(fd, &header)) {
        visit->saved->other_versions += visit->all && errno == EPROTONOSUPPORT;
        return; /* it is not ready yet, or no image of ours */
    }
    if (ended == OPOOL__PROFILE_RUNNING && !visit->all) {
        note_use(fd, (long)header.pid);
        return;
    }
    if (visit->failed)
        return;
    if (opool__save_image(fd, visit->part, ended, visit->saved) && unlink(path) == 0)
        return;
    fail_visit(visit);
}

/* The lock is for snapshots, which must not see half an image. */
static int open_part(const struct opool__live *live, int how, int lock)
{
    int fd = open(live->part, how | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0)
        (void)flock(fd, lock);
    return fd;
}

bool opool__live_gather(const struct opool__live *live, bool all, struct opool__saved *saved)
{
    struct visit visit = {.live = live, .all = all, .saved = saved, .part = open_part(live, O_RDWR, LOCK_EX)};
    if (visit.part < 0)
        return false;
    bool good = each_image(&visit, gather_one);
    int error = errno;
    if (close(visit.part) != 0 && good) {
        error = errno;
        good = false;
    }
    errno = error;
    return good;
}

/* What is left in the folder then is not ours. */
bool opool__live_finish(const struct opool__live *live)
{
    if (rename(live->part, live->file) != 0)
        return false;
    opool__live_drop(live);
    return true;
}

/* ---- snapshots ---- */

static void snapshot_one(struct visit *visit, int fd, const char *path, uint32_t ended)
{
    (void)path;
    if (visit->failed || opool__save_image(fd, visit->part, ended, visit->saved) || errno == EBADMSG)
        return;
    fail_visit(visit);
}

/* The images whose processes ended before; they are whole already. */
static bool copy_part(int from, int to, struct opool__saved *saved)
{
    static char buffer[1 << 16];
    ssize_t n;
    while ((n = read(from, buffer, sizeof buffer)) > 0) {
        if (!opool__save_bytes(to, buffer, (size_t)n))
            return false;
        saved->images += saved->images == 0; /* some */
    }
    return n == 0;
}

bool opool__live_snapshot(const struct opool__live *live, const char *file, struct opool__saved *saved)
{
    char part[PATH_MAX];
    if (!join(part, file, ".part"))
        return false;
    struct visit visit = {
        .live = live, .saved = saved, .part = open(part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666)};
    if (visit.part < 0)
        return false;
    /* Locked until the others have been seen, too: one that was moved into the part meanwhile would be in neither. */
    int from = open_part(live, O_RDONLY, LOCK_SH);
    bool good = from >= 0 ? copy_part(from, visit.part, saved) : errno == ENOENT;
    good = good && each_image(&visit, snapshot_one);
    int error = errno;
    if (from >= 0)
        close(from);
    if (close(visit.part) != 0 && good) {
        error = errno;
        good = false;
    }
    if (good && rename(part, file) == 0)
        return true;
    error = good ? errno : error;
    (void)unlink(part);
    errno = error;
    return false;
}
