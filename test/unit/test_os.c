/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "os/lock.h"
#include "os/os.h"
#include "os/random.h"
#include "os/report.h"
#include "os/sleeper.h"

static struct opool__os real;
static uint32_t waits, wakes;

static void counting_wait(uint32_t *word, uint32_t expected, uint64_t deadline)
{
    __atomic_fetch_add(&waits, 1u, __ATOMIC_ACQ_REL);
    real.wait(word, expected, deadline);
}

static void counting_wake(uint32_t *word, int count)
{
    __atomic_fetch_add(&wakes, 1u, __ATOMIC_ACQ_REL);
    real.wake(word, count);
}

static void count_sleeps(void)
{
    real = opool__os;
    opool__os.wait = counting_wait;
    opool__os.wake = counting_wake;
}

/* ---- lock ---- */

enum { THREADS = 4, ROUNDS = 20000 };

static uint32_t lock;
static uint64_t plain, inside; /* no atomics: only the lock orders them */

static void *add_under_lock(void *use_try)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (use_try)
            while (!opool__lock_try(&lock))
                sched_yield();
        else
            opool__lock_take(&lock);
        EXPECT(++inside == 1);
        plain++;
        inside--;
        opool__lock_drop(&lock);
    }
    return NULL;
}

START_TEST(lock_excludes)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        threads[i] = unit_thread(add_under_lock, i == 0 ? &lock : NULL);
    for (int i = 0; i < THREADS; i++)
        unit_join(threads[i]);
    ck_assert_uint_eq(plain, THREADS * ROUNDS);
    ck_assert_uint_eq(lock, 0);
}
END_TEST

START_TEST(lock_try_takes_only_a_free_lock)
{
    ck_assert(opool__lock_try(&lock));
    ck_assert(!opool__lock_try(&lock));
    opool__lock_drop(&lock);
    opool__lock_take(&lock);
    ck_assert(!opool__lock_try(&lock));
    opool__lock_drop(&lock);
    ck_assert(opool__lock_try(&lock));
}
END_TEST

START_TEST(lock_without_contention_makes_no_call)
{
    count_sleeps();
    for (int i = 0; i < 1000; i++) {
        opool__lock_take(&lock);
        opool__lock_drop(&lock);
    }
    ck_assert_uint_eq(waits, 0);
    ck_assert_uint_eq(wakes, 0);
}
END_TEST

static void *take_once(void *got)
{
    opool__lock_take(&lock);
    __atomic_fetch_add((uint32_t *)got, 1u, __ATOMIC_ACQ_REL);
    opool__lock_drop(&lock);
    return NULL;
}

START_TEST(lock_contended_sleeps_and_is_woken)
{
    pthread_t threads[THREADS];
    uint32_t got = 0;
    count_sleeps();
    opool__lock_take(&lock);
    for (int i = 0; i < THREADS; i++)
        threads[i] = unit_thread(take_once, &got);
    unit_await(&waits, THREADS);
    ck_assert_uint_eq(__atomic_load_n(&got, __ATOMIC_ACQUIRE), 0);
    opool__lock_drop(&lock);
    for (int i = 0; i < THREADS; i++)
        unit_join(threads[i]);
    ck_assert_uint_eq(got, THREADS);
    ck_assert_uint_ge(wakes, 1);
    ck_assert_uint_eq(lock, 0);
}
END_TEST

START_TEST(lock_reset_frees)
{
    opool__lock_take(&lock);
    opool__lock_reset(&lock);
    ck_assert(opool__lock_try(&lock));
}
END_TEST

/* ---- report ---- */

static const struct opool__label label = {.name = "conn", .type = "struct conn", .checks = OPOOL_CHECKS_BASIC};

static void report(void *text)
{
    opool__report(&label, "%s", (const char *)text);
}

static void say(void *text)
{
    opool__say("%s", (const char *)text);
}

START_TEST(report_is_one_line_about_the_pool)
{
    char text[] = "create: why";
    struct unit_child child = unit_in_child(report, text);
    ck_assert_str_eq(child.said, "opool: pool 'conn' (struct conn): create: why\n");
    ck_assert(unit_succeeded(&child));
    child = unit_in_child(say, text);
    ck_assert_str_eq(child.said, "opool: create: why\n");
}
END_TEST

START_TEST(report_is_cut_and_still_a_line)
{
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct unit_child child = unit_in_child(say, text);
    size_t length = strlen(child.said);
    ck_assert_uint_ge(length, 400);
    ck_assert_uint_le(length, 512);
    ck_assert_ptr_eq(strchr(child.said, '\n'), child.said + length - 1);
    ck_assert_uint_eq(strspn(child.said + 7, "x"), length - 8);
}
END_TEST

/* Every length around the border of the buffer. */
START_TEST(report_of_each_length_ends_in_its_only_newline)
{
    char text[520];
    for (size_t n = 495; n < sizeof text; n++) {
        memset(text, 'x', n);
        text[n] = '\0';
        struct unit_child child = unit_in_child(say, text);
        size_t length = strlen(child.said);
        ck_assert_uint_eq(length, n + 8 < 511 ? n + 8 : 511);
        ck_assert_ptr_eq(strchr(child.said, '\n'), child.said + length - 1);
    }
}
END_TEST

