/* SPDX-License-Identifier: MIT */

/* Right use of objects that looks like a fault. */

#include "case.h"

#include <setjmp.h>
#include <sys/socket.h>

enum { MANY = 300 };

static void fill(void *object, size_t size, int byte)
{
    memset(object, byte, size);
}

static bool is_filled(const void *object, size_t size, int byte)
{
    for (size_t i = 0; i < size; i++)
        if (((const unsigned char *)object)[i] != (unsigned char)byte)
            return false;
    return true;
}

static void put_of_null(void)
{
    void *nothing[3] = {NULL, NULL, NULL};
    put(get());
    for (int i = 0; i < 2; i++) {
        put(NULL);
        opool_discard(pool(), NULL);
        opool_put_batch(pool(), nothing, 3);
        opool_put_batch(pool(), nothing, 0);
    }
    put_to(NULL, NULL);
    opool_discard(NULL, NULL);
}

static void get_from_no_pool(void)
{
    REQUIRE(opool_get(NULL) == NULL && errno == EINVAL);
    REQUIRE(opool_get_wait(NULL, 0) == NULL && errno == EINVAL);
}

static void same_object_again_and_again(void)
{
    struct conn *conn = get();
    for (int i = 0; i < MANY; i++) {
        put(conn);
        conn = get();
    }
    put(conn);
}

static void put_of_many_in_any_order(void)
{
    static const int steps[] = {1, 7, 11, MANY - 1}; /* numbers that share nothing with MANY */
    struct conn *conns[MANY];
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < MANY; i++)
            conns[i] = get();
        for (int i = 0; i < MANY; i++)
            put(conns[i * steps[round] % MANY]);
    }
}

static void objects_full_of_ones(void)
{
    struct conn *conns[40];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 40; i++)
            fill(conns[i] = get(), sizeof *conns[i], 0xff);
        for (int i = 0; i < 40; i++)
            put(conns[i]);
    }
}

/* Whatever byte a library may mark memory with. */
static void objects_full_of_each_byte(void)
{
    for (int byte = 0; byte < 256; byte++) {
        struct conn *one = get(), *two = get();
        fill(one, sizeof *one, byte);
        fill(two, sizeof *two, byte);
        put(one);
        put(two);
    }
}

static void object_that_holds_addresses_of_the_pool(void)
{
    for (int round = 0; round < 3; round++) {
        struct conn *one = get(), *two = get();
        void *words[] = {one, two, pool(), (char *)one - 8, (char *)one + 96, &words};
        for (int i = 0; i < 3; i++)
            memcpy(one->text + (size_t)i * sizeof words / 2, words, sizeof words / 2);
        memcpy(two->text, words, sizeof words);
        put(two);
        put(one);
    }
}

static void every_byte_written_up_to_the_last(void)
{
    static const size_t sizes[] = {1, 2, 3, 7, 8, 9, 15, 16, 23, 47, 64, 100, 193, 4095, 4096, 4097, 70000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct opool_type type = {.name = "sized", .shape = OPOOL_SHAPE_TRUSTED("bytes"), .size = sizes[i], .align = 1};
        struct opool *sized;
        void *objects[4];
        REQUIRE(opool_create(&sized, &type, &(struct opool_options){.checks = level}) == 0);
        for (int round = 0; round < 3; round++) {
            for (int k = 0; k < 4; k++) {
                REQUIRE((objects[k] = opool_get(sized)) != NULL);
                fill(objects[k], sizes[i], 0xa0 + k);
            }
            for (int k = 0; k < 4; k++) {
                REQUIRE(is_filled(objects[k], sizes[i], 0xa0 + k));
                opool_put(sized, objects[k]);
            }
        }
        opool_destroy(&sized);
    }
}

static void aligned_objects(void)
{
    for (size_t align = 1; align <= OPOOL_ALIGN_MAX; align *= 2) {
        struct opool_type type = {.name = "aligned", .shape = OPOOL_SHAPE_TRUSTED("bytes"), .size = 40, .align = align};
        struct opool *aligned;
        REQUIRE(opool_create(&aligned, &type, &(struct opool_options){.checks = level}) == 0);
        void *objects[10];
        REQUIRE(opool_get_batch(aligned, objects, 10) == 10);
        for (int i = 0; i < 10; i++) {
            REQUIRE((uintptr_t)objects[i] % align == 0);
            fill(objects[i], 40, 0xff);
        }
        opool_put_batch(aligned, objects, 10);
        opool_destroy(&aligned);
    }
}

