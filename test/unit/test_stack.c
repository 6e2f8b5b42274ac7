/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "check/stack.h"
#include "os/asks.h"
#include "os/os.h"
#include "os/unwind.h"

/* Call stacks: equal ones have one number, whoever asks and whenever; what is told of them is true. */

#if defined(__clang__)
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif

static volatile uint32_t keep; /* calls before it are no tail calls */

static struct opool__os real;
static bool can_unwind;

static void setup(void)
{
    void *frames[4];
    real = opool__os;
    can_unwind = opool__os.unwind(frames, 4) > 0;
    opool__stack_start();
}

/* ---- unwinding as a test wants it ---- */

static __thread uintptr_t planned[64];
static __thread int planned_count;

static int planned_unwind(void **frames, int most)
{
    int n = planned_count < most ? planned_count : most;
    for (int i = 0; i < n; i++)
        frames[i] = (void *)planned[i];
    return n;
}

static void setup_planned(void)
{
    real = opool__os;
    opool__os.unwind = planned_unwind;
    planned_count = 1;
    opool__stack_start();
}

static uint32_t stack_of(uintptr_t seed, int depth)
{
    for (int i = 0; i < depth; i++)
        planned[i] = (seed + 1) * 64 + (uintptr_t)i;
    planned_count = depth;
    return opool__stack_here();
}

START_TEST(equal_stacks_have_one_number)
{
    uint32_t first = stack_of(1, 5), other = stack_of(2, 5);
    EXPECT(first != 0 && other != 0 && first != other);
    EXPECT(stack_of(1, 5) == first && stack_of(2, 5) == other);
    EXPECT(stack_of(1, 4) != first && stack_of(1, 6) != first);
    EXPECT(stack_of(3, 0) == 0);
}
END_TEST

START_TEST(frames_are_inside_the_calls_and_bounded)
{
    uintptr_t frames[OPOOL__FRAMES_MOST];
    ck_assert_uint_eq(opool__stack_frames(stack_of(7, 3), frames), 3);
    for (uintptr_t i = 0; i < 3; i++)
        ck_assert_uint_eq(frames[i], 8 * 64 + i - 1);
    ck_assert_uint_eq(opool__stack_frames(stack_of(7, 36), frames), OPOOL__FRAMES_MOST);
    ck_assert_uint_eq(opool__stack_frames(0, frames), 0);
    ck_assert_uint_eq(opool__stack_frames(UINT32_MAX, frames), 0);
}
END_TEST

START_TEST(a_caller_is_the_first_frame)
{
    uintptr_t frames[OPOOL__FRAMES_MOST];
    (void)stack_of(9, 6);
    ck_assert_uint_eq(opool__stack_frames(opool__stack_from((void *)(10 * 64 + 2)), frames), 4);
    ck_assert_uint_eq(frames[0], 10 * 64 + 2 - 1);
    EXPECT(opool__stack_from((void *)1) == opool__stack_here());
}
END_TEST

enum { OWN_START = 4096, OWN_END = 8192 };

static bool planned_own_code(uintptr_t *start, uintptr_t *end)
{
    *start = OWN_START;
    *end = OWN_END;
    return true;
}

static void setup_own(void)
{
    opool__os.own_code = planned_own_code;
    setup_planned();
}

/* However many frames of this library and of the unwinder stand at the top, and whether a caller is named. */
START_TEST(own_frames_are_left_out)
{
    enum { OTHER = 100, DEPTH = 40 };
    uintptr_t frames[OPOOL__FRAMES_MOST];
    uint32_t number = 0;
    for (int other = 0; other <= 2; other++)
        for (int own = 1; own + other <= 12; own++) {
            uintptr_t user = 100000;
            for (int i = 0; i < own + other + DEPTH; i++)
                planned[i] = i < other ? OTHER : i < own + other ? OWN_START + (uintptr_t)i : user++;
            planned_count = own + other + DEPTH;
            uint32_t here = opool__stack_here();
            EXPECT(here != 0 && (number == 0 || here == number));
            number = here;
            EXPECT(opool__stack_from((void *)100000) == number);
            /* An exported function that was called by another one of this library. */
            EXPECT(own < 2 || opool__stack_from((void *)planned[own + other - 2]) == number);
        }
    ck_assert_uint_eq(opool__stack_frames(number, frames), OPOOL__FRAMES_MOST);
    ck_assert_uint_eq(frames[0], 100000 - 1);
    /* In a callback of the user's, which the library called. */
    planned[3] = 77777;
    EXPECT(opool__stack_frames(opool__stack_here(), frames) > 0);
    ck_assert_uint_eq(frames[0], 77777 - 1);
}
END_TEST