/* A packet socket keeps writes apart. */
START_TEST(report_is_one_write)
{
    int ends[2];
    char packet[1024];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    int saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    opool__report(&label, "%d of %s", 12, "these");
    dup2(saved, STDERR_FILENO);
    ssize_t n = recv(ends[0], packet, sizeof packet, MSG_DONTWAIT);
    ck_assert_int_eq(n, (ssize_t)strlen("opool: pool 'conn' (struct conn): 12 of these\n"));
    ck_assert_int_eq(recv(ends[0], packet, sizeof packet, MSG_DONTWAIT), -1);
}
END_TEST

static void fault(void *object)
{
    opool__fault(&label, OPOOL__FAULT_PUT_IN_A_ROW, "put", object, NULL);
}

START_TEST(fault_names_all_and_aborts)
{
    struct unit_child child = unit_in_child(fault, &lock);
    char start[128];
    int n = snprintf(start, sizeof start, "opool: pool 'conn' (struct conn): put of %p by thread ", (void *)&lock);
    ck_assert(unit_aborted(&child));
    ck_assert_int_eq(strncmp(child.said, start, (size_t)n), 0);
    const char *number = child.said + n;
    size_t digits = strspn(number, "0123456789");
    ck_assert_uint_gt(digits, 0);
    ck_assert_str_eq(number + digits, ": put twice in a row\n");
}
END_TEST

static void tell(const struct opool__label *of, const void *object, struct opool__text *text)
{
    ck_assert(of->story == tell);
    opool__text_string(text, "opool:   a story of ");
    opool__text_hex(text, (uintptr_t)object);
    opool__text_string(text, "\n");
}

static void echo(const char *line, void *arg)
{
    dprintf(STDERR_FILENO, "<%s>%s", line, (const char *)arg);
}

static void fault_with_story(void *unused UNIT_UNUSED)
{
    static const unsigned char bytes[] = {0, 0xff, 0x1a};
    struct opool__label told = label;
    told.story = tell;
    opool__log_set(echo, (void *)(uintptr_t) "end");
    opool__fault(&told, OPOOL__FAULT_WRITTEN_PAST, "put", (void *)0x1f0,
                 &(struct opool__detail){.count = 3, .offset = 60, .size = 61, .bytes = bytes});
}

START_TEST(fault_tells_the_story_and_the_callback)
{
    struct unit_child child = unit_in_child(fault_with_story, NULL);
    char all[256];
    ck_assert(unit_aborted(&child));
    snprintf(all, sizeof all, "%.*s", (int)strcspn(child.said, "<"), child.said);
    ck_assert_ptr_nonnull(strstr(all, ": written past its end at 61, at offset 60: 3 bytes, now 00 ff 1a\n"
                                      "opool:   a story of 0x1f0\n"));
    all[strlen(all) - 1] = 0;
    const char *again = child.said + strlen(all) + 1;
    ck_assert_int_eq(*again, '<');
    ck_assert_int_eq(strncmp(again + 1, all, strlen(all)), 0);
    ck_assert_str_eq(again + 1 + strlen(all), ">end");
}
END_TEST

START_TEST(text_keeps_to_its_room)
{
    char room[8];
    memset(room, '.', sizeof room);
    struct opool__text text = {room, 5, 0};
    opool__text_number(&text, UINT64_MAX);
    ck_assert_uint_eq(text.length, 5);
    ck_assert_int_eq(memcmp(room, "18446...", sizeof room), 0);
    text.length = 0;
    opool__text_string(&text, NULL);
    opool__text_hex(&text, 0);
    ck_assert_int_eq(memcmp(room, "?0x0", 4), 0);
}
END_TEST

static void report_to_nobody(void *unused UNIT_UNUSED)
{
    close(STDERR_FILENO);
    errno = ERANGE;
    opool__report(&label, "nobody reads this");
    opool__say("nor this");
    _exit(errno == ERANGE ? 0 : 1);
}

START_TEST(report_to_a_closed_standard_error_does_nothing)
{
    struct unit_child child = unit_in_child(report_to_nobody, NULL);
    ck_assert_str_eq(child.said, "");
    ck_assert(unit_succeeded(&child));
}
END_TEST

static void *report_while_cancelled(void *returned)
{
    int state; /* no assertion before the end: its mark is a cancellation point */
    pthread_cancel(pthread_self());
    opool__say("a cancellation is pending");
    *(bool *)returned = true;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    ck_assert_int_eq(state, PTHREAD_CANCEL_ENABLE);
    return NULL;
}

static void cancel_in_report(void *unused UNIT_UNUSED)
{
    bool returned = false;
    unit_join(unit_thread(report_while_cancelled, &returned));
    _exit(returned ? 0 : 1);
}

START_TEST(report_is_no_cancellation_point)
{
    struct unit_child child = unit_in_child(cancel_in_report, NULL);
    ck_assert_str_eq(child.said, "opool: a cancellation is pending\n");
    ck_assert(unit_succeeded(&child));
}
END_TEST

/* ---- table: memory ---- */

enum { PAGES = 8 };

static size_t page;
static char *map;

static void reserve_some(void)
{
    void *at = NULL;
    page = opool__os.page_size();
    ck_assert_int_eq(opool__os.reserve(&at, PAGES * page), 0);
    map = at;
}

START_TEST(reserve_gives_no_access_and_commit_does)
{
    for (size_t i = 0; i < PAGES; i++)
        ck_assert(!unit_readable(map + i * page));
    ck_assert_int_eq(opool__os.commit(map + page, 2 * page), 0);
    ck_assert(!unit_readable(map) && !unit_readable(map + 3 * page));
    ck_assert(unit_is_filled(map + page, 0, 2 * page));
    memset(map + page, 1, 2 * page);
    ck_assert_int_eq(opool__os.commit(map, 4 * page), 0); /* around what is committed: contents stay */
    ck_assert(unit_is_filled(map + page, 1, 2 * page));
    ck_assert(unit_is_filled(map + 3 * page, 0, page));
}
END_TEST

