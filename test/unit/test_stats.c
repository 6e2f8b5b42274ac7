/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <fcntl.h>

#include "api/pool.h"
#include "opool/epoch.h"
#include "opool/stats.h"
#include "os/os.h"

#define LONG_NAME \
    "a name that is longer than the eighty bytes that are kept of it, so that its end is cut off somewhere"

static const struct opool_type plain = {
    .name = "plain", .type = "struct plain", .shape = OPOOL_SHAPE_TRUSTED("a test"), .size = 64, .align = 8};

/* Quotes, backslashes, newlines, controls, what is no UTF-8, what is: all legal names. */
static const char *const hostile[] = {"quote\"d",         "back\\slash",   "new\nline", "tab\tand\x01",
                                      "high\x80\xff\xfe", "\xc3\xbcmlaut", "",          "} 1\n# EOF",
                                      LONG_NAME,          "{a=\"b\"} %s%n"};

static const struct {
    const char *name, *unit, *help;
    bool counter;
} rows[] = {
#define OPOOL_COUNTER(name, unit, help) {#name, #unit, help, true},
#define OPOOL_GAUGE(name, unit, help) {#name, #unit, help, false},
#include "opool/counters.def"
#undef OPOOL_COUNTER
#undef OPOOL_GAUGE
};

static struct opool *pools[UNIT_LENGTH(hostile)];

static struct opool *create(const char *name, size_t capacity)
{
    struct opool *pool;
    struct opool_options options = {.name = name, .capacity = capacity};
    ck_assert_int_eq(opool_create(&pool, &plain, &options), 0);
    return pool;
}

static void create_hostile(void)
{
    for (size_t i = 0; i < UNIT_LENGTH(hostile); i++) {
        pools[i] = create(hostile[i], 0);
        void *object = opool_get(pools[i]);
        EXPECT(object != NULL);
        for (size_t k = 0; k < i; k++)
            opool_put(pools[i], opool_get(pools[i]));
    }
}

static struct opool_stats read_stats(struct opool *pool)
{
    struct opool_stats stats;
    ck_assert_int_eq(opool_stats_read(pool, &stats), 0);
    return stats;
}

/* When no call is in progress. */
static void check_equations(struct opool *pool)
{
    struct opool_stats s = read_stats(pool);
    uint64_t idle = s.idle_thread + s.idle_depot + s.idle_victim;
    ck_assert_uint_eq(s.slots, s.live + idle + s.slots_free);
    ck_assert_uint_eq(s.built, s.torn_down + s.live + idle);
    ck_assert_uint_eq(s.gets, s.puts + s.live);
    ck_assert_uint_le(s.hits, s.gets);
    ck_assert_uint_ge(s.live_peak, s.live);
    ck_assert_uint_eq(s.live_bytes, s.live * 64);
    ck_assert_uint_eq(s.idle_bytes, idle * 64);
    ck_assert_uint_eq(s.slack_bytes, s.slots_free * 64);
}

static char *write_all(enum opool_format format)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(opool_stats_write(out, format), 0);
    fclose(out);
    ck_assert_uint_eq(strlen(text), size); /* no NUL inside */
    return text;
}

/* Lines of the text, without their newline; returns NULL after the last. */
static char *next_line(char **rest)
{
    char *line = *rest, *end = strchr(line, '\n');
    if (!*line)
        return NULL;
    ck_assert_msg(end != NULL, "no newline at the end");
    *end = '\0';
    *rest = end + 1;
    return line;
}

/* ---- text ---- */

