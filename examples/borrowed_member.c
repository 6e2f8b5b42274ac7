/* SPDX-License-Identifier: MIT */

/*
 * Objects with pointers that they do not own: a job that works for a session, and a timer that fires for one.
 *
 * Introduces OPOOL_DEFINE_MEMBERS, where every member is listed and borrowed pointers are marked, OPOOL_BORROWED, and
 * OPOOL_REF_TYPE, a borrowed pointer kept as a typed number, which the one-line OPOOL_DEFINE lets pass.
 *
 * It checks that the next user of a job sees no session of the one before, without any reset of ours, and that a
 * reference gives back the pointer it was made of.
 */

#include <opool.h>
#include <stdio.h>
#include <string.h>

struct session {
    const char *user;
    unsigned jobs;
};

/* OPOOL_DEFINE would refuse `session` and say so: the compiler can not know who frees it. */
struct job {
    unsigned id;
    unsigned priority : 4;
    struct session *session;
    struct session *watchers[4];
    char command[64];
};

/* Add a pointer to struct job and forget it here: a compile error. */
OPOOL_DEFINE_MEMBERS(job_pool, struct job,
                     (id, OPOOL_BITS(priority), OPOOL_BORROWED(session), OPOOL_BORROWED(watchers), command));

OPOOL_REF_TYPE(session_ref, struct session);

struct timer {
    uint64_t deadline;
    session_ref session;
};

OPOOL_DEFINE(timer_pool, struct timer);

/* True: the job came without pointers of its last user. */
static bool run_job(struct job_pool *pool, struct session *session, unsigned id)
{
    struct job *job = job_pool_get(pool);
    if (!job)
        return false;
    bool clean = !job->session && !job->watchers[0];
    job->id = id;
    job->priority = 7;
    job->session = job->watchers[0] = session;
    snprintf(job->command, sizeof job->command, "report %u", id);
    job->session->jobs++;
    job_pool_put(pool, job); /* the borrowed members are NULL from here on */
    return clean;
}

static bool run_timer(struct timer_pool *pool, struct session *session)
{
    struct timer *timer = timer_pool_get(pool);
    if (!timer)
        return false;
    timer->deadline = 1000;
    timer->session = session_ref_of(session);
    bool same = session_ref_get(timer->session) == session;
    timer_pool_put(pool, timer);
    return same;
}

int main(void)
{
    struct session ann = {"ann", 0}, bob = {"bob", 0};
    struct job_pool *jobs = NULL;
    struct timer_pool *timers = NULL;
    int error = job_pool_create(&jobs, NULL);
    if (!error)
        error = timer_pool_create(&timers, NULL);
    if (error)
        fprintf(stderr, "create: %s\n", strerror(-error));
    bool right = !error && run_job(jobs, &ann, 1) && run_job(jobs, &bob, 2) && run_timer(timers, &ann);
    job_pool_destroy(&jobs);
    timer_pool_destroy(&timers);
    printf("%s: %u job, %s: %u job\n", ann.user, ann.jobs, bob.user, bob.jobs);
    return right && ann.jobs == 1 && bob.jobs == 1 ? 0 : 1;
}