START_TEST(purge_zeroes_only_its_range)
{
    ck_assert_int_eq(opool__os.commit(map, PAGES * page), 0);
    memset(map, 1, PAGES * page);
    ck_assert_int_eq(opool__os.purge(map + page, 2 * page), 0);
    ck_assert(unit_is_filled(map, 1, page));
    ck_assert(unit_is_filled(map + page, 0, 2 * page));
    ck_assert(unit_is_filled(map + 3 * page, 1, (PAGES - 3) * page));
    memset(map + page, 2, page);
    ck_assert(unit_is_filled(map + page, 2, page));
}
END_TEST

START_TEST(purge_of_locked_memory_is_refused)
{
    ck_assert_int_eq(opool__os.commit(map, PAGES * page), 0);
    if (unit_watched() || mlock(map, page) != 0) /* mlock of sanitizers does nothing; or RLIMIT_MEMLOCK is 0 */
        return;
    ck_assert_int_eq(opool__os.purge(map, PAGES * page), -EINVAL);
    ck_assert_int_eq(munlock(map, page), 0);
    ck_assert_int_eq(opool__os.purge(map, PAGES * page), 0);
}
END_TEST

/* A system that says yes and does nothing. */
static void purge_in_vain(void *unused UNIT_UNUSED)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = UNIT_LENGTH(filter), .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        fprintf(stderr, "no filter here");
    else if (opool__os.purge(map, page) == 0 || opool__os.purge(map, page) == 0)
        fprintf(stderr, "purged");
}

START_TEST(purge_that_does_nothing_is_refused)
{
    ck_assert_int_eq(opool__os.commit(map, PAGES * page), 0);
    struct unit_child child = unit_in_child(purge_in_vain, NULL);
    ck_assert(unit_succeeded(&child));
    if (strcmp(child.said, "no filter here") == 0 || RUNNING_ON_VALGRIND) /* whose own calls are not filtered as ours */
        puts("skipped: no filter of system calls here");
    else
        ck_assert_str_eq(child.said, "");
}
END_TEST

START_TEST(release_unmaps)
{
    ck_assert_int_eq(opool__os.commit(map, PAGES * page), 0);
    ck_assert_int_eq(opool__os.release(map, PAGES * page), 0);
    ck_assert(!unit_readable(map));
    ck_assert_int_eq(opool__os.commit(map, page), -ENOMEM);
}
END_TEST

START_TEST(memory_calls_pass_errors_on)
{
    void *at = &page;
    int r = opool__os.reserve(&at, (size_t)1 << 50);
    ck_assert(r == -ENOMEM || (unit_watched() && r < 0)); /* valgrind has another answer */
    ck_assert_ptr_eq(at, &page);                          /* untouched */
    ck_assert_int_eq(opool__os.reserve(&at, 0), -EINVAL);
    ck_assert_int_eq(opool__os.release(map + 1, page), -EINVAL);
    ck_assert_int_eq(opool__os.purge(map + 1, page), -EINVAL);
}
END_TEST

static void limit_address_space(void *unused UNIT_UNUSED)
{
    struct rlimit limit = {.rlim_cur = (rlim_t)64 << 30, .rlim_max = (rlim_t)64 << 30};
    void *at;
    if (setrlimit(RLIMIT_AS, &limit) != 0)
        _exit(2);
    if (opool__os.address_limit() != (size_t)64 << 30)
        _exit(3);
    _exit(opool__os.reserve(&at, (size_t)128 << 30) == -ENOMEM && opool__os.reserve(&at, (size_t)1 << 30) == 0 ? 0 : 4);
}

START_TEST(address_limit_is_told_and_holds)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &limit), 0);
    if (limit.rlim_cur == RLIM_INFINITY)
        ck_assert_uint_eq(opool__os.address_limit(), SIZE_MAX);
    if (unit_watched()) /* their shadow is above any limit: they could not map a byte more */
        return;
    struct unit_child child = unit_in_child(limit_address_space, NULL);
    ck_assert_msg(unit_succeeded(&child), "status %d", child.status);
}
END_TEST

/* ---- table: time, sleep, threads ---- */

START_TEST(now_is_the_monotonic_clock)
{
    uint64_t before = unit_ms(), now = opool__os.now() / 1000000, after = unit_ms();
    ck_assert(before <= now && now <= after);
    uint64_t first = opool__os.now();
    unit_nap(5);
    ck_assert_uint_ge(opool__os.now() - first, 5000000);
}
END_TEST

START_TEST(wait_returns_when_the_word_is_another)
{
    uint32_t word = 1;
    opool__os.wait(&word, 0, 0); /* would sleep for ever */
}
END_TEST

START_TEST(wait_ends_at_its_deadline)
{
    uint32_t word = 0;
    uint64_t start = opool__os.now(), deadline = start + 30000000;
    while (opool__os.now() < deadline)
        opool__os.wait(&word, 0, deadline);
    ck_assert_uint_ge(opool__os.now() - start, 30000000);
    start = opool__os.now();
    opool__os.wait(&word, 0, deadline); /* over already */
    ck_assert_uint_lt(opool__os.now() - start, 5000000000);
}
END_TEST

static uint32_t word, sleepers, woken;