START_TEST(as_many_frames_as_asked_for)
{
    static const struct {
        const char *value;
        unsigned frames;
    } cases[] = {{"1", 1}, {"7", 7}, {"24", 24}, {"25", 24}, {"0", 24}, {"many", 24}, {"", 24}};
    uintptr_t frames[OPOOL__FRAMES_MOST];
    setenv("OPOOL_FRAMES", cases[_i].value, 1);
    setup_planned();
    ck_assert_uint_eq(opool__stack_frames(stack_of(5, 36), frames), cases[_i].frames);
    EXPECT(stack_of(5, 36) == stack_of(5, 30));
    ck_assert_uint_eq(opool__stack_frames(stack_of(5, 1), frames), 1);
}
END_TEST

START_TEST(a_full_store_has_no_more_numbers)
{
    uint32_t first = stack_of(0, 24), number = first, stacks = 0;
    for (uintptr_t seed = 1; number; seed++, stacks++)
        number = stack_of(seed, 24);
    ck_assert_uint_ge(stacks * 24, OPOOL__STACK_FRAMES / 10 * 9);
    ck_assert_uint_le(stacks * 24, OPOOL__STACK_FRAMES / 4 * 5);
    EXPECT(stack_of(0, 24) == first);
    EXPECT(stack_of((uintptr_t)1 << 40, 24) == 0);
}
END_TEST

static int refuse_reserve(void **out, size_t bytes)
{
    (void)out;
    (void)bytes;
    return -ENOMEM;
}

static int refuse_commit(void *at, size_t bytes)
{
    (void)at;
    (void)bytes;
    return -ENOMEM;
}

START_TEST(no_memory_is_no_stack)
{
    real = opool__os;
    opool__os.unwind = planned_unwind;
    planned_count = 1;
    if (_i)
        opool__os.commit = refuse_commit;
    else
        opool__os.reserve = refuse_reserve;
    EXPECT(stack_of(1, 3) == 0); /* not started */
    opool__stack_start();
    EXPECT(stack_of(1, 3) == 0);
    opool__os = real;
    opool__os.unwind = planned_unwind;
    opool__stack_start(); /* the next one tries again */
    EXPECT(stack_of(1, 3) != 0);
}
END_TEST

static int no_unwind(void **frames, int most)
{
    (void)frames;
    (void)most;
    return 0;
}

START_TEST(no_unwinder_is_no_stack)
{
    opool__os.unwind = no_unwind;
    opool__stack_start();
    EXPECT(opool__stack_here() == 0);
}
END_TEST

/* ---- threads ---- */

enum { THREADS = 4, STACKS = 4000, ROUNDS = 6 };

static uint32_t numbers[THREADS][STACKS];

static void *number_all(void *void_thread)
{
    uint32_t *mine = void_thread;
    for (int round = 0; round < ROUNDS; round++)
        for (uintptr_t i = 0; i < STACKS; i++) {
            uint32_t number = stack_of(i, 3 + (int)(i % 7));
            EXPECT(number != 0 && (round == 0 || mine[i] == number));
            mine[i] = number;
        }
    return NULL;
}

START_TEST(threads_agree)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        threads[i] = unit_thread(number_all, numbers[i]);
    for (int i = 0; i < THREADS; i++)
        unit_join(threads[i]);
    for (int i = 1; i < THREADS; i++)
        for (int k = 0; k < STACKS; k++)
            EXPECT(numbers[i][k] == numbers[0][k]);
}
END_TEST

/* ---- signals ---- */

static volatile sig_atomic_t signals_seen;

