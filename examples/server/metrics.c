/* SPDX-License-Identifier: MIT */

/* The library's figures, and behind them the server's own. */
#define _GNU_SOURCE
#include "server.h"

#include <stdlib.h>
#include <string.h>

static const char end[] = "# EOF\n";

static const struct figure {
    enum counter counter;
    const char *name, *unit, *label, *help;
} figures[] = {
    {COUNT_ACCEPTED, "server_connections", "", "", "connections accepted"},
    {COUNT_REFUSED, "server_refused", "", "", "connections above the limit, answered with 503 or closed"},
    {COUNT_REQUESTS, "server_requests", "", "", "requests read to their end"},
    {COUNT_STATUS_2XX, "server_answers", "", "{code=\"2xx\"}", "answers by class of status"},
    {COUNT_STATUS_3XX, "server_answers", "", "{code=\"3xx\"}", ""},
    {COUNT_STATUS_4XX, "server_answers", "", "{code=\"4xx\"}", ""},
    {COUNT_STATUS_5XX, "server_answers", "", "{code=\"5xx\"}", ""},
    {COUNT_RECEIVED, "server_received_bytes", "bytes", "", "bytes received"},
    {COUNT_SENT, "server_sent_bytes", "bytes", "", "bytes sent"},
    {COUNT_TIMEOUTS, "server_timeouts", "", "", "connections that took too long"},
    {COUNT_RESETS, "server_resets", "", "", "connections that the client reset"},
};

static unsigned long long count_of(const struct worker *worker, enum counter counter)
{
    return atomic_load_explicit(&worker->counters[counter], memory_order_relaxed);
}

static unsigned long long sum(enum counter counter)
{
    unsigned long long all = 0;
    for (unsigned i = 0; i < settings.workers; i++)
        all += count_of(&workers[i], counter);
    return all;
}

static void write_workers(FILE *out)
{
    fputs("# TYPE server_worker_connections counter\n", out);
    fputs("# HELP server_worker_connections connections accepted, by worker\n", out);
    for (unsigned i = 0; i < settings.workers; i++)
        fprintf(out, "server_worker_connections_total{worker=\"%u\"} %llu\n", i, count_of(&workers[i], COUNT_ACCEPTED));
}

static void write_own(FILE *out)
{
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        const struct figure *figure = &figures[i];
        if (*figure->help)
            fprintf(out, "# TYPE %s counter\n", figure->name);
        if (*figure->unit)
            fprintf(out, "# UNIT %s %s\n", figure->name, figure->unit);
        if (*figure->help)
            fprintf(out, "# HELP %s %s\n", figure->name, figure->help);
        fprintf(out, "%s_total%s %llu\n", figure->name, figure->label, sum(figure->counter));
    }
    write_workers(out);
    fputs("# TYPE server_live gauge\n# HELP server_live objects that are out, from pools or malloc\n", out);
    const char *const kinds[] = {"connection", "request", "buffer"};
    for (int kind = 0; kind < MEMORY_KINDS; kind++)
        fprintf(out, "server_live{kind=\"%s\"} %llu\n", kinds[kind],
                (unsigned long long)memory_live((enum memory_kind)kind));
}

/* Nothing may follow the line that ends the text. */
static void cut_end(FILE *out, char *const *text, const size_t *length)
{
    fflush(out);
    if (*length >= sizeof end - 1 && memcmp(*text + *length - (sizeof end - 1), end, sizeof end - 1) == 0)
        fseeko(out, (off_t)(*length - (sizeof end - 1)), SEEK_SET);
}

char *metrics_text(size_t *length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, length);
    if (!out)
        return NULL;
    int error = opool_stats_write(out, OPOOL_OPENMETRICS);
    cut_end(out, &text, length);
    write_own(out);
    fputs(end, out);
    if (ferror(out))
        error = 1;
    if (fclose(out) != 0 || error) {
        free(text);
        return NULL;
    }
    return text;
}