static void *sleep_on_word(void *unused UNIT_UNUSED)
{
    __atomic_fetch_add(&sleepers, 1u, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&word, __ATOMIC_ACQUIRE) == 0)
        opool__os.wait(&word, 0, 0);
    __atomic_fetch_add(&woken, 1u, __ATOMIC_ACQ_REL);
    return NULL;
}

START_TEST(wake_wakes_sleepers)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        threads[i] = unit_thread(sleep_on_word, NULL);
    unit_await(&sleepers, THREADS);
    unit_nap(20);
    ck_assert_uint_eq(__atomic_load_n(&woken, __ATOMIC_ACQUIRE), 0);
    __atomic_store_n(&word, 1u, __ATOMIC_RELEASE);
    opool__os.wake(&word, THREADS);
    for (int i = 0; i < THREADS; i++)
        unit_join(threads[i]);
    ck_assert_uint_eq(woken, THREADS);
}
END_TEST

static uint64_t ended_thread;
static void *end_value;

static void at_end(void *value)
{
    ended_thread = opool__os.thread_number();
    end_value = value;
}

static void *end_with_hook(void *number)
{
    *(uint64_t *)number = opool__os.thread_number();
    ck_assert_int_eq(opool__os.at_thread_end(&lock), 0);
    ck_assert_ptr_null(end_value);
    return NULL;
}

START_TEST(thread_end_is_told_on_the_thread)
{
    uint64_t number = 0;
    ck_assert_int_eq(opool__os.thread_end_init(at_end), 0);
    unit_join(unit_thread(end_with_hook, &number));
    ck_assert_ptr_eq(end_value, &lock);
    ck_assert_uint_eq(ended_thread, number);
    ck_assert_uint_ne(number, opool__os.thread_number());
}
END_TEST

static char order[8];

static void note(char what)
{
    order[strlen(order)] = what;
}

static void prepare(void)
{
    note('a');
}

static void parent(void)
{
    note('b');
}

static void child(void)
{
    note('c');
}

START_TEST(fork_handlers_run_in_order)
{
    int status;
    ck_assert_int_eq(opool__os.at_fork(prepare, parent, child), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(strcmp(order, "ac"));
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_str_eq(order, "ab");
}
END_TEST

START_TEST(barrier_works_or_is_refused_as_a_whole)
{
    int registered = opool__os.barrier_register(), r = opool__os.barrier();
    ck_assert_int_le(registered, 0);
    ck_assert_int_eq(registered == 0, r == 0);
    ck_assert_int_eq(opool__os.barrier_register(), registered); /* again does no harm */
}
END_TEST

START_TEST(figures_of_the_machine)
{
    ck_assert_uint_eq(opool__os.page_size(), (size_t)sysconf(_SC_PAGESIZE));
    ck_assert_uint_ge(opool__os.processors(), 1);
    ck_assert_uint_eq(opool__os.thread_number(), (uint64_t)getpid()); /* the first thread of a child */
}
END_TEST

/* ---- the sleeper ---- */

enum { MS = 1000000 };

static struct opool__sleeper sleeper;
static char tree[] = "/tmp/opool-tree-XXXXXX";

/* A file of the fake /proc and /sys; NULL: none. */
static void tree_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", tree, name);
    (void)unlink(path);
    if (!text)
        return;
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void plant_tree(void)
{
    static char psi[64], own[64];
    ck_assert_ptr_nonnull(mkdtemp(tree));
    snprintf(psi, sizeof psi, "%s/psi", tree);
    snprintf(own, sizeof own, "%s/own", tree);
    opool__pressure_paths = (struct opool__pressure_paths){.psi = psi, .own_group = own, .groups = tree};
}

static void fell_tree(void)
{
    static const char *const names[] = {"psi", "own", "memory.events", "memory.current", "memory.high"};
    opool__sleeper_close(&sleeper);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        tree_file(names[i], NULL);
    ck_assert_int_eq(rmdir(tree), 0);
}

START_TEST(sleep_ends_at_its_deadline)
{
    opool__sleeper_open(&sleeper, false);
    uint64_t until = opool__os.now() + 30 * MS;
    ck_assert_uint_eq(opool__sleeper_sleep(&sleeper, until), 0);
    ck_assert_uint_ge(opool__os.now(), until);
    ck_assert_uint_eq(opool__sleeper_sleep(&sleeper, 1), 0); /* it is over already */
    opool__sleeper_close(&sleeper);
}
END_TEST

static void *wake_later(void *unused)
{
    unit_nap(20);
    errno = ELOOP;
    opool__sleeper_wake(&sleeper);
    EXPECT(errno == ELOOP);
    return unused;
}

START_TEST(wakes_end_a_sleep_once)
{
    opool__sleeper_open(&sleeper, false);
    pthread_t thread = unit_thread(wake_later, NULL);
    ck_assert_uint_eq(opool__sleeper_sleep(&sleeper, 0), OPOOL__WOKEN);
    unit_join(thread);
    opool__sleeper_wake(&sleeper);
    opool__sleeper_wake(&sleeper);
    ck_assert_uint_eq(opool__sleeper_sleep(&sleeper, 0), OPOOL__WOKEN);
    ck_assert_uint_eq(opool__sleeper_sleep(&sleeper, opool__os.now() + MS), 0);
    opool__sleeper_close(&sleeper);
    opool__sleeper_rouse(&sleeper); /* late */
    opool__sleeper_open(&sleeper, false);
    ck_assert_uint_eq(opool__sleeper_sleep(&sleeper, opool__os.now() + MS), 0);
    opool__sleeper_close(&sleeper);
}
END_TEST

static void *rouse_later(void *unused)
{
    unit_nap(20);
    opool__sleeper_rouse(&sleeper);
    return unused;
}

static void limit_descriptors(rlim_t most)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = most;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Sleeping needs none. */
START_TEST(no_descriptors_no_sources)
{
    limit_descriptors(0);
    opool__sleeper_open(&sleeper, true);
    limit_descriptors(64);
    ck_assert_uint_eq(sleeper.sources, 0);
    uint64_t until = opool__os.now() + 5 * MS;
    ck_assert_uint_eq(opool__sleeper_sleep(&sleeper, until), 0);
    ck_assert_uint_ge(opool__os.now(), until);
    opool__sleeper_close(&sleeper);
}
END_TEST

static uint64_t processor_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000 * MS + (uint64_t)used.tv_nsec;
}

