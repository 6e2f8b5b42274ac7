/* SPDX-License-Identifier: MIT */

/*
 * Loads a plugin that uses opool, uses it on a thread that ends after the plugin was unloaded, and does it all again.
 * Usage: load PLUGIN
 */

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 3 };

struct plugin {
    void *handle;
    int (*use)(void);
    void (*end)(void);
};

static pthread_barrier_t used, unloaded;

static void *symbol(void *handle, const char *name)
{
    void *at = dlsym(handle, name);
    if (!at) {
        fprintf(stderr, "load: %s\n", dlerror());
        exit(1);
    }
    return at;
}

static struct plugin load(const char *path)
{
    struct plugin plugin = {.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL)};
    if (!plugin.handle) {
        fprintf(stderr, "load: %s\n", dlerror());
        exit(1);
    }
    *(void **)&plugin.use = symbol(plugin.handle, "plugin_use");
    *(void **)&plugin.end = symbol(plugin.handle, "plugin_end");
    return plugin;
}

static void *outlive(void *use)
{
    int failed = (*(int (**)(void))use)();
    pthread_barrier_wait(&used);
    pthread_barrier_wait(&unloaded);
    return failed ? use : NULL;
}

/* 0, or 1 */
static int play(const char *path)
{
    struct plugin plugin = load(path);
    pthread_t thread;
    void *failed;
    if (pthread_create(&thread, NULL, outlive, &plugin.use))
        return 1;
    pthread_barrier_wait(&used);
    int result = plugin.use();
    plugin.end();
    dlclose(plugin.handle);
    pthread_barrier_wait(&unloaded);
    pthread_join(thread, &failed);
    return result || failed;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    pthread_barrier_init(&used, NULL, 2);
    pthread_barrier_init(&unloaded, NULL, 2);
    for (int round = 0; round < ROUNDS; round++)
        if (play(argv[1]))
            return 1;
    return 0;
}
