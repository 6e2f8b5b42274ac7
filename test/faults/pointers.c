/* SPDX-License-Identifier: MIT */

/* Pointers that are no objects of the pool. */

#include "case.h"

static void put_of_a_pointer_into_the_middle(void)
{
    put(about("put", get()->text));
}

static void put_of_a_misaligned_pointer(void)
{
    put(about("put", (char *)get() + 1));
}

static void put_of_the_last_byte(void)
{
    put(about("put", (char *)get() + sizeof(struct conn) - 1));
}

static void discard_of_a_pointer_into_the_middle(void)
{
    opool_discard(pool(), about("discard", get()->text));
}

static void put_of_a_heap_block(void)
{
    put(about("put", malloc(sizeof(struct conn))));
}

static void put_of_a_local_variable(void)
{
    struct conn conn = {.number = 1};
    put(get());
    put(about("put", &conn));
}

static void put_of_a_static_variable(void)
{
    static struct conn conn;
    put(about("put", &conn));
}

static void put_of_a_wild_pointer(void)
{
    put(about("put", (void *)(uintptr_t)4096));
}

static void put_of_the_pool_itself(void)
{
    put(about("put", pool()));
}

static void discard_of_a_heap_block(void)
{
    opool_discard(pool(), about("discard", malloc(sizeof(struct conn))));
}

static void foreign_pointer_in_a_batch(void)
{
    struct conn conn = {.number = 1};
    void *objects[] = {get(), about("put", &conn), get()};
    opool_put_batch(pool(), objects, 3);
}

static void put_to_the_wrong_pool(void)
{
    put(get());
    put(about("put", get_from(new_pool("others", 0))));
}

static void put_to_a_pool_of_another_definition(void)
{
    struct job_pool *jobs;
    REQUIRE(job_pool_create(&jobs, &(struct opool_options){.checks = level}) == 0);
    put(about("put", job_pool_get(jobs)));
}

static void discard_to_the_wrong_pool(void)
{
    opool_discard(pool(), about("discard", get_from(new_pool("others", 0))));
}

/* The pool under test was there before, so that it has not got the other's addresses. */
static void put_of_an_object_of_a_destroyed_pool(void)
{
    put(get());
    struct opool *others = new_pool("others", 0);
    struct conn *conn = get_from(others);
    put_to(others, conn);
    opool_destroy(&others);
    put(about("put", conn));
}

/* Slots come in no order that is known; what lies between any two is whole slots. */
static void put_of_a_slot_that_was_never_used(void)
{
    enum { GOT = 8 };
    char *conns[GOT], *last = NULL;
    size_t apart = SIZE_MAX;
    for (int i = 0; i < GOT; i++) {
        conns[i] = (char *)get();
        last = conns[i] > last ? conns[i] : last;
    }
    for (int i = 0; i < GOT; i++)
        if (conns[i] != last && (size_t)(last - conns[i]) < apart)
            apart = (size_t)(last - conns[i]);
    put(conns[0]);
    put(about("put", last + apart));
    opool_thread_flush();
}

static void put_far_behind_all_objects(void)
{
    put(about("put", (char *)get() + ((size_t)1 << 20) * sizeof(struct conn)));
}

static void put_to_no_pool(void)
{
    about_pool("NULL", "none");
    about_no_pool();
    put_to(NULL, about("put", get()));
}

static void discard_to_no_pool(void)
{
    about_pool("NULL", "none");
    about_no_pool();
    opool_discard(NULL, about("discard", get()));
}

static void batch_to_no_pool(void)
{
    void *objects[] = {NULL, get()};
    about_pool("NULL", "none");
    about_no_pool();
    about("put", objects[1]);
    opool_put_batch(NULL, objects, 2);
}

const struct fault_case pointer_cases[] = {CASE(put_of_a_pointer_into_the_middle),
                                           CASE(put_of_a_misaligned_pointer),
                                           CASE(put_of_the_last_byte),
                                           CASE(discard_of_a_pointer_into_the_middle),
                                           CASE(put_of_a_heap_block),
                                           CASE(put_of_a_local_variable),
                                           CASE(put_of_a_static_variable),
                                           CASE(put_of_a_wild_pointer),
                                           CASE(put_of_the_pool_itself),
                                           CASE(discard_of_a_heap_block),
                                           CASE(foreign_pointer_in_a_batch),
                                           CASE(put_to_the_wrong_pool),
                                           CASE(put_to_a_pool_of_another_definition),
                                           CASE(discard_to_the_wrong_pool),
                                           CASE(put_of_an_object_of_a_destroyed_pool),
                                           CASE(put_of_a_slot_that_was_never_used),
                                           CASE(put_far_behind_all_objects),
                                           CASE(put_to_no_pool),
                                           CASE(discard_to_no_pool),
                                           CASE(batch_to_no_pool),
                                           {NULL, NULL}};