START_TEST(text_has_a_line_a_pool)
{
    static const char *const columns[] = {"POOL", "BYTES", "LIVE",  "PEAK",      "IDLE",  "SLOTS",
                                          "GETS", "HIT%",  "BUILT", "DISCARDED", "FAILS", "RESIDENT"};
    struct opool *pool = create("words", 2);
    void *objects[2] = {opool_get(pool), opool_get(pool)};
    EXPECT(opool_get(pool) == NULL);
    opool_discard(pool, objects[0]);
    char *text = write_all(OPOOL_TEXT), *rest = text, *header = next_line(&rest), *at = header;
    for (size_t i = 0; i < UNIT_LENGTH(columns); i++) {
        at = strstr(at, columns[i]);
        ck_assert_msg(at != NULL, "no column %s in '%s'", columns[i], header);
    }
    unsigned long size, live, peak, idle, slots, gets, built, discarded, fails, resident;
    double hit;
    ck_assert_int_eq(sscanf(next_line(&rest), "words %lu %lu %lu %lu %lu %lu %lf%% %lu %lu %lu %lu", &size, &live,
                            &peak, &idle, &slots, &gets, &hit, &built, &discarded, &fails, &resident),
                     11);
    struct opool_stats s = read_stats(pool);
    ck_assert(size == 64 && live == 1 && peak == 2 && idle == 0 && gets == 2 && built == 2);
    ck_assert(slots == s.slots && resident == s.resident_bytes && discarded == 1 && fails == 1);
    ck_assert_ptr_null(next_line(&rest));
    free(text);
}
END_TEST

START_TEST(text_of_hostile_names_has_a_line_a_pool)
{
    create_hostile();
    char *text = write_all(OPOOL_TEXT), *rest = text;
    size_t lines = 0;
    while (next_line(&rest))
        lines++;
    ck_assert_uint_eq(lines, 1 + UNIT_LENGTH(hostile));
    free(text);
}
END_TEST

START_TEST(no_pools_are_no_error)
{
    for (unsigned format = OPOOL_TEXT; format <= OPOOL_OPENMETRICS; format++)
        free(write_all((enum opool_format)format));
}
END_TEST

/* ---- JSON ---- */

/* What jq says to the text with this filter; NULL: there is no jq here. */
static char *ask_jq(const char *text, const char *filter)
{
    char command[2048], *answer = calloc(1, 65536);
    snprintf(command, sizeof command, "jq -rj '%s' 2>&1", filter);
    if (system("command -v jq >/dev/null 2>&1") != 0) {
        free(answer);
        return NULL;
    }
    char name[] = "/tmp/test_stats_XXXXXX";
    int file = mkstemp(name);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
    strcat(command, " <");
    strcat(command, name);
    FILE *jq = popen(command, "r");
    ck_assert_ptr_nonnull(jq);
    (void)!fread(answer, 1, 65535, jq);
    int status = pclose(jq);
    unlink(name);
    ck_assert_msg(status == 0, "jq '%s': %s", filter, answer);
    return answer;
}

/* Names come back as they are, if each byte is taken for a letter of Latin-1. */
static void expect_name(const char *text, size_t i)
{
    char filter[128], expected[4096] = "";
    char *answer;
    snprintf(filter, sizeof filter, ".pools[%zu].name|explode|map(tostring)|join(\" \")", i);
    if ((answer = ask_jq(text, filter)) == NULL)
        return;
    const unsigned char *name = (const unsigned char *)hostile[i];
    for (size_t k = 0; name[k] && k < OPOOL__NAME_MOST - 1; k++)
        snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%s%u", k ? " " : "", name[k]);
    ck_assert_str_eq(answer, expected);
    free(answer);
}

START_TEST(json_parses_and_tells_all_rows)
{
    create_hostile();
    char *text = write_all(OPOOL_JSON);
    for (const char *c = text; *c; c++)
        EXPECT((*c >= 0x20 && *c < 0x7f) || *c == '\n');
    for (size_t i = 0; i < UNIT_LENGTH(hostile); i++)
        expect_name(text, i);
    char *answer = ask_jq(text, ".opool + \" \" + (.pools|length|tostring)");
    if (answer)
        ck_assert_str_eq(answer, OPOOL_VERSION " 10");
    free(answer);
    answer = ask_jq(text, ".pools|map(.id)|unique|length");
    if (answer)
        ck_assert_str_eq(answer, "10");
    free(answer);
    free(text);
}
END_TEST

