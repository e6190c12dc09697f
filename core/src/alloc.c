/*
 * The allocator hook, and the only file of the core that calls the C library's
 * allocator.
 */
#include "alloc.h"

#include "internal.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 16, NEW_BYTE = 0xAA, FREED_BYTE = 0x55 };

static void *c_library_alloc(void *user, void *ptr, size_t old_size,
                             size_t new_size) {
  (void)user;
  if (new_size == 0) {
    free(ptr);
    return NULL;
  }
  void *moved = realloc(ptr, new_size);
  /* The block is still good for its first bytes. */
  if (moved == NULL && ptr != NULL && new_size <= old_size)
    return ptr;
  return moved;
}

astrum_alloc astrum__alloc_or_default(const astrum_alloc *a) {
  astrum_alloc c_library = {.fn = c_library_alloc, .user = NULL};
  return a == NULL || a->fn == NULL ? c_library : *a;
}

/* Makes the use of bytes that nobody wrote, or nobody owns, show up. */
static void fill(void *ptr, size_t from, size_t to, int byte) {
#ifdef NDEBUG
  (void)ptr, (void)from, (void)to, (void)byte;
#else
  if (ptr != NULL && to > from)
    memset((unsigned char *)ptr + from, byte, to - from);
#endif
}

void *astrum__realloc(const astrum_alloc *a, void *ptr, size_t old_size,
                      size_t new_size) {
  assert(ptr != NULL || old_size == 0);
  if (ptr == NULL && new_size == 0)
    return NULL;
  fill(ptr, new_size, old_size, FREED_BYTE);
  void *moved = a->fn(a->user, ptr, old_size, new_size);
  fill(moved, old_size, new_size, NEW_BYTE);
  return moved;
}

void astrum__free(const astrum_alloc *a, void *ptr, size_t size) {
  if (ptr != NULL)
    astrum__realloc(a, ptr, size, 0);
}

void *astrum__alloc_array(const astrum_alloc *a, size_t count, size_t size) {
  if (size != 0 && count > SIZE_MAX / size)
    return NULL;
  return astrum__realloc(a, NULL, 0, count * size);
}

void *astrum__zalloc(const astrum_alloc *a, size_t count, size_t size) {
  void *ptr = astrum__alloc_array(a, count, size);
  if (ptr != NULL)
    memset(ptr, 0, count * size);
  return ptr;
}

astrum_err astrum__grow_array(const astrum_alloc *a, void **array,
                              size_t *capacity, size_t need, size_t size) {
  assert(size > 0);
  size_t most = SIZE_MAX / size;
  if (need > most)
    return ASTRUM_ENOMEM;
  size_t wanted = *capacity > most / 2 ? most : *capacity * 2;
  if (wanted < FIRST_CAPACITY)
    wanted = FIRST_CAPACITY < most ? FIRST_CAPACITY : most;
  if (wanted < need)
    wanted = need;
  /* `*array` may be a pointer of another type: it is copied, not read. */
  void *moved;
  memcpy(&moved, array, sizeof moved);
  moved = astrum__realloc(a, moved, *capacity * size, wanted * size);
  if (moved == NULL)
    return ASTRUM_ENOMEM;
  memcpy(array, &moved, sizeof moved);
  *capacity = wanted;
  return ASTRUM_OK;
}
