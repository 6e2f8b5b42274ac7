/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <dlfcn.h>
#include <sys/stat.h>

#include "check/leaks.h"
#include "check/stack.h"
#include "check/suppress.h"
#include "os/os.h"
#include "os/unwind.h"

/* The leak report on objects that the tests make up; each test in a child, as the environment is read once. */

static const struct opool__label conn = {"conn", "struct conn", OPOOL_CHECKS_FULL, NULL},
                                 job = {"job", "struct job", OPOOL_CHECKS_FULL, NULL};

/* ---- call stacks as a test wants them ---- */

static uintptr_t planned[OPOOL__FRAMES_MOST];
static int planned_count;

static int planned_unwind(void **frames, int most)
{
    int n = planned_count < most ? planned_count : most;
    for (int i = 0; i < n; i++)
        frames[i] = (void *)planned[i];
    return n;
}

/* A return address in a function. */
static uint32_t stack_in(const void *function)
{
    planned[0] = (uintptr_t)function + 1;
    return opool__stack_here();
}

static void setup(void)
{
    planned_count = 1;
    opool__os.unwind = planned_unwind;
    opool__stack_start();
}

/* ---- what is told ---- */

static void add(struct opool__leaks *leaks, const struct opool__label *label, uint32_t stack, size_t bytes,
                uint64_t time, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        opool__leaks_add(leaks, label, stack, bytes, time + i);
}

/* Without lines of frames. */
static const char *without_frames(char *text)
{
    char *to = text;
    for (char *line = text, *next; *line; line = next) {
        next = line + strcspn(line, "\n") + 1;
        if (strncmp(line, "opool:     #", 12) != 0) {
            memmove(to, line, (size_t)(next - line));
            to += next - line;
        }
    }
    *to = 0;
    return text;
}

static void tell_some(void *at_exit)
{
    struct opool__leaks leaks;
    uint32_t here = stack_in((void *)(uintptr_t)tell_some), there = stack_in((void *)(uintptr_t)add);
    opool__leaks_begin(&leaks);
    add(&leaks, &conn, here, 256, 1000, 3);
    add(&leaks, &job, here, 1, 500, 1);
    add(&leaks, &conn, 0, 256, 700, 1);
    add(&leaks, &conn, there, 256, 2000, 2);
    add(&leaks, &conn, there, 256, 600, 2);
    add(&leaks, &job, there, 2, 600, 1);
    EXPECT(opool__leaks_tell(&leaks, at_exit != NULL) == 10);
    EXPECT(leaks.memory == NULL);
}

#define SOME \
    "opool: pool 'job' (struct job): 1 object, 1 byte, never put; got at:\n" \
    "opool: pool 'conn' (struct conn): 4 objects, 1024 bytes, never put; got at:\n" \
    "opool: pool 'job' (struct job): 1 object, 2 bytes, never put; got at:\n" \
    "opool: pool 'conn' (struct conn): 1 object, 256 bytes, never put; where they were got is not known\n" \
    "opool: pool 'conn' (struct conn): 3 objects, 768 bytes, never put; got at:\n" \
    "opool: never put: 10 objects, 2051 bytes, got at 5 places\n"

START_TEST(told_by_pool_and_stack_oldest_first)
{
    struct unit_child child = unit_in_child(tell_some, NULL);
    ck_assert_msg(unit_succeeded(&child), "%s", child.said);
    EXPECT(strstr(child.said, "got at:\nopool:     #0 0x") && strstr(child.said, "(tell_some)\n"));
    ck_assert_str_eq(without_frames(child.said), SOME);
}
END_TEST

static char logged[4096];

static void log_line(const char *line, void *arg UNIT_UNUSED)
{
    strncat(logged, line, sizeof logged - strlen(logged) - 2);
    strcat(logged, "\n");
}

static void tell_to_log(void *at_exit)
{
    opool__log_set(log_line, NULL);
    tell_some(at_exit);
    EXPECT(strcmp(without_frames(logged), at_exit ? "" : SOME) == 0);
}