/* What a program may do to descriptors that it does not know. */
static void lower_the_limit(void)
{
    limit_descriptors(0);
}

static void close_all(void)
{
    for (int fd = 3; fd < 64; fd++)
        close(fd);
}

/* Every number is a pipe of the program's now, or an event that says something is there. */
static int taken[2];

static void take_all_numbers(int like)
{
    while (dup(like) >= 0)
        continue;
}

static void close_all_and_open_pipes(void)
{
    close_all();
    ck_assert_int_eq(pipe(taken), 0);
    take_all_numbers(taken[1]);
}

static int event = -1;

static void close_all_and_open_events(void)
{
    close_all();
    event = eventfd(7, EFD_NONBLOCK);
    ck_assert_int_ge(event, 0);
    take_all_numbers(event);
}

static void (*const harms[])(void) = {lower_the_limit, close_all, close_all_and_open_pipes, close_all_and_open_events};

/* It sleeps on as if there were no sources, and touches nothing that is not its own. */
START_TEST(descriptors_may_be_taken_away)
{
    plant_tree();
    tree_file("own", "0::/\n");
    tree_file("memory.current", "1\n");
    tree_file("memory.high", "1000\n");
    tree_file("memory.events", "high 0\n");
    tree_file("psi", "");
    limit_descriptors(64);
    opool__sleeper_open(&sleeper, true);
    ck_assert_uint_eq(sleeper.sources, OPOOL__SOURCE_CGROUP | OPOOL__SOURCE_PSI);
    harms[_i]();
    uint64_t used = processor_ns(), until = opool__os.now() + 200 * MS;
    ck_assert_uint_eq(opool__sleeper_sleep(&sleeper, until), 0);
    ck_assert_uint_ge(opool__os.now(), until);
    ck_assert_uint_lt(processor_ns() - used, 100 * MS);
    ck_assert(!opool__sleeper_under_pressure(&sleeper));
    opool__sleeper_wake(&sleeper);
    ck_assert_uint_eq(opool__sleeper_sleep(&sleeper, 0), OPOOL__WOKEN);
    opool__sleeper_close(&sleeper);
    char byte;
    uint64_t count;
    if (event >= 0) {
        ck_assert_int_eq(read(event, &count, sizeof count), sizeof count);
        ck_assert_uint_eq(count, 7);
    }
    if (taken[1]) {
        ck_assert_int_eq(fcntl(taken[0], F_SETFL, O_NONBLOCK), 0);
        ck_assert_int_eq(read(taken[0], &byte, 1), -1); /* nobody wrote */
        for (int fd = taken[0]; fd < 64; fd++)
            ck_assert_int_ge(fcntl(fd, F_GETFD), 0); /* nobody closed */
    }
    limit_descriptors(64);
    close_all(); /* a leak checker wants some at exit */
}
END_TEST

static void *wake_and_survive(void *said)
{
    pthread_cancel(pthread_self());
    opool__sleeper_open(&sleeper, true);
    opool__sleeper_wake(&sleeper);
    (void)opool__sleeper_sleep(&sleeper, 0);
    (void)opool__sleeper_under_pressure(&sleeper);
    opool__sleeper_rouse(&sleeper);
    opool__sleeper_doze(&sleeper);
    opool__sleeper_close(&sleeper);
    *(bool *)said = true;
    pthread_testcancel();
    return NULL;
}

START_TEST(no_call_is_a_cancellation_point)
{
    bool said = false;
    void *result;
    pthread_t thread = unit_thread(wake_and_survive, &said);
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    ck_assert(said);
    ck_assert_ptr_eq(result, PTHREAD_CANCELED);
}
END_TEST

START_TEST(without_sources_there_are_none)
{
    plant_tree();
    opool__sleeper_open(&sleeper, true);
    ck_assert_uint_eq(sleeper.sources, 0);
    ck_assert(!opool__sleeper_under_pressure(&sleeper));
    fell_tree();
}
END_TEST

START_TEST(a_group_near_its_limit_is_under_pressure)
{
    plant_tree();
    tree_file("own", "4:memory:/elsewhere\n0::/\n");
    tree_file("memory.current", "899\n");
    tree_file("memory.high", "1000\n");
    tree_file("memory.events", "low 0\nhigh 5\nmax 0\noom 0\noom_kill 0\n");
    tree_file("psi", "some avg10=0.00\n");
    opool__sleeper_open(&sleeper, true);
    ck_assert_uint_eq(sleeper.sources, OPOOL__SOURCE_CGROUP | OPOOL__SOURCE_PSI);
    ck_assert(!opool__sleeper_under_pressure(&sleeper));
    ck_assert_int_eq(pwrite(sleeper.current.fd, "", 0, 0), -1); /* read only */
    int fd = open(opool__pressure_paths.psi, O_RDONLY);
    char trigger[64] = "";
    ck_assert_int_gt(read(fd, trigger, sizeof trigger - 1), 0);
    ck_assert_ptr_nonnull(strstr(trigger, " 2000000")); /* a window that needs no privilege */
    close(fd);
    fell_tree();
}
END_TEST

