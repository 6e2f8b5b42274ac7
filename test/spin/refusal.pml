/* SPDX-License-Identifier: MIT */
/*
 * When a get that does not wait is refused by the capacity: taking from a full store (pool/depot/bounded.c) and the
 * tight mode of pool/cache/reclaim.c. Threads get, put and discard objects of one pool for ever: two with a head each,
 * and one without, whose refusals are looked at; other getters that tighten are steps of `others`. So are ticks, which
 * take from heads, tear down, and leave the tight mode two ticks after it began, when a quarter is free. All see stores
 * at once: what a head hides in a store buffer is in waiters.pml and reclaim.pml.
 *
 * Asserted:
 *   - a get is refused only if at some moment of the call all objects were out (from the step that took one, or the
 *     permit to build one, to the step that stored it); or if its own tighten timed out, as an owner hid some; or if it
 *     has waited for the fini of one that a tick tears down
 *   - it looks again only if the mode was left since its tighten returned, and after a timeout once more. So it ends,
 *     unless each time the mode is left between its tighten and its look, for which each time two ticks must pass
 *   - objects idle, dying and out are together those held
 *
 * Mutants that refuse too much:
 *     -DLOOK_ONCE     after the tighten it looks once and believes that, whatever became of the mode: as first written
 *     -DREAD_AFTER    it reads the mode when it has let go of the store's lock
 *     -DREAD_BEFORE   before it takes it
 *     -DHALF_TIGHT    it believes what it sees while the mode is but beginning
 *     -DNO_LEFT       tighten says that all were seen although an owner hides some
 *     -DNO_FINI       it does not wait for a fini
 *     -DOWN_HEAD      owners use their heads in the tight mode
 * that look too often:
 *     -DAGAIN         what is full in the tight mode is looked at again
 *     -DPATIENT       after a timeout it tightens again
 *
 * Not modelled: getters that wait as long as they like (waiters.pml), shards, builds that fail.
 */
#define OWNERS 2
#ifndef CAPACITY
#define CAPACITY 2
#endif
#define STEP 2 /* most that a head takes from the store at once */

mtype = { LOOSE, TIGHTENING, TIGHT };
mtype mode = LOOSE;
byte ticks; /* since the mode began; 2: or more */
bool reclaim_lock;

byte stored, held;
byte dying; /* being torn down by a tick; held until their fini is over */
byte out;

typedef head_t {
    bool lock, busy, armed;
    byte cached
};
head_t head[OWNERS];

/* Of the getter's call: */
bool all_out;   /* at some moment of it */
bool left;      /* the mode was, since its tighten returned */
bool timed_out; /* its tighten */
bool waited;    /* for a fini, as long as it may */

inline took()
{
    out++;
    have++;
    if :: out == CAPACITY -> all_out = true :: else fi
}

inline put_down()
{
    out--;
    have--
}

/* ---- the tight mode, under the reclaim lock ---- */

inline empty_head(t)
{
    stored = stored + head[t].cached;
    head[t].cached = 0;
    head[t].armed = true
}

inline begin_round()
{
    if :: mode == LOOSE -> mode = TIGHTENING; ticks = 0 :: else fi;
    for (i : 0 .. OWNERS - 1) {
        if :: !head[i].lock -> head[i].armed = true :: else fi
    };
    i = 0;
    n = 0
}

inline end_round(to)
{
    mode = to;
    n = 0;
    left = false;
    reclaim_lock = false
}

/* Counts those that refuse. */
inline take_head(t)
{
    if
    :: !head[t].lock && head[t].armed && !head[t].busy -> empty_head(t)
    :: else -> n++
    fi
}

#ifdef NO_LEFT
#define ALL_TAKEN true
#else
#define ALL_TAKEN (n == 0)
#endif

inline tighten()
{
    if
    :: d_step { mode == TIGHT -> left = false }
    :: else ->
       atomic { !reclaim_lock -> reclaim_lock = true };
       do
       :: d_step { mode == TIGHT -> end_round(TIGHT) } -> break
       :: d_step { mode != TIGHT -> begin_round() };
          d_step { take_head(0) };
          d_step { take_head(1) };
          if
          :: d_step { ALL_TAKEN -> end_round(TIGHT) } -> break
          :: !(ALL_TAKEN) /* another round */
          :: d_step { !(ALL_TAKEN) -> end_round(mode); timed_out = true } -> break
          fi
       od
    fi
}

/* ---- getters ---- */

#ifdef HALF_TIGHT
#define IS_TIGHT (mode != LOOSE)
#else
#define IS_TIGHT (mode == TIGHT)
#endif

inline take()
{
    if
    :: stored > 0 -> stored--; took(); done = true
    :: stored == 0 && held < CAPACITY -> held++; took(); done = true
    :: else
    fi
}

/* Under the store's lock. */
inline look()
{
#if defined(READ_BEFORE)
    tight = IS_TIGHT;
    d_step { take(); dies = dying > 0 }
#elif defined(READ_AFTER)
    d_step { take(); dies = dying > 0 };
    tight = IS_TIGHT
#else
    d_step { take(); tight = IS_TIGHT; dies = dying > 0 }
#endif
}