START_TEST(told_to_the_callback_but_at_exit)
{
    struct unit_child child = unit_in_child(tell_to_log, NULL);
    EXPECT(unit_succeeded(&child) && !*child.said);
    child = unit_in_child(tell_to_log, &logged);
    EXPECT(unit_succeeded(&child));
    ck_assert_str_eq(without_frames(child.said), SOME);
}
END_TEST

static void tell_nothing(void *unused UNIT_UNUSED)
{
    struct opool__leaks leaks;
    opool__leaks_begin(&leaks);
    EXPECT(opool__leaks_tell(&leaks, true) == 0);
}

static int refuse(void *at, size_t bytes)
{
    (void)at;
    (void)bytes;
    return -ENOMEM;
}

static void tell_without_memory(void *unused UNIT_UNUSED)
{
    opool__os.commit = refuse;
    tell_some(NULL);
}

START_TEST(nothing_and_no_memory)
{
    struct unit_child child = unit_in_child(tell_nothing, NULL);
    EXPECT(unit_succeeded(&child) && !*child.said);
    child = unit_in_child(tell_without_memory, NULL);
    EXPECT(unit_succeeded(&child));
    ck_assert_str_eq(child.said, "opool: never put: 10 objects, 2051 bytes\n");
}
END_TEST

/* ---- many ---- */

static struct {
    unsigned messages, heads;
    size_t last;
    char rest[1024];
} many;

/* Bytes are the time here. */
static void count_line(const char *line, void *arg UNIT_UNUSED)
{
    const char *objects = strstr(line, ": 1 object, ");
    many.messages++;
    if (!strstr(line, "not known")) {
        strcat(strcat(many.rest, line), "\n");
        return;
    }
    size_t bytes = strtoull(objects + strlen(": 1 object, "), NULL, 10);
    EXPECT(bytes > many.last);
    many.last = bytes;
    many.heads++;
}

static void tell_many(void *void_groups)
{
    uint32_t groups = *(uint32_t *)void_groups;
    static struct opool__label labels[70000];
    struct opool__leaks leaks;
    opool__log_set(count_line, NULL);
    opool__leaks_begin(&leaks);
    /* 1 to `groups`, each once, out of order. */
    for (uint64_t i = 0, at = 0; i < groups; i++) {
        at = (at + 7919) % groups;
        labels[i] = conn;
        opool__leaks_add(&leaks, &labels[i], 0, at + 1, at + 1);
    }
    EXPECT(opool__leaks_tell(&leaks, false) == groups);
    fputs(many.rest, stderr);
    fprintf(stderr, "%u", many.heads);
}

START_TEST(many_are_summed_up)
{
    static const struct {
        uint32_t groups;
        const char *said;
    } cases[] = {
        {999, "opool: never put: 999 objects, 499500 bytes, got at 999 places\n999"},
        {1000, "opool: never put: 1000 objects, 500500 bytes, got at 1000 places\n1000"},
        {1001, "opool: never put, and got later than these: 1 object, 1001 bytes, got at 1 place\n"
               "opool: never put: 1001 objects, 501501 bytes, got at 1001 places\n1000"},
        /* Those that had no room in the table count as objects, not as places. */
        {70000, "opool: never put, and got later than these: 69000 objects, "},
    };
    struct unit_child child = unit_in_child(tell_many, (void *)(uintptr_t)&cases[_i].groups);
    ck_assert_msg(unit_succeeded(&child), "%s", child.said);
    if (cases[_i].groups < 2000)
        ck_assert_str_eq(child.said, cases[_i].said);
    else
        ck_assert_msg(strncmp(child.said, cases[_i].said, strlen(cases[_i].said)) == 0, "%s", child.said);
}
END_TEST

/* ---- OPOOL_LEAKS ---- */

