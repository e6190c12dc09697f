/*
 * A set of names, numbered from 0 in the order in which they came. Each name is
 * copied once and never moves:
 *
 *   slots   {hash, id} {hash, id} ...    open addressing, in order of the hash
 *                    |
 *   texts   [id] -> place of the name: the block, and where in it
 *                    |
 *   blocks  size (2 bytes), bytes of the name, size, bytes, ...
 */
#ifndef ASTRUM_NAMES_H
#define ASTRUM_NAMES_H

#include "alloc.h"

typedef struct {
  uint32_t hash;
  uint32_t id; /* ASTRUM_NO_TASK: the slot is empty */
} astrum__name_slot;

typedef struct astrum__name_block astrum__name_block;

/* All zero is an empty set. */
typedef struct {
  uint32_t count;
  astrum__name_slot *slots;
  size_t slot_count;
  size_t slot_limit; /* how many names may stand in them */
  uint32_t *texts;   /* by id */
  size_t text_capacity;
  astrum__name_block **blocks; /* the newest is the last */
  size_t block_capacity;
  size_t text_size; /* bytes that are used in all blocks */
  uint32_t block_count;
} astrum__names;

/* Gives all memory back; the set is empty after. */
void astrum__names_free(const astrum_alloc *a, astrum__names *names);

/* Makes room for so many names in all, as far as it is known without them.
   ENOMEM leaves the room that there is. */
astrum_err astrum__names_reserve(const astrum_alloc *a, astrum__names *names,
                                 uint32_t count);

/*
 * Copies a name. EEXIST: it is there already, and `*id` is its number; ELIMIT
 * for more than ASTRUM_NAME_MAX bytes, no number left or 4 GiB of names;
 * ENOMEM.
 */
astrum_err astrum__names_add(const astrum_alloc *a, astrum__names *names,
                             const void *bytes, size_t size, uint32_t *id);

/* Number of a name, or ASTRUM_NO_TASK. */
uint32_t astrum__names_find(const astrum__names *names, const void *bytes,
                            size_t size);

/* Bytes of name `id`, valid until the set is freed. */
const char *astrum__names_get(const astrum__names *names, uint32_t id,
                              size_t *size);

/* Gives spare room back; more names may still be added. */
void astrum__names_trim(const astrum_alloc *a, astrum__names *names);

#endif
