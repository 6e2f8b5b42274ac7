/* SPDX-License-Identifier: MIT */

/* os/trap: the library looks at a touch of memory that allows none, and then the program's own answer comes, as if
   nobody had been in between. Each in a child of its own. */

#include "unit.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>

#include "os/os.h"

enum { PAGE = 4096 };

static struct {
    unsigned looks;
    struct opool__trap last;
    const char *stack; /* where the look ran */
} seen;

static struct {
    unsigned calls;
    int number, code;
    void *address;
    bool blocks_itself, blocks_usr1;
} called;

static sigjmp_buf back;
static char *page; /* without access */

static void look(const struct opool__trap *trap)
{
    seen.looks++;
    seen.last = *trap;
    seen.stack = __builtin_frame_address(0); /* a local variable may be on a stack of the sanitizer's */
    errno = ENOTTY;
}

static void note_mask(void)
{
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    called.blocks_itself = sigismember(&blocked, called.number) == 1;
    called.blocks_usr1 = sigismember(&blocked, SIGUSR1) == 1;
}

static void jump(int number)
{
    called.calls++;
    called.number = number;
    note_mask();
    siglongjmp(back, 1);
}

static void jump_with_info(int number, siginfo_t *info, void *context)
{
    called.code = info->si_code;
    called.address = info->si_addr;
    if (!context)
        _exit(3);
    jump(number);
}

static void come_back(int number)
{
    called.calls++;
    called.number = number;
}

/* In the child: what the program had before, and the library's trap on top. */
static void begin(struct sigaction before)
{
    if (sigaction(SIGSEGV, &before, NULL) != 0 || sigaction(SIGBUS, &before, NULL) != 0)
        _exit(4);
    page = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || opool__os.trap(look) != 0)
        _exit(5);
}

static void need(bool condition, const char *what)
{
    if (condition)
        return;
    dprintf(STDERR_FILENO, "not so: %s\n", what);
    _exit(6);
}
#define NEED(condition) need(condition, #condition)

static __attribute__((noinline)) void touch_by_reading(void)
{
    (void)*(volatile char *)(page + 17);
}

static __attribute__((noinline)) void touch_by_writing(void)
{
    *(volatile char *)(page + 18) = 1;
}

static void expect_death(void (*run)(void *), int signal)
{
    struct unit_child child = unit_in_child(run, NULL);
    ck_assert_msg(WIFSIGNALED(child.status) && WTERMSIG(child.status) == signal, "status %#x: %s",
                  (unsigned)child.status, child.said);
}

static void expect_fine(void (*run)(void *))
{
    struct unit_child child = unit_in_child(run, NULL);
    ck_assert_msg(unit_succeeded(&child), "status %#x: %s", (unsigned)child.status, child.said);
}

/* ---- what is seen ---- */

static void see_accesses(void *unused)
{
    (void)unused;
    begin((struct sigaction){.sa_handler = jump});
    errno = EDOM;
    if (sigsetjmp(back, 1) == 0)
        touch_by_reading();
    NEED(UNIT_TSAN || errno == EDOM); /* its own siglongjmp and handlers come in between */
    NEED(seen.looks == 1 && seen.last.address == page + 17);
    enum opool__access read = seen.last.access;
    if (sigsetjmp(back, 1) == 0)
        touch_by_writing();
    NEED(seen.looks == 2 && seen.last.address == page + 18);
#if defined(__x86_64__) || defined(__i386__) || defined(__aarch64__)
    NEED(read == OPOOL__READ && seen.last.access == OPOOL__WRITE);
    NEED((uintptr_t)seen.last.code - (uintptr_t)&touch_by_writing < 64);
#else
    (void)read;
#endif
    NEED(called.calls == 2 && called.number == SIGSEGV);
}

START_TEST(address_access_and_instruction_are_seen)
{
    expect_fine(see_accesses);
}
END_TEST

static void touch_behind_a_file(void *recover)
{
    char name[] = "/tmp/trap-XXXXXX";
    begin((struct sigaction){.sa_handler = recover ? jump : SIG_DFL});
    int file = mkstemp(name);
    NEED(file >= 0 && unlink(name) == 0);
    char *behind = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
    NEED(behind != MAP_FAILED);
    if (sigsetjmp(back, 1) == 0)
        (void)*(volatile char *)behind;
    NEED(called.number == SIGBUS && seen.looks == 1 && seen.last.address == behind);
}

START_TEST(sigbus_is_seen_and_passed_on)
{
    struct unit_child child = unit_in_child(touch_behind_a_file, &page);
    ck_assert_msg(unit_succeeded(&child), "status %#x: %s", (unsigned)child.status, child.said);
    expect_death(touch_behind_a_file, SIGBUS);
}
END_TEST

static void look_from_an_alternate_stack(void *unused)
{
    static char room[64 << 10];
    stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
    (void)unused;
    begin((struct sigaction){.sa_handler = jump});
    if (sigsetjmp(back, 1) == 0)
        touch_by_reading();
    NEED(seen.looks == 1 && (seen.stack < room || seen.stack >= room + sizeof room));
    NEED(sigaltstack(&stack, NULL) == 0);
    if (sigsetjmp(back, 1) == 0)
        touch_by_reading();
    NEED(seen.looks == 2 && seen.stack >= room && seen.stack < room + sizeof room);
}