/* What stands in the files, and whether it is pressure. */
static const struct {
    const char *current, *high, *events;
    bool pressure;
} figures[] = {
    {"900", "1000", "high 0\n", true},
    {"899", "1000", "high 0\n", false},
    {"1", "max", "high 0\n", false},
    {"", "1000", "", false},
    {"1000", "", "", false},
    {"18446744073709551616", "1", "high 99999999999999999999\n", false},
    {"-1", "0x10", "highest 7\nxhigh 7\nhigh\n", false},
    {"0", "0", "", true},
    {NULL, "1000", "high 0\n", false},
};

START_TEST(what_files_say_is_not_trusted)
{
    plant_tree();
    tree_file("own", "0::/\n");
    tree_file("memory.current", figures[_i].current);
    tree_file("memory.high", figures[_i].high);
    tree_file("memory.events", figures[_i].events);
    opool__sleeper_open(&sleeper, true);
    ck_assert_int_eq(opool__sleeper_under_pressure(&sleeper), figures[_i].pressure);
    fell_tree();
}
END_TEST

START_TEST(events_that_count_up_are_pressure_once)
{
    plant_tree();
    tree_file("own", "0::/\n");
    tree_file("memory.events", "low 9\nhigh 5\nmax 1\n");
    opool__sleeper_open(&sleeper, true);
    int fd = open(tree, O_RDONLY | O_DIRECTORY), events = openat(fd, "memory.events", O_WRONLY);
    ck_assert(!opool__sleeper_under_pressure(&sleeper));
    ck_assert_int_eq(pwrite(events, "low 9\nhigh 6\nmax 1\n", 19, 0), 19);
    ck_assert(opool__sleeper_under_pressure(&sleeper));
    ck_assert(!opool__sleeper_under_pressure(&sleeper));
    close(events);
    close(fd);
    fell_tree();
}
END_TEST

static const char *const no_groups[] = {"",          "\n",         "0::",          "0::/", /* cut */
                                        "1:cpu:/\n", "0::/../x\n", "0:memory:/\n", "00::/\n"};

START_TEST(a_group_that_is_none)
{
    plant_tree();
    tree_file("own", no_groups[_i]);
    tree_file("memory.events", "high 0\n");
    opool__sleeper_open(&sleeper, true);
    ck_assert_uint_eq(sleeper.sources, 0);
    fell_tree();
}
END_TEST

START_TEST(a_group_with_a_path_too_long)
{
    static char text[3000];
    memset(text, 'x', sizeof text - 1);
    memcpy(text, "0::/", 4);
    plant_tree();
    for (size_t length = 900; length < sizeof text; length += 50) {
        char end = text[length];
        text[length - 1] = '\n';
        text[length] = '\0';
        tree_file("own", text);
        opool__sleeper_open(&sleeper, true);
        ck_assert_uint_eq(sleeper.sources, 0);
        opool__sleeper_close(&sleeper);
        text[length - 1] = 'x';
        text[length] = end;
    }
    fell_tree();
}
END_TEST

/* Two ends of a connection; out-of-band data on one is POLLPRI on the other, as a trigger's is. */
static void connect_pair(int ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(ends[0], (struct sockaddr *)&address, size), 0);
    ends[1] = accept(listener, NULL, NULL);
    close(listener);
}

/* A sleeper with this trigger and no other source. */
static void open_with_trigger(int fd)
{
    struct stat status;
    opool__pressure_paths = (struct opool__pressure_paths){.psi = "/", .own_group = "/", .groups = "/"};
    opool__sleeper_open(&sleeper, true);
    ck_assert_uint_eq(sleeper.sources, 0);
    ck_assert_int_eq(fstat(fd, &status), 0);
    sleeper.psi = (struct opool__file){.fd = fd, .device = status.st_dev, .inode = status.st_ino};
}

START_TEST(a_trigger_ends_a_sleep_at_most_each_10_ms)
{
    int ends[2];
    connect_pair(ends);
    open_with_trigger(ends[1]);
    ck_assert_int_eq(send(ends[0], "!", 1, MSG_OOB), 1);
    ck_assert_uint_eq(opool__sleeper_sleep(&sleeper, 0), OPOOL__PRESSURE);
    uint64_t first = opool__os.now();
    ck_assert_uint_eq(opool__sleeper_sleep(&sleeper, 0), OPOOL__PRESSURE); /* it lasts */
    ck_assert_uint_ge(opool__os.now() - first, 9 * MS);
    opool__sleeper_wake(&sleeper);
    ck_assert_uint_eq(opool__sleeper_sleep(&sleeper, 0) & OPOOL__WOKEN, OPOOL__WOKEN); /* in the pause too */
    opool__sleeper_close(&sleeper);
    close(ends[0]);
}
END_TEST

/* Nothing is idle then, so memory pressure is no reason. */
START_TEST(a_doze_heeds_no_pressure)
{
    int ends[2];
    connect_pair(ends);
    open_with_trigger(ends[1]);
    ck_assert_int_eq(send(ends[0], "!", 1, MSG_OOB), 1);
    uint64_t start = opool__os.now();
    pthread_t thread = unit_thread(rouse_later, NULL);
    opool__sleeper_doze(&sleeper);
    ck_assert_uint_ge(opool__os.now() - start, 15 * MS);
    unit_join(thread);
    opool__sleeper_close(&sleeper);
    close(ends[0]);
}
END_TEST

