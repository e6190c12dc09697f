/*
 * An allocator that counts, checks and fails on demand:
 *
 *   FAULT_SWEEP(fault) {
 *     astrum_alloc alloc = fault_allocator(&fault);
 *     ... do something, CHECK what must hold when fault.failed > 0, free ...
 *   }
 *
 * The body runs with allocation 0, 1, 2 ... failing, until none failed: first
 * that one alone, then that one and all later ones. After each round all memory
 * must have been given back.
 */
#ifndef ASTRUM_FAULT_H
#define ASTRUM_FAULT_H

#include "check.h"

#include <astrum.h>
#include <stdalign.h>
#include <stdlib.h>

#define FAULT_NONE SIZE_MAX

typedef struct {
  size_t fail_at;    /* number, from 0, of the allocation that fails */
  int for_ever;      /* the later ones fail too */
  int pause;         /* for the time being, none fails */
  size_t count;      /* allocations asked for, growing included */
  size_t failed;     /* of these, refused */
  size_t live;       /* bytes handed out and not given back */
  size_t peak;       /* most of these at any time */
  size_t wrong_size; /* blocks that came back with another size */
  int rounds;        /* of a sweep, so far */
} fault_state;

typedef union {
  size_t size;
  max_align_t align;
} fault_header;

/* Has the shape of astrum_alloc_fn; `user` is a fault_state. */
static inline void *fault_alloc(void *user, void *ptr, size_t old_size,
                                size_t new_size) {
  fault_state *fault = user;
  fault_header *block = ptr == NULL ? NULL : (fault_header *)ptr - 1;
  size_t size = block == NULL ? 0 : block->size;
  /* Without a block Lua passes the kind of object as the old size. */
  if (block != NULL && size != old_size)
    fault->wrong_size++;
  if (new_size > size) {
    size_t number = fault->count++;
    if (!fault->pause && (number == fault->fail_at ||
                          (fault->for_ever && number > fault->fail_at))) {
      fault->failed++;
      return NULL;
    }
  }
  /* Always another place, so that the use of an old pointer is found. */
  fault_header *moved = NULL;
  if (new_size > 0) {
    moved = malloc(sizeof *moved + new_size);
    if (moved == NULL) {
      abort();
    }
    moved->size = new_size;
    if (block != NULL) {
      memcpy(moved + 1, block + 1, size < new_size ? size : new_size);
    }
  }
  free(block);
  fault->live = fault->live - size + new_size;
  fault->peak = fault->live > fault->peak ? fault->live : fault->peak;
  return moved == NULL ? NULL : moved + 1;
}

/* `fault` must live as long as what is made with the result. */
static inline astrum_alloc fault_allocator(fault_state *fault) {
  astrum_alloc alloc = {.fn = fault_alloc, .user = fault};
  return alloc;
}

/* Counts and checks only; set fail_at to let an allocation fail. */
static inline fault_state fault_none(void) {
  fault_state fault = {.fail_at = FAULT_NONE};
  return fault;
}

/* Allocations from now on: the next `skip` succeed, the one after fails. */
static inline void fault_after(fault_state *fault, size_t skip, int for_ever) {
  fault->fail_at = fault->count + skip;
  fault->for_ever = for_ever;
}

/* With `pause` 1 none fails until the call with 0. */
static inline void fault_pause(fault_state *fault, int pause) {
  fault->pause = pause;
}

static inline int fault_next_round(fault_state *fault) {
  fault_state next = {.rounds = fault->rounds + 1};
  if (fault->rounds > 0) {
    CHECK_EQ(fault->live, 0);
    CHECK_EQ(fault->wrong_size, 0);
    next.for_ever = fault->for_ever;
    next.fail_at = fault->fail_at + 1;
    if (fault->failed == 0) {
      next.for_ever = 1;
      next.fail_at = 0;
    }
  }
  int over = fault->rounds > 0 && fault->failed == 0 && fault->for_ever;
  *fault = next;
  return !over;
}

#define FAULT_SWEEP(name)                                                      \
  for (fault_state name = {.rounds = 0}; fault_next_round(&name);)

#endif