static void in_handler(int number)
{
    uintptr_t before[64];
    int count = planned_count;
    (void)number;
    memcpy(before, planned, sizeof before);
    for (uintptr_t i = 0; i < 16; i++)
        EXPECT(stack_of((uintptr_t)(signals_seen * 16) % STACKS + i, 5) != 0);
    memcpy(planned, before, sizeof before);
    planned_count = count;
    signals_seen++;
}

static uint32_t stop;

static void *keep_signalling(void *void_thread)
{
    pthread_t *thread = void_thread;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        pthread_kill(*thread, SIGUSR1);
        sched_yield();
    }
    return NULL;
}

/* A handler that interrupts a capture at any instruction gets numbers, and spoils none. */
START_TEST(handlers_get_numbers)
{
    pthread_t self = pthread_self();
    struct sigaction action = {.sa_handler = in_handler};
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    pthread_t other = unit_thread(keep_signalling, &self);
    uint64_t until = unit_ms() + 500;
    for (uintptr_t i = 0; unit_ms() < until || signals_seen < 100; i = (i + 1) % 20000) {
        uint32_t number = stack_of(STACKS + i, 6);
        EXPECT(number != 0 && stack_of(STACKS + i, 6) == number);
    }
    __atomic_store_n(&stop, 1u, __ATOMIC_RELAXED);
    unit_join(other);
}
END_TEST

#if defined(__x86_64__)
enum { TRAP_FLAG = 0x100 };

/* Of one instruction after the other: the one to act at, how many there were. */
static volatile sig_atomic_t stepping, steps, act_at;
static volatile uint32_t number_in_handler;

static void at_step(int number, siginfo_t *info, void *void_context)
{
    ucontext_t *context = void_context;
    (void)number;
    (void)info;
    if (!stepping) {
        context->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
        return;
    }
    context->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
    if (steps++ == act_at)
        number_in_handler = opool__stack_here();
}

/* A new stack, by a capture that is interrupted before instruction number `at` by another one of the same stack. */
static uint32_t capture_interrupted(uintptr_t seed, int at)
{
    for (int i = 0; i < 3; i++)
        planned[i] = (seed + 1) * 64 + (uintptr_t)i;
    planned_count = 3;
    number_in_handler = 0;
    steps = 0;
    act_at = at;
    stepping = 1;
    raise(SIGTRAP);
    uint32_t number = opool__stack_here();
    stepping = 0;
    return number;
}

START_TEST(handlers_agree_with_what_they_interrupt)
{
    struct sigaction action = {.sa_sigaction = at_step, .sa_flags = SA_SIGINFO};
    if (unit_watched())
        return;
    ck_assert_int_eq(sigaction(SIGTRAP, &action, NULL), 0);
    for (int at = 0; at == 0 || at < steps; at++) {
        uint32_t number = capture_interrupted((uintptr_t)at, at);
        EXPECT(number != 0 && number == number_in_handler);
    }
    EXPECT(steps > 50);
}
END_TEST
#else
START_TEST(handlers_agree_with_what_they_interrupt)
{
}
END_TEST
#endif