START_TEST(json_values_are_those_of_stats_read)
{
    struct opool *pool = create("one", 0);
    void *objects[300];
    ck_assert_uint_eq(opool_get_batch(pool, objects, 300), 300);
    opool_put_batch(pool, objects, 200);
    struct opool_stats stats = read_stats(pool);
    const uint64_t *values = (const uint64_t *)(const void *)&stats;
    char *text = write_all(OPOOL_JSON);
    for (size_t r = 0; r < UNIT_LENGTH(rows); r++) {
        char expected[128];
        snprintf(expected, sizeof expected, "\"%s\": %llu%s", rows[r].name, (unsigned long long)values[r],
                 r + 1 < UNIT_LENGTH(rows) ? "," : "}");
        ck_assert_msg(strstr(text, expected) != NULL, "no %s in %s", expected, text);
    }
    char *answer = ask_jq(text, ".pools[0]|\"\\(.name) \\(.type) \\(.size) \\(.gets) \\(.live)\"");
    if (answer)
        ck_assert_str_eq(answer, "one struct plain 64 300 100");
    free(answer);
    free(text);
}
END_TEST

/* ---- OpenMetrics ---- */

/* A name of the label's value: escapes are \\, \" and \n, and nothing below a blank stands there. */
static const char *skip_label_value(const char *at)
{
    EXPECT(*at == '"');
    for (at++; *at != '"'; at++) {
        EXPECT((unsigned char)*at >= 0x20 && (unsigned char)*at < 0x7f);
        if (*at == '\\') {
            at++;
            EXPECT(*at == '\\' || *at == '"' || *at == 'n');
        }
    }
    return at + 1;
}

static void check_sample(const char *line, size_t row)
{
    char start[96];
    snprintf(start, sizeof start, "opool_pool_%s%s{pool=", rows[row].name, rows[row].counter ? "_total" : "");
    ck_assert_msg(strncmp(line, start, strlen(start)) == 0, "'%s' does not start with '%s'", line, start);
    const char *at = skip_label_value(line + strlen(start));
    ck_assert_msg(strncmp(at, ",id=", 4) == 0, "'%s'", line);
    at = skip_label_value(at + 4);
    ck_assert_msg(strncmp(at, "} ", 2) == 0, "'%s'", line);
    at += 2;
    size_t digits = strspn(at, "0123456789");
    ck_assert_msg(digits > 0 && at[digits] == '\0', "'%s'", line);
}

static void check_meta(char **rest, size_t row)
{
    char expected[256];
    snprintf(expected, sizeof expected, "# TYPE opool_pool_%s %s", rows[row].name,
             rows[row].counter ? "counter" : "gauge");
    ck_assert_str_eq(next_line(rest), expected);
    if (strcmp(rows[row].unit, "bytes") == 0) {
        /* A unit must be the suffix of the family's name. */
        ck_assert_str_eq(rows[row].name + strlen(rows[row].name) - 6, "_bytes");
        snprintf(expected, sizeof expected, "# UNIT opool_pool_%s bytes", rows[row].name);
        ck_assert_str_eq(next_line(rest), expected);
    }
    snprintf(expected, sizeof expected, "# HELP opool_pool_%s %s", rows[row].name, rows[row].help);
    ck_assert_str_eq(next_line(rest), expected);
    ck_assert_ptr_null(strpbrk(rows[row].help, "\\\n\""));
    ck_assert_uint_eq(strspn(rows[row].name, "abcdefghijklmnopqrstuvwxyz_"), strlen(rows[row].name));
}

/* Each family once, its metadata first, then all of its samples; the end is marked. */
START_TEST(openmetrics_follows_its_grammar)
{
    create_hostile();
    char *text = write_all(OPOOL_OPENMETRICS), *rest = text;
    for (size_t r = 0; r < UNIT_LENGTH(rows); r++) {
        check_meta(&rest, r);
        for (size_t i = 0; i < UNIT_LENGTH(hostile); i++)
            check_sample(next_line(&rest), r);
    }
    ck_assert_str_eq(next_line(&rest), "# EOF");
    ck_assert_ptr_null(next_line(&rest));
    free(text);
}
END_TEST