/* One of each pool, got in two functions of this program and one of a library. */
static void tell_three(void *leaks_value)
{
    struct opool__leaks leaks;
    uint32_t here = stack_in((void *)(uintptr_t)tell_three), there = stack_in((void *)(uintptr_t)add);
    uint32_t libc = stack_in(dlsym(RTLD_DEFAULT, "l64a"));
    setenv("OPOOL_LEAKS", leaks_value, 1);
    opool__suppress_start();
    opool__leaks_begin(&leaks);
    add(&leaks, &conn, here, 100, 1, 1);
    add(&leaks, &job, there, 10, 2, 1);
    add(&leaks, &job, libc, 1, 3, 1);
    opool__leaks_tell(&leaks, true);
    _exit(opool__suppress_exit_code());
}

/* The sums that were told, and those left out; what is said of the value itself. */
static const struct {
    const char *value;
    int told, left_out;
    const char *said;
    int status;
} values[] = {
    {"", 111, 0, "", 0},
    {",,", 111, 0, "", 0},
    {"off", 0, 0, "", 0},
    {"exitcode=23", 111, 0, "", 23},
    {"off,exitcode=23", 0, 0, "", 23},
    {"exitcode=256", 111, 0, "opool: OPOOL_LEAKS: 'exitcode=256' is no exit status from 1 to 255: ignored\n", 0},
    {"exitcode=", 111, 0, "opool: OPOOL_LEAKS: 'exitcode=' is no exit status from 1 to 255: ignored\n", 0},
    {"exitcode=1x", 111, 0, "opool: OPOOL_LEAKS: 'exitcode=1x' is no exit status from 1 to 255: ignored\n", 0},
    {"conn", 11, 100, "", 0},
    {"con", 111, 0, "", 0},
    {"con?,exitcode=3", 11, 100, "", 3},
    {" con? , exitcode=3 ", 11, 100, "", 3},
    {"pool:j[no]b", 100, 11, "", 0},
    {"function:conn", 111, 0, "", 0},
    {"file:conn", 111, 0, "", 0},
    {"tell_*", 11, 100, "", 0},
    {"function:tell_three,function:l64a", 10, 101, "", 0},
    {"pool:tell_three", 111, 0, "", 0},
    {"file:libc.so.*", 110, 1, "", 0},
    {"libc.so*", 110, 1, "", 0},
    {"file:*/test_leaks", 1, 110, "", 0},
    {"*", 0, 111, "", 0},
    {"[", 111, 0, "", 0},
    {"/nowhere/at/all", 111, 0, "opool: OPOOL_LEAKS: '/nowhere/at/all' can not be read: ignored\n", 0},
    {"/proc", 111, 0, "opool: OPOOL_LEAKS: '/proc' can not be read: ignored\n", 0},
    {"./nowhere,conn", 11, 100, "opool: OPOOL_LEAKS: './nowhere' can not be read: ignored\n", 0},
};

static int sum_behind(const char *text, const char *words)
{
    const char *line = strstr(text, words), *comma = line ? strchr(line + strlen(words), ',') : NULL;
    return comma ? (int)strtol(comma + 1, NULL, 10) : 0;
}

static void expect_sums(const struct unit_child *child, const char *value, int told, int left_out)
{
    ck_assert_msg(WIFEXITED(child->status), "%s: %s", value, child->said);
    int said = sum_behind(child->said, "opool: never put: "), out = sum_behind(child->said, "as OPOOL_LEAKS says: ");
    ck_assert_msg(said == told && out == left_out, "%s: %d told, %d left out: %s", value, said, out, child->said);
}

START_TEST(values_of_the_variable)
{
    struct unit_child child = unit_in_child(tell_three, (void *)(uintptr_t)values[_i].value);
    expect_sums(&child, values[_i].value, values[_i].told, values[_i].left_out);
    ck_assert_int_eq(WEXITSTATUS(child.status), values[_i].status);
    ck_assert_msg(strncmp(child.said, values[_i].said, strlen(values[_i].said)) == 0, "%s", child.said);
    ck_assert_int_eq(strstr(child.said, "ignored\n") != NULL, values[_i].said[0] != 0);
}
END_TEST