START_TEST(children_go_on)
{
    uint32_t known = stack_of(1, 5);
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(stack_of(1, 5) == known && stack_of(2, 5) != 0 ? 0 : 1);
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* ---- real stacks ---- */

struct told {
    char text[32768];
    size_t length;
    unsigned lines;
};

static void add_line(void *to, const char *text, size_t length)
{
    struct told *told = to;
    EXPECT(length > 0 && text[length - 1] == '\n' && told->length + length < sizeof told->text);
    memcpy(told->text + told->length, text, length);
    told->length += length;
    told->lines++;
}

static struct told told;

static const char *tell(uint32_t stack)
{
    memset(&told, 0, sizeof told);
    opool__stack_tell(stack, add_line, &told);
    return told.text;
}

static NOINLINE uint32_t inner_function(void)
{
    uint32_t stack = opool__stack_from(__builtin_return_address(0));
    keep = stack;
    return stack;
}

static NOINLINE uint32_t outer_function(void)
{
    uint32_t stack = inner_function();
    keep = stack;
    return stack;
}

START_TEST(lines_name_functions)
{
    uint32_t first = 0;
    for (volatile int i = 0; can_unwind && i < 3; i++) { /* not unrolled: one place */
        uint32_t stack = outer_function();
        EXPECT(stack != 0 && (i == 0 || stack == first));
        first = stack;
    }
    if (!can_unwind)
        return;
    const char *text = tell(first);
    ck_assert_msg(strncmp(text, "    #0 0x", 9) == 0, "%s", text);
    ck_assert_msg(strstr(text, "test_stack+0x") != NULL, "%s", text);
    ck_assert_msg(strstr(text, "(outer_function)\n    #1 0x") != NULL, "%s", text);
    ck_assert_msg(strstr(text, "lines_name_functions") != NULL, "%s", text);
    ck_assert_msg(strstr(text, "inner_function") == NULL, "%s", text);
    EXPECT(told.lines >= 3 && told.lines <= OPOOL__FRAMES_MOST);
}
END_TEST

static int no_mappings(bool (*look)(void *arg, const struct opool__mapping *mapping), void *arg)
{
    (void)look;
    (void)arg;
    return -ENOENT;
}

START_TEST(without_proc_lines_have_addresses)
{
    if (!can_unwind)
        return;
    uint32_t stack = outer_function();
    opool__os.each_mapping = no_mappings;
    const char *text = tell(stack);
    EXPECT(strncmp(text, "    #0 0x", 9) == 0);
    const char *end = strchr(text, '\n');
    EXPECT(end && strncmp(end - 2, " ?", 2) == 0);
}
END_TEST

static struct opool__where where_is(const void *code)
{
    struct opool__where where;
    opool__where((uintptr_t)code, &where);
    return where;
}

START_TEST(names_of_libraries)
{
    void *code = dlsym(RTLD_DEFAULT, "l64a");
    EXPECT(code != NULL);
    struct opool__where where = where_is(code);
    EXPECT(where.file[0] == '/' && where.offset != 0);
    ck_assert_str_eq(where.function, "l64a");
}
END_TEST

static bool count_mapping(void *count, const struct opool__mapping *mapping)
{
    EXPECT(mapping->start < mapping->end);
    ++*(unsigned *)count;
    return true;
}

struct inner {
    bool (*look)(void *arg, const struct opool__mapping *mapping);
    void *arg;
};

static bool hide_files(void *arg, const struct opool__mapping *mapping)
{
    struct inner *inner = arg;
    struct opool__mapping shown = *mapping;
    if (shown.file[0] == '/')
        strcat(shown.file, " (deleted)");
    return inner->look(inner->arg, &shown);
}

static int hidden_mappings(bool (*look)(void *arg, const struct opool__mapping *mapping), void *arg)
{
    struct inner inner = {look, arg};
    return real.each_mapping(hide_files, &inner);
}

/* ---- a small stack, as a signal handler has it ---- */

enum { HANDLER_STACK = 256 << 10 };

static uint32_t told_in_handler;

static void no_line(void *to, const char *text, size_t length)
{
    (void)to;
    (void)text;
    (void)length;
}

static void tell_in_handler(int number)
{
    (void)number;
    if (told_in_handler)
        opool__stack_tell(told_in_handler, no_line, NULL);
}

/* How deep the handler's stack was when it told this one. */
static size_t depth_of_handler(uint32_t stack)
{
    static unsigned char memory[HANDLER_STACK];
    stack_t alternate = {.ss_sp = memory, .ss_size = sizeof memory};
    struct sigaction action = {.sa_handler = tell_in_handler, .sa_flags = SA_ONSTACK};
    size_t untouched = 0;
    memset(memory, 0xa5, sizeof memory);
    told_in_handler = stack;
    ck_assert_int_eq(sigaltstack(&alternate, NULL), 0);
    ck_assert_int_eq(sigaction(SIGUSR2, &action, NULL), 0);
    raise(SIGUSR2);
    while (untouched < sizeof memory && memory[untouched] == 0xa5)
        untouched++;
    return sizeof memory - untouched;
}

START_TEST(handlers_tell_on_a_small_stack)
{
    if (!can_unwind || unit_watched())
        return;
    uint32_t stack = outer_function();
    (void)depth_of_handler(stack); /* the loader's resolver needs much */
    size_t idle = depth_of_handler(0), telling = depth_of_handler(stack);
    ck_assert_msg(telling > idle && telling - idle <= 4096, "%zu bytes", telling - idle);
}
END_TEST

/* What is exported is in memory. */
START_TEST(names_of_files_that_are_gone)
{
    opool__os.each_mapping = hidden_mappings;
    void *code = dlsym(RTLD_DEFAULT, "l64a");
    struct opool__where where = where_is(code);
    EXPECT(strstr(where.file, " (deleted)") && where.offset != 0);
    ck_assert_str_eq(where.function, "l64a");
}
END_TEST

static bool show_as_program(void *arg, const struct opool__mapping *mapping)
{
    struct inner *inner = arg;
    struct opool__mapping shown = *mapping;
    if (strstr(shown.file, "libc."))
        strcpy(shown.file, "/proc/self/exe");
    return inner->look(inner->arg, &shown);
}

static int libc_as_program(bool (*look)(void *arg, const struct opool__mapping *mapping), void *arg)
{
    struct inner inner = {look, arg};
    return real.each_mapping(show_as_program, &inner);
}

/* As in another root, or after an upgrade: another file has that name. */
START_TEST(other_files_are_not_looked_at)
{
    opool__os.each_mapping = libc_as_program;
    ck_assert_str_eq(where_is(dlsym(RTLD_DEFAULT, "l64a")).function, "l64a");
}
END_TEST

/* As in a process that changed its root: what was noted, with names of files that can be opened or not. */
START_TEST(names_by_what_was_noted)
{
    opool__os.each_mapping = opool__modules_each;
    struct opool__where where = where_is(dlsym(RTLD_DEFAULT, "l64a"));
    EXPECT(strstr(where.file, "libc.") && where.offset != 0);
    ck_assert_str_eq(where.function, "l64a");
    where = where_is((void *)(uintptr_t)where_is);
    EXPECT(strstr(where.file, "/test_stack"));
    ck_assert_str_eq(where.function, "where_is");
    EXPECT(where_is(&where).file[0] == 0);
    /* What is loaded later is noted by the next who starts, once. */
    void *library = dlopen("libthread_db.so.1", RTLD_LAZY);
    void *code = library ? dlsym(library, "td_init") : NULL;
    if (!code)
        return;
    EXPECT(where_is(code).file[0] == 0);
    unsigned first = 0, before = 0, after = 0;
    opool__modules_each(count_mapping, &first);
    opool__stack_start();
    EXPECT(strstr(where_is(code).file, "libthread_db."));
    opool__modules_each(count_mapping, &before);
    EXPECT(before <= first + 8); /* segments of one */
    for (int i = 0; i < 300; i++)
        opool__stack_start();
    opool__modules_each(count_mapping, &after);
    EXPECT(before > 8 && after == before);
}
END_TEST

START_TEST(other_memory_is_no_code)
{
    int local = 0;
    char *heap = malloc(100);
    EXPECT(where_is(&local).file[0] == 0);
    EXPECT(where_is(heap).file[0] == 0);
    EXPECT(where_is((void *)16).file[0] == 0);
    EXPECT(where_is((void *)(UINTPTR_MAX - 16)).file[0] == 0);
    EXPECT(where_is(&real).function[0] == 0); /* of a file, but data */
    free(heap);
}
END_TEST

/* Any bytes may be where headers are, in the file as in memory. */
START_TEST(hostile_files)
{
    char path[] = "/tmp/opool_stack_XXXXXX";
    int file = mkstemp(path);
    unsigned char bytes[8192];
    EXPECT(file >= 0);
    FILE *program = fopen("/proc/self/exe", "r");
    EXPECT(program && fread(bytes, 1, sizeof bytes, program) == sizeof bytes);
    fclose(program);
    EXPECT(write(file, bytes, sizeof bytes) == (ssize_t)sizeof bytes);
    unsigned char *map = mmap(NULL, sizeof bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    EXPECT(map != MAP_FAILED);
    uint32_t seed = 1;
    for (int round = 0; round < 20000; round++) {
        memcpy(map, bytes, 1024);
        for (int i = 0; i < 4; i++) {
            seed = seed * 1664525u + 1013904223u;
            map[(seed >> 8) % (i % 2 ? 64 : 1024)] = (unsigned char)(seed >> 24);
        }
        (void)where_is(map + seed % sizeof bytes);
    }
    ck_assert_int_eq(ftruncate(file, 100), 0);
    (void)where_is(map + 4096);
    unlink(path);
    (void)where_is(map + 4096);
    munmap(map, sizeof bytes);
    close(file);
}
END_TEST

/* ---- a fork while somebody starts ---- */

static uint32_t shared_asked, shared_answered; /* times that a planned unwinder was entered and left */

static void await(const uint32_t *count, uint32_t value)
{
    while (__atomic_load_n(count, __ATOMIC_SEQ_CST) < value)
        usleep(100);
}

static int slow_unwind(void **frames, int most)
{
    __atomic_fetch_add(&shared_asked, 1, __ATOMIC_SEQ_CST);
    await(&shared_asked, 2); /* both at once: neither waits for the other */
    usleep(50000);
    __atomic_fetch_add(&shared_answered, 1, __ATOMIC_SEQ_CST);
    return planned_unwind(frames, most);
}

static void note_asked(void)
{
    __atomic_fetch_add(&shared_asked, 1, __ATOMIC_SEQ_CST);
}

static void *start_slowly(void *unused)
{
    (void)unused;
    planned_count = 1;
    opool__stack_start();
    return NULL;
}

START_TEST(forks_wait_for_the_loader_and_it_for_forks)
{
    pthread_t first, second, third;
    opool__os.unwind = slow_unwind;
    ck_assert_int_eq(pthread_create(&first, NULL, start_slowly, NULL), 0);
    ck_assert_int_eq(pthread_create(&second, NULL, start_slowly, NULL), 0);
    await(&shared_asked, 2);
    opool__loader_fork_prepare();
    ck_assert_uint_eq(__atomic_load_n(&shared_answered, __ATOMIC_SEQ_CST), 2);
    uint32_t asked = __atomic_load_n(&shared_asked, __ATOMIC_SEQ_CST);
    opool__os.note_modules = note_asked;
    ck_assert_int_eq(pthread_create(&third, NULL, start_slowly, NULL), 0);
    usleep(20000);
    ck_assert_uint_eq(__atomic_load_n(&shared_asked, __ATOMIC_SEQ_CST), asked);
    opool__loader_fork_parent();
    await(&shared_asked, asked + 1);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    pthread_join(third, NULL);
}
END_TEST

static Suite *all(void)
{
    Suite *suite = suite_create("stack");
    TCase *tests = unit_case(suite, "numbers");
    tcase_add_checked_fixture(tests, setup_planned, NULL);
    tcase_add_test(tests, equal_stacks_have_one_number);
    tcase_add_test(tests, frames_are_inside_the_calls_and_bounded);
    tcase_add_test(tests, a_caller_is_the_first_frame);
    tcase_add_test(tests, a_full_store_has_no_more_numbers);
    tcase_add_test(tests, threads_agree);
    tcase_add_test(tests, handlers_get_numbers);
    tcase_add_test(tests, handlers_agree_with_what_they_interrupt);
    tcase_add_test(tests, children_go_on);
    tests = unit_case(suite, "own frames");
    tcase_add_checked_fixture(tests, setup_own, NULL);
    tcase_add_test(tests, own_frames_are_left_out);
    tests = unit_case(suite, "depth");
    tcase_add_loop_test(tests, as_many_frames_as_asked_for, 0, 7);
    tests = unit_case(suite, "refusals");
    tcase_add_loop_test(tests, no_memory_is_no_stack, 0, 2);
    tcase_add_test(tests, no_unwinder_is_no_stack);
    tcase_add_test(tests, forks_wait_for_the_loader_and_it_for_forks);
    tests = unit_case(suite, "lines");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, lines_name_functions);
    tcase_add_test(tests, without_proc_lines_have_addresses);
    tcase_add_test(tests, handlers_tell_on_a_small_stack);
    tcase_add_test(tests, names_of_libraries);
    tcase_add_test(tests, names_of_files_that_are_gone);
    tcase_add_test(tests, other_files_are_not_looked_at);
    tcase_add_test(tests, names_by_what_was_noted);
    tcase_add_test(tests, other_memory_is_no_code);
    tcase_add_test(tests, hostile_files);
    return suite;
}

int main(void)
{
    return unit_main(all());
}