START_TEST(it_runs_on_the_alternate_stack_if_there_is_one)
{
    expect_fine(look_from_an_alternate_stack);
}
END_TEST

/* ---- what the program had ---- */

static void die_by_default(void *unused)
{
    (void)unused;
    begin((struct sigaction){.sa_handler = SIG_DFL});
    touch_by_writing();
}

static void die_ignoring(void *unused)
{
    (void)unused;
    begin((struct sigaction){.sa_handler = SIG_IGN});
    touch_by_writing();
}

START_TEST(default_and_ignored_end_the_process_by_the_signal)
{
    expect_death(die_by_default, SIGSEGV);
    expect_death(die_ignoring, SIGSEGV);
}
END_TEST

static void see_info(void *unused)
{
    struct sigaction before = {.sa_sigaction = jump_with_info, .sa_flags = SA_SIGINFO};
    (void)unused;
    sigaddset(&before.sa_mask, SIGUSR1);
    begin(before);
    if (sigsetjmp(back, 1) == 0)
        touch_by_writing();
    NEED(called.calls == 1 && called.code == SEGV_ACCERR && called.address == page + 18);
    NEED(called.blocks_itself && called.blocks_usr1);
}

START_TEST(a_handler_gets_its_information_and_mask)
{
    expect_fine(see_info);
}
END_TEST

static void see_no_defer(void *unused)
{
    (void)unused;
    begin((struct sigaction){.sa_handler = jump, .sa_flags = SA_NODEFER});
    if (sigsetjmp(back, 1) == 0)
        touch_by_writing();
    NEED(called.calls == 1 && (UNIT_TSAN || (!called.blocks_itself && !called.blocks_usr1)));
}

START_TEST(a_handler_that_does_not_defer_does_not)
{
    expect_fine(see_no_defer);
}
END_TEST

/* Its first call comes back, and the instruction runs again. */
static void fail_twice(void *unused)
{
    (void)unused;
    begin((struct sigaction){.sa_handler = come_back, .sa_flags = (int)SA_RESETHAND});
    touch_by_writing();
}

static void raise_twice(void *unused)
{
    (void)unused;
    begin((struct sigaction){.sa_handler = come_back, .sa_flags = (int)SA_RESETHAND});
    raise(SIGSEGV);
    NEED(called.calls == 1);
    raise(SIGSEGV);
    _exit(7);
}

START_TEST(a_handler_for_one_time_is_called_once)
{
    expect_death(fail_twice, SIGSEGV);
    expect_death(raise_twice, SIGSEGV);
}
END_TEST

static void replace(void *unused)
{
    struct sigaction later = {.sa_handler = jump}, ours;
    (void)unused;
    begin((struct sigaction){.sa_handler = SIG_DFL});
    NEED(sigaction(SIGSEGV, &later, &ours) == 0);
    NEED(ours.sa_flags & SA_SIGINFO);
    if (sigsetjmp(back, 1) == 0)
        touch_by_writing();
    NEED(called.calls == 1 && seen.looks == 0);
}

START_TEST(a_later_handler_replaces_it)
{
    expect_fine(replace);
}
END_TEST

/* ---- signals that somebody sent ---- */

static void be_sent_to(void *unused)
{
    (void)unused;
    begin((struct sigaction){.sa_handler = SIG_DFL});
    raise(SIGSEGV);
    _exit(7);
}

static void ignore_what_is_sent(void *unused)
{
    (void)unused;
    begin((struct sigaction){.sa_handler = SIG_IGN});
    raise(SIGSEGV);
    kill(getpid(), SIGBUS);
    NEED(seen.looks == 0);
    signal(SIGSEGV, SIG_DFL);
}

static void take_what_is_sent(void *unused)
{
    (void)unused;
    begin((struct sigaction){.sa_sigaction = jump_with_info, .sa_flags = SA_SIGINFO});
    if (sigsetjmp(back, 1) == 0)
        sigqueue(getpid(), SIGSEGV, (union sigval){.sival_int = 5});
    NEED(called.calls == 1 && called.code == SI_QUEUE && seen.looks == 0);
}

START_TEST(what_somebody_sent_is_no_touch)
{
    expect_death(be_sent_to, SIGSEGV);
    expect_fine(ignore_what_is_sent);
    expect_fine(take_what_is_sent);
}
END_TEST

int main(void)
{
    if (RUNNING_ON_VALGRIND) { /* each touch is an error to it, and changes the exit status */
        puts("skipped: valgrind reports the touches that these tests are about");
        return 77;
    }
    Suite *suite = suite_create("trap");
    TCase *tests = unit_case(suite, "trap");
    tcase_add_test(tests, address_access_and_instruction_are_seen);
    tcase_add_test(tests, sigbus_is_seen_and_passed_on);
    tcase_add_test(tests, it_runs_on_the_alternate_stack_if_there_is_one);
    tcase_add_test(tests, default_and_ignored_end_the_process_by_the_signal);
    tcase_add_test(tests, a_handler_gets_its_information_and_mask);
    tcase_add_test(tests, a_handler_that_does_not_defer_does_not);
    tcase_add_test(tests, a_handler_for_one_time_is_called_once);
    tcase_add_test(tests, a_later_handler_replaces_it);
    tcase_add_test(tests, what_somebody_sent_is_no_touch);
    return unit_main(suite);
}