static char path[] = "/tmp/opool_leaks_XXXXXX";

static void write_file(const char *text, size_t length)
{
    strcpy(path, "/tmp/opool_leaks_XXXXXX");
    int file = mkstemp(path);
    EXPECT(file >= 0 && write(file, text, length) == (ssize_t)length);
    close(file);
}

static const struct {
    const char *text;
    int told;
} files[] = {
    {"", 111},
    {"\n\n", 111},
    {"# conn\n", 111},
    {"conn", 11},
    {"  pool:conn \r\n\n#job\n", 11},
    {"function:add\nlibc.so*\n", 100},
    {"off\n", 111}, /* a pattern, in a file */
    {"/nowhere\n", 111},
};

START_TEST(files_of_patterns)
{
    char value[100];
    write_file(files[_i].text, strlen(files[_i].text));
    snprintf(value, sizeof value, "function:nothing,%s", path);
    struct unit_child child = unit_in_child(tell_three, value);
    unlink(path);
    expect_sums(&child, files[_i].text, files[_i].told, 111 - files[_i].told);
    EXPECT(!strstr(child.said, "ignored"));
}
END_TEST

START_TEST(files_too_large)
{
    static char text[70000];
    memset(text, _i == 2 ? '\n' : '*', sizeof text);
    for (int i = 0; _i == 2 && i < 2000; i++)
        text[2 * i] = 'x';
    write_file(text, _i == 0 ? sizeof text : _i == 1 ? 60000 : 20000);
    struct unit_child child = unit_in_child(tell_three, path);
    unlink(path);
    expect_sums(&child, "large", _i == 1 ? 0 : 111, _i == 1 ? 111 : 0);
    EXPECT((strstr(child.said, "is too large: ignored") != NULL) == (_i == 0));
    EXPECT((strstr(child.said, "'x' is one pattern too many, like all behind it: ignored") != NULL) == (_i == 2));
}
END_TEST

/* The second file's text does not take the first one's place. */
START_TEST(two_files_and_a_word)
{
    char first[sizeof path], value[3 * sizeof path];
    write_file("tell_three\n", 11);
    strcpy(first, path);
    write_file("libc.so*\n", 9);
    snprintf(value, sizeof value, "%s,%s,pool:nothing", first, path);
    struct unit_child child = unit_in_child(tell_three, value);
    unlink(first);
    unlink(path);
    expect_sums(&child, value, 10, 101);
}
END_TEST

START_TEST(values_too_long)
{
    static char value[70000];
    memset(value, 'x', sizeof value - 1);
    memcpy(value, "conn,", 5);
    struct unit_child child = unit_in_child(tell_three, value);
    expect_sums(&child, "long", 111, 0);
    EXPECT(strstr(child.said, "is too long: ignored") != NULL);
}
END_TEST

START_TEST(pipes_are_not_waited_for)
{
    write_file("", 0);
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    struct unit_child child = unit_in_child(tell_three, path);
    unlink(path);
    EXPECT(strstr(child.said, "can not be read: ignored") != NULL);
}
END_TEST

static Suite *all(void)
{
    Suite *suite = suite_create("leaks");
    TCase *tests = unit_case(suite, "report");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, told_by_pool_and_stack_oldest_first);
    tcase_add_test(tests, told_to_the_callback_but_at_exit);
    tcase_add_test(tests, nothing_and_no_memory);
    tcase_add_loop_test(tests, many_are_summed_up, 0, 4);
    tests = unit_case(suite, "suppression");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_loop_test(tests, values_of_the_variable, 0, (int)UNIT_LENGTH(values));
    tcase_add_loop_test(tests, files_of_patterns, 0, (int)UNIT_LENGTH(files));
    tcase_add_loop_test(tests, files_too_large, 0, 3);
    tcase_add_test(tests, two_files_and_a_word);
    tcase_add_test(tests, values_too_long);
    tcase_add_test(tests, pipes_are_not_waited_for);
    return suite;
}

int main(void)
{
    return unit_main(all());
}
