/* SPDX-License-Identifier: MIT */
#include "os/sleeper.h"

#include <errno.h>
#include <fcntl.h>
#include <opool/atomic.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/os.h"

enum { PATH_MOST = 1024, TEXT_MOST = 1024 };

#define MILLISECOND UINT64_C(1000000)
#define PRESSURE_PAUSE (10 * MILLISECOND)
#define POLL_MOST (1000 * MILLISECOND)

/* Stalled 300 ms of 2 s. */
#define TRIGGER "some 300000 2000000"

struct opool__pressure_paths opool__pressure_paths = {
    .psi = "/proc/pressure/memory", .own_group = "/proc/self/cgroup", .groups = "/sys/fs/cgroup"};

/* ---- what every call here begins and ends with ---- */

struct caller {
    int error, cancel_state;
};

static struct caller enter(void)
{
    struct caller caller = {.error = errno};
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &caller.cancel_state);
    return caller;
}

static void leave(struct caller caller)
{
    int unused;
    pthread_setcancelstate(caller.cancel_state, &unused);
    errno = caller.error;
}

/* ---- small files ---- */

static const struct opool__file no_file = {.fd = -1};

/* fd may be -1, and is the file's from now on. */
static struct opool__file file_of(int fd)
{
    struct stat status;
    if (fd < 0)
        return no_file;
    if (fstat(fd, &status) != 0) {
        (void)close(fd);
        return no_file;
    }
    return (struct opool__file){.fd = fd, .device = status.st_dev, .inode = status.st_ino};
}

static struct opool__file open_file(const char *path, int flags)
{
    return file_of(open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
}

static bool is_ours(const struct opool__file *file)
{
    struct stat status;
    return file->fd >= 0 && fstat(file->fd, &status) == 0 && status.st_dev == file->device &&
           status.st_ino == file->inode;
}

static void close_file(struct opool__file *file)
{
    if (is_ours(file))
        (void)close(file->fd);
    *file = no_file;
}

/* From the start, as a string; false: nothing there. */
static bool read_text(const struct opool__file *file, char text[TEXT_MOST])
{
    ssize_t n = is_ours(file) ? pread(file->fd, text, TEXT_MOST - 1, 0) : -1;
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* A decimal number; false: there is none ("max"), or it does not fit. */
static bool parse_number(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    if (*text < '0' || *text > '9')
        return false;
    for (; *text >= '0' && *text <= '9'; text++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return false;
    *out = value;
    return true;
}

/* The value behind `key` and a blank at the start of a line; 0: none. */
static uint64_t value_of(const char *text, const char *key)
{
    size_t length = strlen(key);
    uint64_t value;
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) == 0 && line[length] == ' ')
            return parse_number(line + length + 1, &value) ? value : 0;
    }
    return 0;
}

static bool read_number(const struct opool__file *file, uint64_t *out)
{
    char text[TEXT_MOST];
    return read_text(file, text) && parse_number(text, out);
}

/* ---- the control group ---- */

/* Path of the process's group below the root of all, from the line "0::/path"; false: not in version 2. */
static bool own_group(char path[TEXT_MOST])
{
    char text[TEXT_MOST];
    struct opool__file file = open_file(opool__pressure_paths.own_group, O_RDONLY);
    bool read = read_text(&file, text);
    close_file(&file);
    for (char *line = read ? text : NULL; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        line += 3;
        char *end = strchr(line, '\n');
        /* Without its end the path may be cut; "/../x" is outside of this process's namespace. */
        if (!end || strstr(line, "/.."))
            return false;
        *end = '\0';
        memcpy(path, line, (size_t)(end - line) + 1);
        return true;
    }
    return false;
}

static struct opool__file open_in_group(const char *group, const char *name, int flags)
{
    char path[PATH_MOST];
    int n = snprintf(path, sizeof path, "%s%s/%s", opool__pressure_paths.groups, group, name);
    return n > 0 && n < (int)sizeof path ? open_file(path, flags) : no_file;
}

static uint64_t count_events(const struct opool__sleeper *sleeper)
{
    char text[TEXT_MOST];
    if (!read_text(&sleeper->events_file, text))
        return 0;
    return value_of(text, "high") + value_of(text, "max") + value_of(text, "oom");
}