START_TEST(a_source_that_fails_is_dropped)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    open_with_trigger(ends[1]); /* nobody reads: POLLERR */
    close(ends[0]);
    ck_assert_uint_eq(opool__sleeper_sleep(&sleeper, opool__os.now() + 5 * MS), 0);
    ck_assert_int_eq(sleeper.psi.fd, -1);
    opool__sleeper_close(&sleeper);
}
END_TEST

START_TEST(the_real_sources_do_no_harm)
{
    opool__sleeper_open(&sleeper, true);
    printf("sources of pressure here:%s%s\n", sleeper.sources & OPOOL__SOURCE_PSI ? " psi" : "",
           sleeper.sources & OPOOL__SOURCE_CGROUP ? " cgroup" : "");
    unsigned why = opool__sleeper_sleep(&sleeper, opool__os.now() + 20 * MS);
    ck_assert((why & OPOOL__WOKEN) == 0);
    (void)opool__sleeper_under_pressure(&sleeper);
    opool__sleeper_close(&sleeper);
}
END_TEST

/* ---- threads ---- */

static uintptr_t started, inside_it;
static sigset_t blocked_inside;

static void *look_inside(void *unused)
{
    pthread_sigmask(SIG_BLOCK, NULL, &blocked_inside);
    inside_it = (uintptr_t)pthread_self();
    EXPECT(opool__os.is_thread(inside_it));
    return unused;
}

START_TEST(a_started_thread_has_signals_blocked_but_those_of_faults)
{
    ck_assert_int_eq(opool__os.thread_start(&started, look_inside, "unit-thread"), 0);
    ck_assert(!opool__os.is_thread(started));
    opool__os.thread_join(started);
    ck_assert_uint_eq(started, inside_it);
    ck_assert(sigismember(&blocked_inside, SIGINT) == 1 && sigismember(&blocked_inside, SIGALRM) == 1);
    ck_assert(sigismember(&blocked_inside, SIGSEGV) == 0 && sigismember(&blocked_inside, SIGBUS) == 0);
    sigset_t own;
    pthread_sigmask(SIG_BLOCK, NULL, &own);
    ck_assert_int_eq(sigismember(&own, SIGINT), 0);
}
END_TEST

/* ---- seeds ---- */

/* On standard error, in a child that asks for its first one. */
static void say_seed(void *refused)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getrandom, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = UNIT_LENGTH(filter), .filter = filter};
    errno = 0;
    if (refused && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)))
        fprintf(stderr, "no filter here: ");
    errno = 0;
    fprintf(stderr, "%llx", (unsigned long long)opool__os.seed());
    if (errno)
        fprintf(stderr, ", errno %d", errno);
}

START_TEST(seeds_differ_in_each_process)
{
    void *refused = _i ? (void *)(uintptr_t)1 : NULL;
    struct unit_child first = unit_in_child(say_seed, refused), second = unit_in_child(say_seed, refused);
    ck_assert(unit_succeeded(&first) && unit_succeeded(&second));
    ck_assert_str_ne(first.said, second.said);
    ck_assert_str_ne(first.said, "0");
    ck_assert_ptr_null(strchr(first.said, ','));
}
END_TEST

START_TEST(seeds_differ_and_are_never_none)
{
    static uint64_t seeds[1000];
    for (size_t i = 0; i < UNIT_LENGTH(seeds); i++) {
        seeds[i] = opool__os.seed();
        EXPECT(seeds[i] != 0);
        for (size_t k = 0; k < i; k++)
            EXPECT(seeds[k] != seeds[i]);
    }
}
END_TEST

/* Each below n, each as often as any other. */
START_TEST(random_numbers_stay_below)
{
    uint64_t state = 1;
    uint32_t counts[10] = {0};
    for (int i = 0; i < 100000; i++) {
        uint32_t number = opool__random_below(&state, 10);
        EXPECT(number < 10 && opool__random_below(&state, 1) == 0);
        counts[number]++;
    }
    for (int i = 0; i < 10; i++) /* 10000 each; six standard deviations are 570 */
        EXPECT(counts[i] - 9430 < 2 * 570);
    EXPECT(opool__random_below(&state, UINT32_MAX) < UINT32_MAX);
}
END_TEST

static void add_random(Suite *suite)
{
    TCase *tests = unit_case(suite, "random");
    tcase_add_loop_test(tests, seeds_differ_in_each_process, 0, 2);
    tcase_add_test(tests, seeds_differ_and_are_never_none);
    tcase_add_test(tests, random_numbers_stay_below);
}

static void add_lock(Suite *suite)
{
    TCase *tests = unit_case(suite, "lock");
    tcase_add_test(tests, lock_excludes);
    tcase_add_test(tests, lock_try_takes_only_a_free_lock);
    tcase_add_test(tests, lock_without_contention_makes_no_call);
    tcase_add_test(tests, lock_contended_sleeps_and_is_woken);
    tcase_add_test(tests, lock_reset_frees);
}

static void add_report(Suite *suite)
{
    TCase *tests = unit_case(suite, "report");
    tcase_add_test(tests, report_is_one_line_about_the_pool);
    tcase_add_test(tests, report_is_cut_and_still_a_line);
    tcase_add_test(tests, report_of_each_length_ends_in_its_only_newline);
    tcase_add_test(tests, report_is_one_write);
    tcase_add_test(tests, fault_names_all_and_aborts);
    tcase_add_test(tests, fault_tells_the_story_and_the_callback);
    tcase_add_test(tests, text_keeps_to_its_room);
    tcase_add_test(tests, report_to_a_closed_standard_error_does_nothing);
    tcase_add_test(tests, report_is_no_cancellation_point);
}

