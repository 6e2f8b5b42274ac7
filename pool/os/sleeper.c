/* SPDX-License-Identifier: MIT */
#include "os/sleeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "os/os.h"

enum { PATH_MOST = 1024, TEXT_MOST = 1024 };

#define MILLISECOND UINT64_C(1000000)
#define PRESSURE_PAUSE (10 * MILLISECOND)

/* Stalled 300 ms of 2 s. */
#define TRIGGER "some 300000 2000000"

struct opool__pressure_paths opool__pressure_paths = {
    .psi = "/proc/pressure/memory", .own_group = "/proc/self/cgroup", .groups = "/sys/fs/cgroup"};

/* ---- small files ---- */

static int open_file(const char *path, int flags)
{
    return open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

static void close_file(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* From the start, as a string; false: nothing there. */
static bool read_text(int fd, char text[TEXT_MOST])
{
    ssize_t n = fd < 0 ? -1 : pread(fd, text, TEXT_MOST - 1, 0);
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

static bool read_number(int fd, uint64_t *out)
{
    char text[TEXT_MOST];
    return read_text(fd, text) && parse_number(text, out);
}

/* ---- the control group ---- */

/* Path of the process's group below the root of all, from the line "0::/path"; false: not in version 2. */
static bool own_group(char path[TEXT_MOST])
{
    char text[TEXT_MOST];
    int fd = open_file(opool__pressure_paths.own_group, O_RDONLY);
    bool read = read_text(fd, text);
    close_file(&fd);
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

static int open_in_group(const char *group, const char *name, int flags)
{
    char path[PATH_MOST];
    int n = snprintf(path, sizeof path, "%s%s/%s", opool__pressure_paths.groups, group, name);
    return n > 0 && n < (int)sizeof path ? open_file(path, flags) : -1;
}

static uint64_t count_events(const struct opool__sleeper *sleeper)
{
    char text[TEXT_MOST];
    if (!read_text(sleeper->events_fd, text))
        return 0;
    return value_of(text, "high") + value_of(text, "max") + value_of(text, "oom");
}

static void open_group(struct opool__sleeper *sleeper, const char *group)
{
    sleeper->events_fd = open_in_group(group, "memory.events", O_RDONLY);
    sleeper->current_fd = open_in_group(group, "memory.current", O_RDONLY);
    sleeper->high_fd = open_in_group(group, "memory.high", O_RDONLY);
    sleeper->events = count_events(sleeper);
    if (sleeper->events_fd >= 0 || (sleeper->current_fd >= 0 && sleeper->high_fd >= 0))
        sleeper->sources |= OPOOL__SOURCE_CGROUP;
}

/* ---- pressure stall information ---- */

static bool set_trigger(struct opool__sleeper *sleeper, int fd)
{
    if (fd >= 0 && write(fd, TRIGGER, sizeof TRIGGER) != (ssize_t)sizeof TRIGGER)
        close_file(&fd);
    if (fd < 0)
        return false;
    sleeper->psi_fd = fd;
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

/* ---- sleeping ---- */

int opool__sleeper_open(struct opool__sleeper *sleeper, bool use_pressure)
{
    int saved = errno;
    int wake_fd = sleeper->open ? sleeper->wake_fd : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = wake_fd >= 0 ? 0 : -errno;
    *sleeper = (struct opool__sleeper){
        .open = r == 0, .wake_fd = wake_fd, .psi_fd = -1, .events_fd = -1, .current_fd = -1, .high_fd = -1};
    if (r == 0 && use_pressure)
        open_pressure(sleeper);
    errno = saved;
    return r;
}

void opool__sleeper_close(struct opool__sleeper *sleeper)
{
    int saved = errno;
    if (!sleeper->open)
        return;
    close_file(&sleeper->psi_fd);
    close_file(&sleeper->events_fd);
    close_file(&sleeper->current_fd);
    close_file(&sleeper->high_fd);
    errno = saved;
}

void opool__sleeper_forget(struct opool__sleeper *sleeper)
{
    int saved = errno;
    opool__sleeper_close(sleeper);
    if (sleeper->open)
        close_file(&sleeper->wake_fd);
    sleeper->open = false;
    errno = saved;
}

void opool__sleeper_wake(struct opool__sleeper *sleeper)
{
    opool__os.event_add(sleeper->wake_fd);
}

static bool was_woken(struct opool__sleeper *sleeper)
{
    uint64_t count;
    return read(sleeper->wake_fd, &count, sizeof count) == (ssize_t)sizeof count;
}

static bool counted_more(struct opool__sleeper *sleeper)
{
    uint64_t events = count_events(sleeper);
    bool more = events > sleeper->events;
    sleeper->events = events;
    return more;
}

/* Milliseconds until `deadline`, rounded up; -1: for ever. */
static int timeout_until(uint64_t deadline)
{
    uint64_t now = opool__os.now();
    if (deadline == 0)
        return -1;
    uint64_t ms = deadline > now ? (deadline - now + MILLISECOND - 1) / MILLISECOND : 0;
    return ms < INT32_MAX ? (int)ms : INT32_MAX;
}

/* An error of the trigger is for ever: it is closed, else poll would return at once. */
static bool is_stalled(struct opool__sleeper *sleeper, short revents)
{
    if (revents & (POLLERR | POLLNVAL))
        close_file(&sleeper->psi_fd);
    return revents == POLLPRI;
}

/* memory.events says POLLERR with each POLLPRI, which is no error; that its group is gone reading it says. */
static bool has_events(struct opool__sleeper *sleeper, short revents)
{
    char text[TEXT_MOST];
    if (revents && !read_text(sleeper->events_fd, text))
        close_file(&sleeper->events_fd);
    return revents && counted_more(sleeper);
}

static unsigned poll_once(struct opool__sleeper *sleeper, uint64_t deadline, bool sources)
{
    struct pollfd fds[] = {{.fd = sleeper->wake_fd, .events = POLLIN},
                           {.fd = sources ? sleeper->psi_fd : -1, .events = POLLPRI},
                           {.fd = sources ? sleeper->events_fd : -1, .events = POLLPRI}};
    if (poll(fds, sizeof fds / sizeof *fds, timeout_until(deadline)) <= 0)
        return 0;
    unsigned why = was_woken(sleeper) ? OPOOL__WOKEN : 0;
    bool stalled = is_stalled(sleeper, fds[1].revents), events = has_events(sleeper, fds[2].revents);
    return why | (stalled || events ? OPOOL__PRESSURE : 0);
}

unsigned opool__sleeper_sleep(struct opool__sleeper *sleeper, uint64_t deadline)
{
    int saved = errno;
    unsigned why = 0;
    while (!why) {
        uint64_t now = opool__os.now(), quiet_until = sleeper->last_pressure + PRESSURE_PAUSE;
        bool quiet = sleeper->last_pressure && now < quiet_until;
        uint64_t until = quiet && (!deadline || quiet_until < deadline) ? quiet_until : deadline;
        why = poll_once(sleeper, until, !quiet);
        if (deadline && opool__os.now() >= deadline)
            break;
    }
    if (why & OPOOL__PRESSURE)
        sleeper->last_pressure = opool__os.now();
    errno = saved;
    return why;
}

bool opool__sleeper_under_pressure(struct opool__sleeper *sleeper)
{
    int saved = errno;
    uint64_t current, high;
    bool near_high = read_number(sleeper->current_fd, &current) && read_number(sleeper->high_fd, &high) &&
                     current >= high - high / 10;
    bool more = counted_more(sleeper);
    errno = saved;
    return near_high || more;
}