START_TEST(openmetrics_escapes_labels)
{
    create_hostile();
    char *text = write_all(OPOOL_OPENMETRICS);
    ck_assert_ptr_nonnull(strstr(text, "{pool=\"quote\\\"d\",id="));
    ck_assert_ptr_nonnull(strstr(text, "{pool=\"back\\\\slash\",id="));
    ck_assert_ptr_nonnull(strstr(text, "{pool=\"new\\nline\",id="));
    ck_assert_ptr_nonnull(strstr(text, "{pool=\"\",id="));
    ck_assert_ptr_nonnull(strstr(text, "{pool=\"} 1\\n# EOF\",id="));
    free(text);
}
END_TEST

START_TEST(samples_of_one_family_differ_in_their_labels)
{
    (void)create("same", 0);
    (void)create("same", 0);
    char *text = write_all(OPOOL_OPENMETRICS), *rest = text, first[128] = "";
    for (char *line; (line = next_line(&rest)) != NULL;) {
        if (strncmp(line, "opool_pool_gets_total", 21) != 0)
            continue;
        ck_assert_str_ne(line, first);
        snprintf(first, sizeof first, "%s", line);
    }
    ck_assert_str_ne(first, "");
    free(text);
}
END_TEST

/* ---- streams and arguments ---- */

START_TEST(failed_streams_are_told)
{
    for (unsigned format = OPOOL_TEXT; format <= OPOOL_OPENMETRICS; format++) {
        FILE *full = fopen("/dev/full", "w");
        if (full) {
            ck_assert_int_eq(opool_stats_write(full, (enum opool_format)format), -ENOSPC);
            fclose(full);
        }
        FILE *closed = fopen("/dev/null", "w");
        close(fileno(closed));
        ck_assert_int_eq(opool_stats_write(closed, (enum opool_format)format), -EBADF);
        fclose(closed);
        FILE *reading = fopen("/dev/null", "r");
        ck_assert_int_lt(opool_stats_write(reading, (enum opool_format)format), 0);
        fclose(reading);
    }
}
END_TEST

START_TEST(senseless_arguments_are_refused)
{
    struct opool_stats stats;
    struct opool *pool = create("x", 0);
    ck_assert_int_eq(opool_stats_read(NULL, &stats), -EINVAL);
    ck_assert_int_eq(opool_stats_read(pool, NULL), -EINVAL);
    ck_assert_int_eq(opool_stats_write(NULL, OPOOL_TEXT), -EINVAL);
    ck_assert_int_eq(opool_stats_write(stdout, (enum opool_format)(OPOOL_OPENMETRICS + 1)), -EINVAL);
    ck_assert_int_eq(opool_stats_write(stdout, (enum opool_format) - 1), -EINVAL);
    struct opool *stale = pool;
    opool_destroy(&pool);
    ck_assert_int_eq(opool_stats_read(stale, &stats), -EINVAL);
}
END_TEST

/* A program compiled against a header with fewer, or more, rows. */
START_TEST(structs_of_another_size)
{
    struct opool *pool = create("x", 0);
    (void)opool_get(pool);
    struct opool_stats whole = read_stats(pool);
    unsigned char buffer[sizeof whole + 64];
    for (size_t size = 0; size <= sizeof buffer; size += 8) {
        memset(buffer, 0xa5, sizeof buffer);
        EXPECT(opool__stats_read(pool, (struct opool_stats *)(void *)buffer, size) == 0);
        size_t known = size < sizeof whole ? size : sizeof whole;
        EXPECT(memcmp(buffer, &whole, known) == 0);
        EXPECT(unit_is_filled(buffer + known, 0, size - known)); /* rows that this library does not know */
        EXPECT(unit_is_filled(buffer + size, 0xa5, sizeof buffer - size));
    }
#undef opool_stats_read
    memset(buffer, 0xa5, sizeof buffer);
    ck_assert_int_eq(opool_stats_read(pool, (struct opool_stats *)(void *)buffer), 0);
    ck_assert_int_eq(memcmp(buffer, &whole, sizeof whole), 0);
#define opool_stats_read(pool, out) opool__stats_read((pool), (out), sizeof(struct opool_stats))
}
END_TEST