#if defined(LOOK_ONCE)
#define BELIEVES again
#elif defined(AGAIN)
#define BELIEVES timed_out
#elif defined(PATIENT)
#define BELIEVES tight
#else
#define BELIEVES (tight || timed_out)
#endif

#ifdef NO_FINI
#define WAITS_FOR_FINI false
#else
#define WAITS_FOR_FINI dies
#endif

/* Among those that wait, but for a short time. */
inline wait_for_fini()
{
    if
    :: d_step { stored > 0 || held < CAPACITY -> take() }
    :: waited = true
    fi
}

inline get()
{
    do
    :: look();
       if
       :: done -> break
       :: !done && (BELIEVES) ->
          if
          :: WAITS_FOR_FINI -> wait_for_fini()
          :: else
          fi;
          assert(done || all_out || timed_out || waited);
          break
       :: else ->
          atomic { assert(!again || left); again = true };
          tighten()
       fi
    od
}

active proctype getter()
{
    byte have, i, n;
    bool done, again, tight, dies;
end:
    do
    :: d_step { have == 0 -> all_out = (out == CAPACITY) };
       get();
       atomic {
           all_out = false; left = false; timed_out = false; waited = false;
           done = false; again = false; tight = false; dies = false
       }
    :: d_step { have > 0 -> put_down(); stored++ }
    :: d_step { have > 0 -> put_down(); held-- } /* discards it */
    od
}

/* ---- owners ---- */

#ifdef OWN_HEAD
#define IN_USE true
#else
#define IN_USE (mode == LOOSE)
#endif

/* The head may be used, and is no more armed; or what it had is handed in. */
inline enter()
{
    d_step {
        !head[me].lock ->
        head[me].lock = true;
        if
        :: IN_USE -> head[me].armed = false; uses = true
        :: else -> empty_head(me)
        fi
    }
}

inline leave()
{
    head[me].lock = false;
    uses = false
}

/* From the cache, or with some more from the store. */
inline get_cached()
{
    if
    :: uses && head[me].cached > 0 -> head[me].cached--; took(); done = true
    :: uses && head[me].cached == 0 && stored > 0 ->
       n = (stored < STEP -> stored : STEP);
       stored = stored - n;
       head[me].cached = n - 1;
       n = 0;
       took();
       done = true
    :: else
    fi
}

inline get_or_put()
{
    if
    :: putting && uses -> head[me].cached++; put_down(); done = true
    :: !putting -> get_cached()
    :: else
    fi
}

/* Outside the head. */
inline get_or_put_stored()
{
    if
    :: putting -> stored++; put_down()
    :: else -> take()
    fi
}

proctype owner(byte me)
{
    byte have, i, n;
    bool done, putting, uses;
end:
    do
    :: d_step { have < CAPACITY -> head[me].busy = true; putting = false };
       goto fast
    :: d_step { have > 0 -> head[me].busy = true; putting = true };
       goto fast
    :: d_step { have > 0 -> put_down(); held-- };
       goto next
fast:
       if
       :: d_step { !head[me].armed && putting -> head[me].cached++; put_down() };
          head[me].busy = false
       :: d_step { !head[me].armed && !putting && head[me].cached > 0 -> head[me].cached--; took() };
          head[me].busy = false
       :: d_step { head[me].armed || (!putting && head[me].cached == 0) -> head[me].busy = false };
          enter();
          d_step { get_or_put(); leave() };
          if
          :: done
          :: d_step { !done -> get_or_put_stored() }
          fi
       fi;
next:
       atomic { done = false; putting = false }
    od
}

/* ---- ticks, their parts in any order; and other getters ---- */

inline tick_head(t)
{
    d_step {
        !reclaim_lock && !head[t].lock && (!head[t].armed || (!head[t].busy && head[t].cached > 0)) ->
        if
        :: head[t].armed -> empty_head(t)
        :: else -> head[t].armed = true
        fi
    }
}

#define IS_QUIET(t) (!head[t].lock && !head[t].busy)

/* Of a getter that is not modelled: all of its tighten in one step. */
inline another_round()
{
    begin_round();
    if :: IS_QUIET(0) -> empty_head(0) :: else fi;
    if :: IS_QUIET(1) -> empty_head(1) :: else fi
}

active proctype others()
{
    byte i, n;
end:
    do
    :: tick_head(0)
    :: tick_head(1)
    :: d_step { !reclaim_lock && mode != LOOSE && ticks < 2 -> ticks++ }
    :: d_step { /* under the store's lock */
          !reclaim_lock && mode != LOOSE && ticks == 2 && CAPACITY - held + stored > CAPACITY / 4 ->
          mode = LOOSE;
          ticks = 0;
          left = true
       }
    :: d_step { !reclaim_lock && mode != TIGHT && IS_QUIET(0) && IS_QUIET(1) -> another_round(); mode = TIGHT }
    :: d_step { !reclaim_lock && mode == LOOSE -> another_round() }
    :: d_step { stored > 0 && dying == 0 -> stored--; dying = 1 } /* one at a time */
    :: d_step { dying > 0 -> dying = 0; held-- }
    :: assert(stored + dying + out + head[0].cached + head[1].cached == held && held <= CAPACITY)
    od
}

init
{
    byte i;
    atomic {
        for (i : 0 .. OWNERS - 1) {
            run owner(i);
            head[i].armed = true
        }
    }
}