static void add_memory(Suite *suite)
{
    TCase *tests = unit_case(suite, "memory");
    tcase_add_checked_fixture(tests, reserve_some, NULL);
    tcase_add_test(tests, reserve_gives_no_access_and_commit_does);
    tcase_add_test(tests, purge_zeroes_only_its_range);
    tcase_add_test(tests, purge_of_locked_memory_is_refused);
    tcase_add_test(tests, purge_that_does_nothing_is_refused);
    tcase_add_test(tests, release_unmaps);
    tcase_add_test(tests, memory_calls_pass_errors_on);
    tcase_add_test(tests, address_limit_is_told_and_holds);
}

static void add_system(Suite *suite)
{
    TCase *tests = unit_case(suite, "time and threads");
    tcase_add_test(tests, now_is_the_monotonic_clock);
    tcase_add_test(tests, wait_returns_when_the_word_is_another);
    tcase_add_test(tests, wait_ends_at_its_deadline);
    tcase_add_test(tests, wake_wakes_sleepers);
    tcase_add_test(tests, thread_end_is_told_on_the_thread);
    tcase_add_test(tests, fork_handlers_run_in_order);
    tcase_add_test(tests, barrier_works_or_is_refused_as_a_whole);
    tcase_add_test(tests, figures_of_the_machine);
}

/* ---- inspect ---- */

START_TEST(memory_that_can_not_be_read_is_told)
{
    size_t one = opool__os.page_size();
    void *pages;
    char text[64] = "";
    ck_assert_int_eq(opool__os.reserve(&pages, 2 * one), 0);
    ck_assert_int_eq(opool__os.commit(pages, one), 0);
    memcpy((char *)pages + one - 4, "end", 4);
    errno = 7;
    EXPECT(opool__os.read_memory(text, (char *)pages + one - 4, 4) && strcmp(text, "end") == 0);
    EXPECT(!opool__os.read_memory(text, (char *)pages + one - 4, 5));
    EXPECT(!opool__os.read_memory(text, (char *)pages + one, 1));
    ck_assert_int_eq(errno, 7);
}
END_TEST

static int a_variable = 1;

struct looked {
    bool found, code;
    int segments, most;
};

static bool look_for_variable(void *void_looked, const void *at, size_t bytes)
{
    struct looked *looked = void_looked;
    looked->found |= (uintptr_t)&a_variable - (uintptr_t)at < bytes;
    looked->code |= (uintptr_t)look_for_variable - (uintptr_t)at < bytes;
    return ++looked->segments < looked->most;
}

START_TEST(segments_are_those_of_variables)
{
    struct looked looked = {false, false, 0, 1000};
    opool__os.each_segment(look_for_variable, &looked);
    EXPECT(looked.found && !looked.code && looked.segments > 1 && a_variable);
    looked = (struct looked){false, false, 0, 1};
    opool__os.each_segment(look_for_variable, &looked);
    ck_assert_int_eq(looked.segments, 1);
}
END_TEST

START_TEST(symbols_are_found_by_name)
{
    EXPECT(opool__os.symbol("environ") == (void *)&environ);
    EXPECT(!opool__os.symbol("opool__no_such_symbol"));
}
END_TEST

static void add_inspect(Suite *suite)
{
    TCase *tests = unit_case(suite, "inspect");
    tcase_add_test(tests, memory_that_can_not_be_read_is_told);
    tcase_add_test(tests, segments_are_those_of_variables);
    tcase_add_test(tests, symbols_are_found_by_name);
}

static void add_sleeper(Suite *suite)
{
    TCase *tests = unit_case(suite, "sleeper");
    tcase_add_test(tests, sleep_ends_at_its_deadline);
    tcase_add_test(tests, wakes_end_a_sleep_once);
    tcase_add_test(tests, no_descriptors_no_sources);
    tcase_add_loop_test(tests, descriptors_may_be_taken_away, 0, sizeof harms / sizeof *harms);
    tcase_add_test(tests, no_call_is_a_cancellation_point);
    tcase_add_test(tests, a_doze_heeds_no_pressure);
    tcase_add_test(tests, without_sources_there_are_none);
    tcase_add_test(tests, a_group_near_its_limit_is_under_pressure);
    tcase_add_loop_test(tests, what_files_say_is_not_trusted, 0, (int)(sizeof figures / sizeof *figures));
    tcase_add_test(tests, events_that_count_up_are_pressure_once);
    tcase_add_loop_test(tests, a_group_that_is_none, 0, (int)(sizeof no_groups / sizeof *no_groups));
    tcase_add_test(tests, a_group_with_a_path_too_long);
    tcase_add_test(tests, a_trigger_ends_a_sleep_at_most_each_10_ms);
    tcase_add_test(tests, a_source_that_fails_is_dropped);
    tcase_add_test(tests, the_real_sources_do_no_harm);
    tcase_add_test(tests, a_started_thread_has_signals_blocked_but_those_of_faults);
}

int main(void)
{
    Suite *suite = suite_create("os");
    add_lock(suite);
    add_random(suite);
    add_report(suite);
    add_memory(suite);
    add_system(suite);
    add_sleeper(suite);
    add_inspect(suite);
    return unit_main(suite);
}