START_TEST(every_row_is_a_member_in_its_place)
{
    ck_assert_uint_eq(sizeof(struct opool_stats), UNIT_LENGTH(rows) * sizeof(uint64_t));
    for (size_t r = 0; r < UNIT_LENGTH(rows); r++)
        ck_assert_msg(strcmp(rows[r].unit, "objects") == 0 || strcmp(rows[r].unit, "bytes") == 0 ||
                          strcmp(rows[r].unit, "events") == 0 || strcmp(rows[r].unit, "flag") == 0,
                      "%s: unit %s", rows[r].name, rows[r].unit);
}
END_TEST

START_TEST(walk_finds_every_pool_once)
{
    create_hostile();
    opool_destroy(&pools[3]);
    size_t found = 0;
    for (struct opool *pool = NULL; (pool = opool_next(pool)) != NULL; found++) {
        size_t i = found < 3 ? found : found + 1;
        ck_assert_ptr_eq(pool, pools[i]);
        ck_assert_int_eq(strncmp(opool_name(pool), hostile[i], OPOOL__NAME_MOST - 1), 0);
    }
    ck_assert_uint_eq(found, UNIT_LENGTH(hostile) - 1);
    ck_assert_str_eq(opool_name(NULL), "NULL");
}
END_TEST

/* ---- equations ---- */

static int fail_some(void *object UNIT_UNUSED, void *calls)
{
    return ++*(unsigned *)calls % 7 == 0 ? EMFILE : 0;
}

static bool refuse_some(void *object, void *calls UNIT_UNUSED)
{
    return ++*(unsigned *)object % 5 != 0;
}

START_TEST(figures_count_each_event)
{
    unsigned calls = 0;
    struct opool_type type = plain;
    struct opool_options options = {.capacity = 4, .arg = &calls};
    struct opool *pool;
    void *objects[4];
    type.init = fail_some;
    type.reset = refuse_some;
    ck_assert_int_eq(opool_create(&pool, &type, &options), 0);
    ck_assert_uint_eq(opool_get_batch(pool, objects, 4), 4);
    ck_assert_ptr_null(opool_get(pool));
    ck_assert_int_eq(errno, EAGAIN);
    opool_discard(pool, objects[3]); /* built: 4, calls of init: 4 */
    for (int i = 0; i < 3; i++) {
        objects[3] = opool_get(pool);
        if (objects[3])
            opool_discard(pool, objects[3]);
        else
            ck_assert_int_eq(errno, EMFILE); /* call 7 */
        check_equations(pool);
    }
    for (int i = 0; i < 5; i++) { /* the fifth reset says no */
        opool_put(pool, objects[0]);
        objects[0] = i < 4 ? opool_get(pool) : NULL;
        check_equations(pool);
    }
    struct opool_stats s = read_stats(pool);
    ck_assert_uint_eq(s.capacity_fails, 1);
    ck_assert_uint_eq(s.init_fails, 1);
    ck_assert_uint_eq(s.memory_fails, 0);
    ck_assert_uint_eq(s.built, 6);
    ck_assert_uint_eq(s.torn_down, 4);
    ck_assert_uint_eq(s.discarded, 4);
    ck_assert_uint_eq(s.live, 2);
    ck_assert_uint_eq(s.live_peak, 4);
    ck_assert_uint_eq(s.gets, 4 + 2 + 4);
    ck_assert_uint_eq(s.puts, 1 + 2 + 5);
}
END_TEST

/* Served by the thread's cache: all but the first, which built. */
START_TEST(hits_are_gets_of_the_cache)
{
    struct opool *pool = create("hits", 0);
    for (int i = 0; i < 1000; i++)
        opool_put(pool, opool_get(pool));
    struct opool_stats s = read_stats(pool);
    ck_assert_uint_eq(s.gets, 1000);
    ck_assert_uint_eq(s.puts, 1000);
    ck_assert_uint_eq(s.hits, 999);
    ck_assert_uint_eq(s.built, 1);
    ck_assert_uint_eq(s.idle_thread, 1);
    check_equations(pool);
}
END_TEST

static struct opool_footprint tell_footprint(const void *object, void *unused UNIT_UNUSED)
{
    const size_t *numbers = object;
    return (struct opool_footprint){.used = numbers[0], .held = numbers[1]};
}