static void largest_objects(void)
{
    struct opool_type type = {
        .name = "large", .shape = OPOOL_SHAPE_TRUSTED("bytes"), .size = OPOOL_SIZE_MAX, .align = OPOOL_ALIGN_MAX};
    struct opool *large;
    REQUIRE(opool_create(&large, &type, &(struct opool_options){.checks = level}) == 0);
    char *one = opool_get(large), *two = opool_get(large);
    REQUIRE(one && two);
    one[0] = one[OPOOL_SIZE_MAX - 1] = two[0] = two[OPOOL_SIZE_MAX - 1] = 'x';
    opool_put(large, one);
    opool_put(large, two);
    opool_destroy(&large);
}

/* Without a reset an object comes back as its last user left it. */
static void contents_come_back_as_they_were_put(void)
{
    if (kind == RESET)
        return;
    struct conn *conn = get();
    REQUIRE(is_filled(conn, sizeof *conn, 0));
    for (int i = 1; i < 20; i++) {
        fill(conn, sizeof *conn, i);
        put(conn);
        conn = get(); /* the only one that is idle */
        REQUIRE(is_filled(conn, sizeof *conn, i));
    }
    put(conn);
}

static void batches_with_gaps(void)
{
    void *objects[100];
    for (int round = 0; round < 5; round++) {
        REQUIRE(opool_get_batch(pool(), objects, 90) == 90);
        memmove(objects + 50, objects + 40, 50 * sizeof *objects);
        memset(objects + 40, 0, 10 * sizeof *objects);
        opool_put_batch(pool(), objects, 100);
    }
}

static void batches_and_single_calls_mixed(void)
{
    void *objects[20];
    for (int round = 0; round < 5; round++) {
        REQUIRE(opool_get_batch(pool(), objects, 20) == 20);
        put(objects[0]);
        opool_put_batch(pool(), objects + 1, 18);
        put(get());
        opool_discard(pool(), objects[19]);
    }
}

static void slot_used_again_after_discard(void)
{
    for (int i = 0; i < MANY; i++) {
        struct conn *conn = get();
        REQUIRE(is_filled(conn, sizeof *conn, 0)); /* as each new one */
        fill(conn, sizeof *conn, 0xff);
        opool_discard(pool(), conn);
    }
}

static void objects_written_by_the_kernel(void)
{
    int ends[2];
    struct conn *conn = get();
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    REQUIRE(write(ends[0], "hello", 5) == 5);
    REQUIRE(read(ends[1], conn->text + sizeof conn->text - 5, 5) == 5);
    put(conn);
    conn = get();
    REQUIRE(write(ends[0], conn, sizeof *conn) == sizeof *conn);
    put(conn);
}

/* Out of code of the program, not of a callback. */
static void longjmp_between_get_and_put(void)
{
    static jmp_buf back;
    struct conn *volatile conn = NULL;
    if (setjmp(back) == 0) {
        conn = get();
        longjmp(back, 1);
    }
    put(conn);
}

static void objects_written_while_ticks_run(void)
{
    struct conn *conns[60];
    for (int i = 0; i < 60; i++)
        conns[i] = get();
    for (int i = 0; i < 60; i += 2)
        put(conns[i]);
    for (int i = 0; i < 5; i++) {
        opool_epoch_advance();
        for (int k = 1; k < 60; k += 2)
            fill(conns[k], sizeof *conns[k], 0xff);
    }
    opool_release();
    for (int i = 1; i < 60; i += 2)
        put(conns[i]);
    put(get());
}

const struct fault_case legal_use_cases[] = {CASE(put_of_null),
                                             CASE(get_from_no_pool),
                                             CASE(same_object_again_and_again),
                                             CASE(put_of_many_in_any_order),
                                             CASE(objects_full_of_ones),
                                             CASE(objects_full_of_each_byte),
                                             CASE(object_that_holds_addresses_of_the_pool),
                                             CASE(every_byte_written_up_to_the_last),
                                             CASE(aligned_objects),
                                             CASE(largest_objects),
                                             CASE(contents_come_back_as_they_were_put),
                                             CASE(batches_with_gaps),
                                             CASE(batches_and_single_calls_mixed),
                                             CASE(slot_used_again_after_discard),
                                             CASE(objects_written_by_the_kernel),
                                             CASE(longjmp_between_get_and_put),
                                             CASE(objects_written_while_ticks_run),
                                             {NULL, NULL}};
