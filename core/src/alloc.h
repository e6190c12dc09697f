/*
 * Memory of the core. Every object keeps an astrum_alloc and takes all its
 * memory through these functions, giving the size of each block back with it.
 * Debug builds fill new bytes with 0xAA and freed bytes with 0x55.
 */
#ifndef ASTRUM_ALLOC_H
#define ASTRUM_ALLOC_H

#include <astrum.h>

/* What a `_new` function was given, or the C library's for NULL or no fn. */
astrum_alloc astrum__alloc_or_default(const astrum_alloc *a);

/*
 * Resizes a block. `ptr` NULL (then old_size is 0) allocates; new_size 0 frees
 * and returns NULL. NULL for want of memory leaves the block as it was.
 * Shrinking does not fail.
 */
void *astrum__realloc(const astrum_alloc *a, void *ptr, size_t old_size,
                      size_t new_size);

/* `size` is what the block was allocated with; `ptr` may be NULL. */
void astrum__free(const astrum_alloc *a, void *ptr, size_t size);

/*
 * `count` elements of `size` bytes; NULL when there is no memory, when the
 * product overflows, and when it is 0. The second one fills with zeros.
 */
void *astrum__alloc_array(const astrum_alloc *a, size_t count, size_t size);
void *astrum__zalloc(const astrum_alloc *a, size_t count, size_t size);

/* The part of the next function for what has no room. */
astrum_err astrum__grow_array(const astrum_alloc *a, void **array,
                              size_t *capacity, size_t need, size_t size);

/*
 * Makes room for at least `need` elements of `size` bytes in `*array`, which
 * has `*capacity` now: doubles it, from 16. ENOMEM changes neither. `array`
 * may be the address of any pointer to objects, cast to void **.
 */
static inline astrum_err astrum__grow(const astrum_alloc *a, void **array,
                                      size_t *capacity, size_t need,
                                      size_t size) {
  return need <= *capacity ? ASTRUM_OK
                           : astrum__grow_array(a, array, capacity, need, size);
}

#endif