static void open_group(struct opool__sleeper *sleeper, const char *group)
{
    sleeper->events_file = open_in_group(group, "memory.events", O_RDONLY);
    sleeper->current = open_in_group(group, "memory.current", O_RDONLY);
    sleeper->high = open_in_group(group, "memory.high", O_RDONLY);
    sleeper->events = count_events(sleeper);
    if (sleeper->events_file.fd >= 0 || (sleeper->current.fd >= 0 && sleeper->high.fd >= 0))
        sleeper->sources |= OPOOL__SOURCE_CGROUP;
}

/* ---- pressure stall information ---- */

static bool set_trigger(struct opool__sleeper *sleeper, struct opool__file file)
{
    bool set = file.fd >= 0 && write(file.fd, TRIGGER, sizeof TRIGGER) == (ssize_t)sizeof TRIGGER;
    if (!set) {
        sleeper->error = errno; /* of open or write */
        close_file(&file);
        return false;
    }
    sleeper->psi = file;
    sleeper->sources |= OPOOL__SOURCE_PSI;
    return true;
}

static void open_pressure(struct opool__sleeper *sleeper)
{
    char group[TEXT_MOST];
    bool grouped = own_group(group);
    if (grouped)
        open_group(sleeper, group);
    if (grouped && set_trigger(sleeper, open_in_group(group, "memory.pressure", O_RDWR)))
        return;
    (void)set_trigger(sleeper, open_file(opool__pressure_paths.psi, O_RDWR));
}

/* ---- life ---- */

static void close_sources(struct opool__sleeper *sleeper)
{
    close_file(&sleeper->psi);
    close_file(&sleeper->events_file);
    close_file(&sleeper->current);
    close_file(&sleeper->high);
}

/* A pipe: unlike an eventfd it can be told from others that are opened under its numbers. */
static bool open_wake(struct opool__sleeper *sleeper)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        sleeper->error = errno;
        return false;
    }
    sleeper->woken_by = file_of(ends[0]);
    sleeper->wake = file_of(ends[1]);
    return true;
}

void opool__sleeper_open(struct opool__sleeper *sleeper, bool use_pressure)
{
    struct caller caller = enter();
    sleeper->psi = sleeper->events_file = sleeper->current = sleeper->high = no_file;
    sleeper->wake = sleeper->woken_by = no_file;
    sleeper->sources = 0;
    sleeper->events = sleeper->last_pressure = 0;
    sleeper->error = 0;
    opool__store_relaxed(&sleeper->shared_woken, 0u);
    if (use_pressure && open_wake(sleeper))
        open_pressure(sleeper);
    sleeper->open = true;
    leave(caller);
}

void opool__sleeper_close(struct opool__sleeper *sleeper)
{
    struct caller caller = enter();
    if (sleeper->open) {
        close_sources(sleeper);
        close_file(&sleeper->wake);
        close_file(&sleeper->woken_by);
    }
    sleeper->open = false;
    leave(caller);
}

/* ---- sleeping ---- */

void opool__sleeper_rouse(struct opool__sleeper *sleeper)
{
    opool__store_release(&sleeper->shared_woken, 1u);
    opool__os.wake(&sleeper->shared_woken, 1);
}

void opool__sleeper_wake(struct opool__sleeper *sleeper)
{
    struct caller caller = enter();
    opool__sleeper_rouse(sleeper);
    if (is_ours(&sleeper->wake))
        (void)!write(sleeper->wake.fd, "", 1); /* full: it is readable anyway */
    leave(caller);
}

/* acquire: who woke us for something wrote it before. */
static bool was_woken(struct opool__sleeper *sleeper)
{
    return opool__exchange_acquire(&sleeper->shared_woken, 0u) != 0;
}

static bool counted_more(struct opool__sleeper *sleeper)
{
    uint64_t events = count_events(sleeper);
    bool more = events > sleeper->events;
    sleeper->events = events;
    return more;
}

/* Milliseconds until `deadline`, rounded up, at most POLL_MOST. */
static int poll_timeout(uint64_t deadline)
{
    uint64_t now = opool__os.now(), left = deadline > now ? deadline - now : 0;
    if (deadline == 0 || left > POLL_MOST)
        left = POLL_MOST;
    return (int)((left + MILLISECOND - 1) / MILLISECOND);
}

