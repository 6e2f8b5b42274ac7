/* SPDX-License-Identifier: MIT */

/* Damage to a pool's metadata, as a stray write would do it: a program that has the library inside and knows it. */

#include "case.h"

#include "api/pool.h"

static struct opool *new_of(const struct opool_options *options)
{
    struct job_pool *jobs;
    REQUIRE(job_pool_create(&jobs, options) == 0);
    about_pool("conns", "struct job");
    return job_pool_base(jobs);
}

static struct opool *new_cached(void)
{
    return new_of(&(struct opool_options){.name = "conns", .checks = level});
}

/* All idle objects of a pool in a region are in one list, at each level. */
static struct opool *new_in_region(void)
{
    static char region[1 << 16] __attribute__((aligned(64)));
    return new_of(
        &(struct opool_options){.name = "conns", .region = region, .region_size = sizeof region, .checks = level});
}

static uint32_t index_of(const struct opool *one, const void *object)
{
    return opool__slab_index(&one->slab, object);
}

static struct opool__record *record_of(const struct opool *one, const void *object)
{
    return opool__slab_record(&one->slab, index_of(one, object) >> one->slab.layout.shift);
}

/* ---- lists of free slots ---- */

static void damaged_free_list_that_leads_out_of_its_slab(void)
{
    struct opool *one = new_cached();
    void *object = opool_get(one);
    opool_discard(one, opool_get(one));
    record_of(one, object)->free = 0x123456;
    about("use", NULL);
    (void)opool_get(one);
}

static void damaged_free_list_that_leads_to_an_object(void)
{
    struct opool *one = new_cached();
    void *object = opool_get(one);
    opool_discard(one, opool_get(one));
    record_of(one, object)->free = opool__slab_within(&one->slab, index_of(one, object));
    about("use", object);
    (void)opool_get(one);
}

static void damaged_count_of_a_slab(void)
{
    struct opool *one = new_cached();
    record_of(one, opool_get(one))->used = 0x123456;
    about("use", NULL);
    (void)opool_get(one);
}

static void damaged_list_of_slabs(void)
{
    struct opool *one = new_cached();
    void *object = opool_get(one);
    for (int list = 0; list < OPOOL__LISTS; list++)
        one->slab.lists[list] = 0x123456;
    about("use", NULL);
    (void)object;
    (void)opool_get(one);
}

static void damaged_state_of_an_object(void)
{
    struct opool *one = new_cached();
    void *object = opool_get(one);
    *opool__slab_shared_state(&one->slab, index_of(one, object)) = 0x55;
    opool_put(one, about("put", object));
}

/* ---- lists of idle objects ---- */

static void damaged_idle_list_that_leads_out_of_the_pool(void)
{
    struct opool *one = new_in_region();
    opool_put(one, opool_get(one));
    one->depot.store.ages[OPOOL__RECENT].top = 0x123456;
    about("use", NULL);
    (void)opool_get(one);
}

static void damaged_idle_list_that_leads_to_an_object_in_use(void)
{
    struct opool *one = new_in_region();
    void *object = opool_get(one);
    opool_put(one, opool_get(one));
    one->depot.store.ages[OPOOL__RECENT].top = index_of(one, object);
    about("use", object);
    (void)opool_get(one);
}

static void damaged_count_of_idle_objects(void)
{
    struct opool *one = new_in_region();
    void *objects[] = {opool_get(one), opool_get(one)};
    about("use", objects[0]);
    tell("object", "0x%lx", (unsigned long)(uintptr_t)objects[1]);
    opool_put_batch(one, objects, 2);
    one->depot.store.ages[OPOOL__RECENT].count = 1;
    (void)opool_get(one);
}

static void damaged_magazine(void)
{
    static struct job job;
    struct opool *one = new_cached();
    opool_put(one, opool_get(one));
    opool_thread_flush();
    for (size_t i = 0; i < OPOOL__SHARDS_MOST; i++)
        if (one->depot.shards[i].filled)
            one->depot.shards[i].filled->slots[0] = &job;
    about("use", &job);
    (void)opool_get(one);
}

static const struct fault_case damage_cases[] = {CASE(damaged_free_list_that_leads_out_of_its_slab),
                                                 CASE(damaged_free_list_that_leads_to_an_object),
                                                 CASE(damaged_count_of_a_slab),
                                                 CASE(damaged_list_of_slabs),
                                                 CASE(damaged_state_of_an_object),
                                                 CASE(damaged_idle_list_that_leads_out_of_the_pool),
                                                 CASE(damaged_idle_list_that_leads_to_an_object_in_use),
                                                 CASE(damaged_count_of_idle_objects),
                                                 CASE(damaged_magazine),
                                                 {NULL, NULL}};

const char *const case_kinds[] = {"inside", NULL};

const struct case_group case_groups[] = {{"fault", damage_cases}, {NULL, NULL}};
