/* SPDX-License-Identifier: MIT */

/*
 * A plug-in that uses pools is loaded, used by several threads that live on, and unloaded, many times. After dlclose
 * these threads still have caches for pools whose callbacks are no longer there; some end right then, and others take
 * their places. The host itself does not call the library.
 *
 * Usage: dlopen_stress [the arguments of stress.h]; the plug-in is dlopen_plugin.so next to this program, or
 * $DLOPEN_PLUGIN.
 */

#include "stress.h"

#include <dlfcn.h>
#include <limits.h>
#include <unistd.h>

struct plugin {
    void *handle;
    int (*start)(void);
    int (*work)(unsigned rounds);
    int (*stop)(void);
};

static struct plugin plugin;
static pthread_barrier_t loaded, used;
static bool stop; /* written between the barriers */

static bool load_symbol(void *out, const char *name)
{
    void *symbol = dlsym(plugin.handle, name);
    memcpy(out, &symbol, sizeof symbol); /* ISO C has no cast from void * to a function pointer */
    return symbol != NULL;
}

static bool load_plugin(const char *path)
{
    plugin.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!plugin.handle) {
        fprintf(stderr, "%s\n", dlerror());
        return false;
    }
    return load_symbol(&plugin.start, "plugin_start") && load_symbol(&plugin.work, "plugin_work") &&
           load_symbol(&plugin.stop, "plugin_stop") && plugin.start() == 0;
}

static void unload_plugin(void)
{
    check_that(plugin.stop() == 0, "the plug-in's pools tear down what they built", "stop");
    check_that(dlclose(plugin.handle) == 0, "dlclose", "stop");
    memset(&plugin, 0, sizeof plugin);
}

/* Lives for many loads, or for a few. */
static void *work(void *argument)
{
    unsigned lives = *(unsigned *)argument;
    for (unsigned round = 0; round < lives; round++) {
        pthread_barrier_wait(&loaded);
        if (stop)
            break;
        if (plugin.work(scaled(200)) != 0)
            report(&shared_corrupt, "an object of the plug-in is not what it should be");
        count(&shared_ops, scaled(200) * 28);
        pthread_barrier_wait(&used);
    }
    return NULL;
}

struct member {
    pthread_t thread;
    unsigned lives;
};

static void start_member(struct member *member, unsigned lives)
{
    member->lives = lives;
    if (pthread_create(&member->thread, NULL, work, &member->lives) != 0)
        exit(1);
}

/* Threads whose last round this was are joined, after the unload, and others start. */
static void replace_members(struct member *members, unsigned round)
{
    for (unsigned i = 0; i < stress.threads; i++) {
        unsigned period = 1 + i * 3;
        if ((round + 1) % period != 0)
            continue;
        pthread_join(members[i].thread, NULL);
        start_member(&members[i], period);
    }
}

static unsigned run_rounds(struct member *members, const char *path)
{
    unsigned round = 0;
    for (; goes_on(round); round++) {
        if (!check_that(load_plugin(path), "the plug-in is loaded", path))
            exit(1);
        pthread_barrier_wait(&loaded);
        pthread_barrier_wait(&used);
        unload_plugin();
        replace_members(members, round);
    }
    return round;
}

static const char *find_plugin(void)
{
    static char path[PATH_MAX + 32];
    const char *given = getenv("DLOPEN_PLUGIN");
    if (given)
        return given;
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
    char *slash = n > 0 ? strrchr(path, '/') : NULL;
    if (!slash)
        exit(1);
    strcpy(slash + 1, "dlopen_plugin.so");
    return path;
}

int main(int argc, char **argv)
{
    struct member members[256];
    const char *path = find_plugin();
    start_stress(argc, argv, 4, 4);
    pthread_barrier_init(&loaded, NULL, stress.threads + 1);
    pthread_barrier_init(&used, NULL, stress.threads + 1);
    for (unsigned i = 0; i < stress.threads; i++)
        start_member(&members[i], 1 + i * 3);
    unsigned rounds = run_rounds(members, path);
    stop = true;
    pthread_barrier_wait(&loaded);
    for (unsigned i = 0; i < stress.threads; i++)
        pthread_join(members[i].thread, NULL);
    printf("%u loads\n", rounds);
    return end_stress();
}
