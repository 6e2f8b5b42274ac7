/* SPDX-License-Identifier: MIT */
/* clang-format off */
/* A function a fault, and who finds it: test/analyze/run says how the comments are read. */
#include <opool.h>
#include <stdlib.h>

struct job { int id; int parts[3]; };
OPOOL_DEFINE(job_pool, struct job);
OPOOL_DEFINE(other_pool, struct job);

int double_put(struct job_pool *pool);
int put_after_discard(struct job_pool *pool);
int use_after_put(struct job_pool *pool);
int write_after_put(struct job_pool *pool);
int write_to_an_array_after_put(struct job_pool *pool);
int lost(struct job_pool *pool);
int lost_on_one_path(struct job_pool *pool, int fails);
int lost_after_a_wait(struct job_pool *pool);
int ignored_get(struct job_pool *pool);
int ignored_wait(struct job_pool *pool);
int ignored_batch(struct job_pool *pool, struct job *jobs[4]);
int put_of_malloced(struct job_pool *pool);
int free_of_pooled(struct job_pool *pool);
int put_of_local(struct job_pool *pool);
int put_of_static(struct job_pool *pool);
int put_of_a_member(struct job_pool *pool);
int put_into_another_pool(struct job_pool *pool, struct other_pool *other);
int get_unchecked(struct job_pool *pool);
int double_put_of_a_batch(struct job_pool *pool);
int double_put_untyped(struct job_pool *pool);

/* everyday: no, an inlined call is none
   gcc-11: no, -Wuse-after-free came with gcc 12
   gcc: -Wuse-after-free
   fanalyzer: double-.job_pool_put..*-Wanalyzer-double-free
   clang: Attempt to free released memory.*unix.Malloc */
int double_put(struct job_pool *pool)
{
    struct job *job = job_pool_get(pool);
    if (!job)
        return 0;
    job_pool_put(pool, job);
    job_pool_put(pool, job);
    return 1;
}

/* everyday: no, an inlined call is none
   gcc-11: no, -Wuse-after-free came with gcc 12
   gcc: -Wuse-after-free
   fanalyzer: no, it tracks the first of two deallocators only
   clang: Attempt to free released memory.*unix.Malloc */
int put_after_discard(struct job_pool *pool)
{
    struct job *job = job_pool_get(pool);
    if (!job)
        return 0;
    job_pool_discard(pool, job);
    job_pool_put(pool, job);
    return 1;
}

/* everyday: no, an inlined call is none
   gcc-11: no, -Wuse-after-free came with gcc 12
   gcc: -Wuse-after-free
   fanalyzer: -Wanalyzer-use-after-free
   clang: Use of memory after it is freed.*unix.Malloc */
int use_after_put(struct job_pool *pool)
{
    struct job *job = job_pool_get(pool);
    if (!job)
        return 0;
    job_pool_put(pool, job);
    return job->id;
}

/* everyday: no, an inlined call is none
   gcc-11: no, -Wuse-after-free came with gcc 12
   gcc: -Wuse-after-free
   fanalyzer: -Wanalyzer-use-after-free
   clang: Use of memory after it is freed.*unix.Malloc */
int write_after_put(struct job_pool *pool)
{
    struct job *job = job_pool_get_wait(pool, 10);
    if (!job)
        return 0;
    job_pool_put(pool, job);
    job->id = 2;
    return 1;
}

/* everyday: no, an inlined call is none
   gcc-11: no, -Wuse-after-free came with gcc 12
   gcc: -Wuse-after-free
   fanalyzer: no, gcc 11 and 12 look at no write to an array, nor after free
   clang: Use of memory after it is freed.*unix.Malloc */
int write_to_an_array_after_put(struct job_pool *pool)
{
    struct job *job = job_pool_get(pool);
    if (!job)
        return 0;
    job_pool_put(pool, job);
    job->parts[1] = 2;
    return 1;
}

/* everyday: no, an inlined call is none
   gcc-11: no, needs paths
   gcc: no, needs paths
   fanalyzer: -Wanalyzer-malloc-leak
   clang: Potential leak of memory.*unix.Malloc */
int lost(struct job_pool *pool)
{
    struct job *job = job_pool_get(pool);
    if (!job)
        return 0;
    return job->id;
}

/* everyday: no, an inlined call is none
   gcc-11: no, needs paths
   gcc: no, needs paths
   fanalyzer: -Wanalyzer-malloc-leak
   clang: Potential leak of memory.*unix.Malloc */
int lost_on_one_path(struct job_pool *pool, int fails)
{
    struct job *job = job_pool_get(pool);
    if (!job)
        return 0;
    if (fails)
        return -1;
    job_pool_put(pool, job);
    return 1;
}

/* everyday: no, an inlined call is none
   gcc-11: no, needs paths
   gcc: no, needs paths
   fanalyzer: -Wanalyzer-malloc-leak
   clang: Potential leak of memory.*unix.Malloc */
int lost_after_a_wait(struct job_pool *pool)
{
    struct job *job = job_pool_get_wait(pool, -1);
    return job ? job->id : 0;
}