static void put_owning(struct opool *pool, size_t used, size_t held, unsigned n)
{
    while (n-- > 0) {
        size_t *object = opool_get(pool);
        object[0] = used;
        object[1] = held;
        opool_put(pool, object);
    }
}

START_TEST(churn_and_bloat_are_told)
{
    struct opool_type type = plain;
    struct opool_options options = {.footprint_max = 1 << 20};
    struct opool *pool;
    type.footprint = tell_footprint;
    ck_assert_int_eq(opool_create(&pool, &type, &options), 0);
    put_owning(pool, 1000, 100000, 3 * OPOOL__FIT_WINDOW);
    struct opool_stats s = read_stats(pool);
    ck_assert(s.bloat == 1 && s.churn == 0 && s.bloated == 0);
    put_owning(pool, 2 << 20, 2 << 20, 3 * OPOOL__FIT_WINDOW);
    s = read_stats(pool);
    ck_assert(s.bloat == 0 && s.churn == 1);
    ck_assert_uint_eq(s.bloated, 3 * OPOOL__FIT_WINDOW);
    ck_assert_uint_ge(s.torn_down, s.bloated);
    ck_assert_uint_eq(s.gets, s.puts);
    ck_assert_uint_ge(s.slack_bytes, s.slots_free * 64 + s.idle_thread * sizeof(size_t)); /* what the guard notes */
}
END_TEST

enum { USERS = 4, HELD = 100, ROUNDS = 300, PHASES = 3 };

static struct opool *shared_pool;

static void *use_pool(void *seed)
{
    void *held[HELD];
    unsigned random = *(unsigned *)seed;
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = opool_get_batch(shared_pool, held, HELD / 2);
        while (n < HELD && (held[n] = opool_get(shared_pool)) != NULL)
            n++;
        random = random * 1664525 + 1013904223;
        size_t discard = random >> 30;
        for (size_t i = 0; i < discard && n > 0; i++)
            opool_discard(shared_pool, held[--n]);
        opool_put_batch(shared_pool, held, n / 3);
        for (size_t i = n / 3; i < n; i++)
            opool_put(shared_pool, held[i]);
    }
    return NULL;
}

/* While calls are in progress a figure is of some moment: never above what can be. */
static void read_under_load(void)
{
    for (int i = 0; i < 50; i++) {
        struct opool_stats s = read_stats(shared_pool);
        EXPECT(s.hits <= s.gets + USERS * HELD);
        EXPECT(s.slots_free <= s.slots);
        EXPECT(s.torn_down <= s.built + USERS * HELD);
        EXPECT(s.live <= USERS * HELD * 4);
        EXPECT(s.idle_thread <= (USERS + 1) * 2 * 128);
        unit_nap(1);
    }
}

static void run_phases(size_t capacity)
{
    shared_pool = create("load", capacity);
    for (int phase = 0; phase < PHASES; phase++) {
        pthread_t users[USERS];
        unsigned seeds[USERS] = {1, 2, 3, 4};
        for (int i = 0; i < USERS; i++)
            users[i] = unit_thread(use_pool, &seeds[i]);
        read_under_load();
        for (int i = 0; i < USERS; i++)
            unit_join(users[i]);
        check_equations(shared_pool);
        ck_assert_uint_eq(read_stats(shared_pool).live, 0);
        void *kept[10];
        ck_assert_uint_eq(opool_get_batch(shared_pool, kept, 10), 10);
        check_equations(shared_pool);
        ck_assert_uint_eq(read_stats(shared_pool).live, 10);
        opool_put_batch(shared_pool, kept, 10);
    }
    opool_destroy(&shared_pool);
}

START_TEST(equations_hold_after_load)
{
    run_phases(0);
}
END_TEST

START_TEST(equations_hold_after_load_at_capacity)
{
    run_phases(250);
}
END_TEST

/* ---- epochs ---- */

static void put_and_get(struct opool *pool, size_t n)
{
    static void *objects[1000];
    ck_assert_uint_le(n, UNIT_LENGTH(objects));
    ck_assert_uint_eq(opool_get_batch(pool, objects, n), n);
    opool_put_batch(pool, objects, n);
}