/* An error of the trigger is for ever: it is closed, else poll would return at once. */
static bool is_stalled(struct opool__sleeper *sleeper, short revents)
{
    if (revents & (POLLERR | POLLNVAL))
        close_file(&sleeper->psi);
    return revents == POLLPRI;
}

/* memory.events says POLLERR with each POLLPRI, which is no error; that its group is gone reading it says. */
static bool has_events(struct opool__sleeper *sleeper, short revents)
{
    char text[TEXT_MOST];
    if (revents && !read_text(&sleeper->events_file, text))
        close_file(&sleeper->events_file);
    return revents && counted_more(sleeper);
}

static void drain_wake(const struct opool__file *woken_by)
{
    char bytes[16];
    while (is_ours(woken_by) && read(woken_by->fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes)
        continue;
}

static void drop_if_not_ours(struct opool__file *file)
{
    if (!is_ours(file))
        *file = no_file;
}

/* Returns OPOOL__PRESSURE or 0, for whatever reason. */
static unsigned poll_sources(struct opool__sleeper *sleeper, uint64_t deadline, bool heed)
{
    drop_if_not_ours(&sleeper->psi);
    drop_if_not_ours(&sleeper->events_file);
    if (!is_ours(&sleeper->woken_by)) {
        close_sources(sleeper); /* without it nobody could end the poll */
        return 0;
    }
    struct pollfd fds[] = {{.fd = sleeper->woken_by.fd, .events = POLLIN},
                           {.fd = heed ? sleeper->psi.fd : -1, .events = POLLPRI},
                           {.fd = heed ? sleeper->events_file.fd : -1, .events = POLLPRI}};
    int n = poll(fds, sizeof fds / sizeof *fds, poll_timeout(deadline));
    if (n < 0 || fds[0].revents & (POLLNVAL | POLLERR | POLLHUP))
        close_sources(sleeper); /* more descriptors than the process may have now, or somebody closed ours */
    if (n <= 0)
        return 0;
    if (fds[0].revents)
        drain_wake(&sleeper->woken_by);
    bool stalled = is_stalled(sleeper, fds[1].revents), events = has_events(sleeper, fds[2].revents);
    return stalled || events ? OPOOL__PRESSURE : 0;
}

static bool has_sources(const struct opool__sleeper *sleeper)
{
    return sleeper->psi.fd >= 0 || sleeper->events_file.fd >= 0;
}

static unsigned sleep_once(struct opool__sleeper *sleeper, uint64_t deadline)
{
    uint64_t now = opool__os.now(), quiet_until = sleeper->last_pressure + PRESSURE_PAUSE;
    bool quiet = sleeper->last_pressure && now < quiet_until;
    uint64_t until = quiet && (!deadline || quiet_until < deadline) ? quiet_until : deadline;
    if (has_sources(sleeper))
        return poll_sources(sleeper, until, !quiet);
    opool__os.wait(&sleeper->shared_woken, 0, deadline);
    return 0;
}

unsigned opool__sleeper_sleep(struct opool__sleeper *sleeper, uint64_t deadline)
{
    struct caller caller = enter();
    unsigned why = 0;
    for (;;) {
        why |= was_woken(sleeper) ? OPOOL__WOKEN : 0;
        if (why || (deadline && opool__os.now() >= deadline))
            break;
        why = sleep_once(sleeper, deadline);
    }
    if (why & OPOOL__PRESSURE)
        sleeper->last_pressure = opool__os.now();
    leave(caller);
    return why;
}

void opool__sleeper_doze(struct opool__sleeper *sleeper)
{
    struct caller caller = enter();
    while (!was_woken(sleeper))
        opool__os.wait(&sleeper->shared_woken, 0, 0);
    leave(caller);
}

bool opool__sleeper_under_pressure(struct opool__sleeper *sleeper)
{
    struct caller caller = enter();
    uint64_t current, high;
    bool near_high =
        read_number(&sleeper->current, &current) && read_number(&sleeper->high, &high) && current >= high - high / 10;
    bool more = counted_more(sleeper);
    leave(caller);
    return near_high || more;
}
