/* SPDX-License-Identifier: MIT */

/* The table of sites, their names and their mutants. */

#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SITES = 1024 };
static struct explorer_site *table[SITES];
static size_t used;

static bool same_place(const struct explorer_site *a, const struct explorer_site *b)
{
    return a->line == b->line && a->op == b->op && a->written == b->written && !strcmp(a->expression, b->expression) &&
           !strcmp(a->function, b->function) && !strcmp(a->file, b->file);
}

static bool same_name(const struct explorer_site *a, const struct explorer_site *b)
{
    return a->op == b->op && a->written == b->written && !strcmp(a->expression, b->expression) &&
           !strcmp(a->function, b->function);
}

struct explorer_site *explorer__register(struct explorer_site *site)
{
    for (size_t i = 0; i < used && !site->canonical; i++)
        if (same_place(table[i], site))
            site->canonical = table[i];
    if (site->canonical)
        return site->canonical;
    if (used == SITES)
        explorer__limit("more sites than the explorer has room for");
    return site->canonical = table[used++] = site;
}

size_t explorer_site_count(void)
{
    return used;
}

struct explorer_site *explorer_site_at(size_t index)
{
    return table[index];
}

const char *explorer__op_name(const struct explorer_site *site, char *text, size_t size)
{
    static const char *const ops[] = {"load",  "store",         "exchange",   "add",   "cas", "read",  "write",
                                      "fence", "light_barrier", "membarrier", "yield", "own", "disown"};
    static const char *const orders[] = {"relaxed", "acquire", "release", "acq_rel", "seq_cst"};
    bool ordered = site->op <= EXPLORER_CAS || site->op == EXPLORER_FENCE;
    snprintf(text, size, "%s%s%s", ops[site->op], ordered ? "_" : "", ordered ? orders[site->written] : "");
    return text;
}

/* Lines tell two sites of one name apart, but only their order shows in the name: it survives an edit above. */
static unsigned ordinal(const struct explorer_site *site)
{
    unsigned n = 1;
    for (size_t i = 0; i < used; i++)
        n += table[i] != site && same_name(table[i], site) && table[i]->line < site->line;
    return n;
}

const char *explorer_site_name(const struct explorer_site *site, char *text, size_t size)
{
    char op[40], number[16] = "";
    unsigned n = ordinal(site);
    if (n > 1)
        snprintf(number, sizeof number, "#%u", n);
    snprintf(text, size, "%s: %s(%s)%s", site->function, explorer__op_name(site, op, sizeof op), site->expression,
             number);
    return text;
}

bool explorer_can_mutate(const struct explorer_site *site, enum explorer_mutation mutation)
{
    bool access = site->op <= EXPLORER_CAS || site->op == EXPLORER_FENCE;
    switch (mutation) {
    case EXPLORER_DROP_ACQUIRE:
        return access && (site->written == EXPLORER_ACQUIRE || site->written == EXPLORER_ACQ_REL);
    case EXPLORER_DROP_RELEASE:
        return access && (site->written == EXPLORER_RELEASE || site->written == EXPLORER_ACQ_REL);
    case EXPLORER_DROP_BARRIER:
    case EXPLORER_LOCAL_BARRIER:
        return site->op == EXPLORER_MEMBARRIER;
    case EXPLORER_LATE_STORE:
        return site->op == EXPLORER_LIGHT_BARRIER;
    case EXPLORER_NO_MUTATION:
    case EXPLORER_MUTATIONS:
        break;
    }
    return false;
}

static enum explorer_order weakened(enum explorer_order order, enum explorer_mutation mutation)
{
    if (mutation == EXPLORER_DROP_ACQUIRE)
        return order == EXPLORER_ACQ_REL ? EXPLORER_RELEASE : EXPLORER_RELAXED;
    if (mutation == EXPLORER_DROP_RELEASE)
        return order == EXPLORER_ACQ_REL ? EXPLORER_ACQUIRE : EXPLORER_RELAXED;
    return order;
}

void explorer_mutate(struct explorer_site *site, enum explorer_mutation mutation)
{
    if (mutation != EXPLORER_NO_MUTATION && !explorer_can_mutate(site, mutation))
        abort(); /* a mutant that weakens nothing would count as a survivor */
    site->mutation = mutation;
    site->order = weakened(site->written, mutation);
}

const char *explorer_mutation_name(enum explorer_mutation mutation)
{
    static const char *const names[] = {"as written",   "drop acquire",  "drop release",
                                        "drop barrier", "local barrier", "late store"};
    return names[mutation];
}