START_TEST(idle_objects_become_victims)
{
    struct opool *pool = create("aged", 0);
    put_and_get(pool, 300);
    struct opool_stats before = read_stats(pool);
    ck_assert_uint_eq(before.idle_thread + before.idle_depot, 300);
    (void)opool_epoch_advance();
    struct opool_stats s = read_stats(pool);
    ck_assert_uint_eq(s.epoch, before.epoch + 1);
    ck_assert_uint_eq(s.idle_victim, 0);
    check_equations(pool);
    (void)opool_epoch_advance();
    s = read_stats(pool);
    ck_assert_uint_eq(s.idle_victim, 300);
    ck_assert_uint_eq(s.idle_thread + s.idle_depot, 0);
    ck_assert_uint_eq(s.stolen, before.idle_thread); /* the others were in the depot */
    ck_assert_uint_eq(s.torn_down, 0);
    check_equations(pool);
    void *rescued = opool_get(pool);
    s = read_stats(pool);
    ck_assert_uint_eq(s.idle_victim, 299);
    ck_assert_uint_eq(s.refills, before.refills + 1);
    ck_assert_uint_eq(s.built, 300);
    check_equations(pool);
    (void)opool_epoch_advance();
    s = read_stats(pool);
    ck_assert_uint_eq(s.torn_down, 299);
    ck_assert(s.live == 1 && s.idle_victim == 0 && s.idle_bytes == 0);
    check_equations(pool);
    opool_put(pool, rescued);
    check_equations(pool);
}
END_TEST

START_TEST(a_pool_at_its_capacity_is_tight)
{
    struct opool *pool = create("tight", 10);
    void *objects[10];
    put_and_get(pool, 10);
    ck_assert_uint_eq(opool_get_batch(pool, objects, 10), 10);
    struct opool_stats s = read_stats(pool);
    ck_assert(s.tight == 0 && s.tightened == 0);
    ck_assert_ptr_null(opool_get(pool));
    s = read_stats(pool);
    ck_assert(s.tight == 1 && s.tightened == 1 && s.capacity_fails == 1);
    check_equations(pool);
    opool_put_batch(pool, objects, 10);
    s = read_stats(pool);
    ck_assert(s.tight == 1 && s.idle_thread == 0 && s.idle_depot == 10);
    check_equations(pool);
    (void)opool_epoch_advance();
    ck_assert_uint_eq(read_stats(pool).tight, 1);
    (void)opool_epoch_advance();
    s = read_stats(pool);
    ck_assert(s.tight == 0 && s.tightened == 1 && s.idle_victim == 10);
    put_and_get(pool, 10);
    check_equations(pool);
    ck_assert_uint_gt(read_stats(pool).idle_thread, 0); /* with caches again */
}
END_TEST

/* Played by hand: no thread can be made to stop there. */
START_TEST(a_stopped_owner_is_counted)
{
    struct opool *pool = create("stopped", 0);
    put_and_get(pool, 5);
    struct opool_head *head = opool__head(&pool->front);
    (void)opool_epoch_advance();
    opool__store_relaxed(&head->busy, 1u);
    (void)opool_epoch_advance();
    struct opool_stats s = read_stats(pool);
    ck_assert(s.steal_timeouts == 1 && s.stolen == 0 && s.idle_thread == 5);
    check_equations(pool);
    opool__store_relaxed(&head->busy, 0u);
}
END_TEST

static int refuse(void)
{
    return -EPERM;
}

START_TEST(a_refused_membarrier_is_told)
{
    if (_i)
        opool__os.barrier_register = refuse;
    struct opool *pool = create("locked", 0);
    put_and_get(pool, 50);
    struct opool_stats s = read_stats(pool);
    ck_assert(s.locked == (_i != 0));
    for (int i = 0; i < 4; i++) {
        check_equations(pool);
        (void)opool_epoch_advance();
    }
    s = read_stats(pool);
    ck_assert_uint_eq(s.torn_down, 50);
    ck_assert_uint_eq(s.steal_timeouts, 0);
}
END_TEST

static uint32_t ticking;

static void *tick_often(void *unused UNIT_UNUSED)
{
    while (__atomic_load_n(&ticking, __ATOMIC_ACQUIRE)) {
        (void)opool_epoch_advance();
        unit_nap(1);
    }
    return NULL;
}