/* everyday: unused-result
   gcc-11: -Wunused-result
   gcc: -Wunused-result
   fanalyzer: no, gcc 11 and 12 take no pointer that is stored nowhere for one that is lost
   clang: Potential memory leak.*unix.Malloc */
int ignored_get(struct job_pool *pool)
{
    job_pool_get(pool);
    return 1;
}

/* everyday: unused-result
   gcc-11: -Wunused-result
   gcc: -Wunused-result
   fanalyzer: no, gcc 11 and 12 take no pointer that is stored nowhere for one that is lost
   clang: Potential memory leak.*unix.Malloc */
int ignored_wait(struct job_pool *pool)
{
    job_pool_get_wait(pool, 5);
    return 1;
}

/* everyday: unused-result
   gcc-11: -Wunused-result
   gcc: -Wunused-result
   fanalyzer: no, no attribute says that an array is filled
   clang: no, no attribute says that an array is filled */
int ignored_batch(struct job_pool *pool, struct job *jobs[4])
{
    job_pool_get_batch(pool, jobs, 4);
    return 1;
}

/* everyday: no, an inlined call is none
   gcc-11: -Wmismatched-dealloc
   gcc: -Wmismatched-dealloc
   fanalyzer: -Wanalyzer-mismatching-deallocation
   clang: no, it knows one family of allocators */
int put_of_malloced(struct job_pool *pool)
{
    struct job *job = (struct job *)malloc(sizeof *job);
    job_pool_put(pool, job);
    return 1;
}

/* everyday: no, an inlined call is none
   gcc-11: -Wmismatched-dealloc
   gcc: -Wmismatched-dealloc
   fanalyzer: -Wanalyzer-mismatching-deallocation
   clang: no, it knows one family of allocators */
int free_of_pooled(struct job_pool *pool)
{
    struct job *job = job_pool_get(pool);
    free(job);
    return 1;
}

/* everyday: no, an inlined call is none
   gcc-11: -Wfree-nonheap-object
   gcc: -Wfree-nonheap-object
   fanalyzer: -Wanalyzer-free-of-non-heap
   clang: address of the local variable.*unix.Malloc */
int put_of_local(struct job_pool *pool)
{
    struct job job = {0, {0, 0, 0}};
    job_pool_put(pool, &job);
    return 1;
}

/* everyday: no, an inlined call is none
   gcc-11: -Wfree-nonheap-object
   gcc: -Wfree-nonheap-object
   fanalyzer: -Wanalyzer-free-of-non-heap
   clang: address of the static variable.*unix.Malloc */
int put_of_static(struct job_pool *pool)
{
    static struct job job;
    job_pool_put(pool, &job);
    return 1;
}

/* everyday: no, an inlined call is none
   gcc-11: -Wfree-nonheap-object
   gcc: -Wfree-nonheap-object
   fanalyzer: -Wanalyzer-malloc-leak|-Wanalyzer-free-of-non-heap
   clang: offset by 4 bytes from the start of memory.*unix.Malloc */
int put_of_a_member(struct job_pool *pool)
{
    struct job *job = job_pool_get(pool);
    if (!job)
        return 0;
    job_pool_put(pool, (struct job *)(void *)job->parts);
    return 1;
}

/* everyday: no, an inlined call is none
   gcc-11: -Wmismatched-dealloc
   gcc: -Wmismatched-dealloc
   fanalyzer: -Wanalyzer-mismatching-deallocation
   clang: no, it knows one family of allocators */
int put_into_another_pool(struct job_pool *pool, struct other_pool *other)
{
    struct job *job = other_pool_get(other);
    if (!job)
        return 0;
    job_pool_put(pool, job);
    return 1;
}

/* everyday: no, an inlined call is none
   gcc-11: no, needs paths
   gcc: no, needs paths
   fanalyzer: -Wanalyzer-possible-null-dereference
   clang: no, it does not assume that memory is short */
int get_unchecked(struct job_pool *pool)
{
    struct job *job = job_pool_get(pool);
    job->id = 1;
    job_pool_put(pool, job);
    return 1;
}

/* everyday: no, an inlined call is none
   gcc-11: no, no attribute says that an array is filled
   gcc: -Wuse-after-free
   fanalyzer: double-.job_pool_put..*-Wanalyzer-double-free
   clang: Attempt to free released memory.*unix.Malloc */
int double_put_of_a_batch(struct job_pool *pool)
{
    struct job *jobs[2];
    if (job_pool_get_batch(pool, jobs, 2) != 2)
        return 0;
    struct job *first = jobs[0];
    job_pool_put(pool, first);
    job_pool_put(pool, first);
    job_pool_put(pool, jobs[1]);
    return 1;
}

/* everyday: no, an inlined call is none
   gcc-11: no, untyped calls take typed objects too
   gcc: no, untyped calls take typed objects too
   fanalyzer: no, untyped calls take typed objects too
   clang: no, untyped calls take typed objects too */
int double_put_untyped(struct job_pool *pool)
{
    struct opool *base = job_pool_base(pool);
    void *job = opool_get(base);
    opool_put(base, job);
    opool_put(base, job);
    return 1;
}