static void use_under_ticks(void)
{
    pthread_t users[USERS], ticker;
    unsigned seeds[USERS] = {5, 6, 7, 8};
    __atomic_store_n(&ticking, 1u, __ATOMIC_RELEASE);
    ticker = unit_thread(tick_often, NULL);
    for (int i = 0; i < USERS; i++)
        users[i] = unit_thread(use_pool, &seeds[i]);
    read_under_load();
    for (int i = 0; i < USERS; i++)
        unit_join(users[i]);
    __atomic_store_n(&ticking, 0u, __ATOMIC_RELEASE);
    unit_join(ticker);
}

START_TEST(equations_hold_after_load_and_ticks)
{
    shared_pool = create("ticks", _i ? 250 : 0);
    for (int phase = 0; phase < PHASES; phase++) {
        use_under_ticks();
        check_equations(shared_pool);
        ck_assert_uint_eq(read_stats(shared_pool).live, 0);
    }
    for (int i = 0; i < 3; i++)
        (void)opool_epoch_advance();
    check_equations(shared_pool);
    struct opool_stats s = read_stats(shared_pool);
    ck_assert(s.built == s.torn_down && s.tight == 0);
}
END_TEST

static void *kept_by_others[USERS][HELD];

static void *get_and_end(void *place)
{
    ck_assert_uint_eq(opool_get_batch(shared_pool, place, HELD), HELD);
    return NULL;
}

START_TEST(objects_wander_between_threads)
{
    shared_pool = create("wander", 0);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < USERS; i++)
            unit_join(unit_thread(get_and_end, kept_by_others[i]));
        check_equations(shared_pool);
        ck_assert_uint_eq(read_stats(shared_pool).live, USERS * HELD);
        for (int i = 0; i < USERS; i++)
            opool_put_batch(shared_pool, kept_by_others[i], HELD);
        check_equations(shared_pool);
    }
}
END_TEST

static void add_formats(Suite *suite)
{
    TCase *tests = unit_case(suite, "formats");
    tcase_add_test(tests, text_has_a_line_a_pool);
    tcase_add_test(tests, text_of_hostile_names_has_a_line_a_pool);
    tcase_add_test(tests, no_pools_are_no_error);
    tcase_add_test(tests, json_parses_and_tells_all_rows);
    tcase_add_test(tests, json_values_are_those_of_stats_read);
    tcase_add_test(tests, openmetrics_follows_its_grammar);
    tcase_add_test(tests, openmetrics_escapes_labels);
    tcase_add_test(tests, samples_of_one_family_differ_in_their_labels);
    tcase_add_test(tests, failed_streams_are_told);
}

static void add_figures(Suite *suite)
{
    TCase *tests = unit_case(suite, "figures");
    tcase_add_test(tests, senseless_arguments_are_refused);
    tcase_add_test(tests, structs_of_another_size);
    tcase_add_test(tests, every_row_is_a_member_in_its_place);
    tcase_add_test(tests, walk_finds_every_pool_once);
    tcase_add_test(tests, figures_count_each_event);
    tcase_add_test(tests, hits_are_gets_of_the_cache);
    tcase_add_test(tests, churn_and_bloat_are_told);
    tcase_add_test(tests, equations_hold_after_load);
    tcase_add_test(tests, equations_hold_after_load_at_capacity);
    tcase_add_test(tests, objects_wander_between_threads);
}

static void add_epochs(Suite *suite)
{
    TCase *tests = unit_case(suite, "epochs");
    tcase_add_test(tests, idle_objects_become_victims);
    tcase_add_test(tests, a_pool_at_its_capacity_is_tight);
    tcase_add_test(tests, a_stopped_owner_is_counted);
    tcase_add_loop_test(tests, a_refused_membarrier_is_told, 0, 2);
    tcase_add_loop_test(tests, equations_hold_after_load_and_ticks, 0, 2);
}

int main(void)
{
    Suite *suite = suite_create("stats");
    add_formats(suite);
    add_figures(suite);
    add_epochs(suite);
    return unit_main(suite);
}
