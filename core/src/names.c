/*
 * Names to numbers. The slots keep the hash of each name, so a growing table
 * never looks at the names again. Texts go into blocks that are filled one
 * after the other and never moved.
 */
#include "names.h"

#include "internal.h"

#include <string.h>

enum { FIRST_SLOTS = 16, FIRST_BLOCK = 256, LARGEST_BLOCK = 64 * 1024 };

struct astrum__name_block {
  astrum__name_block *next;
  size_t size, used; /* of the bytes */
  unsigned char bytes[];
};

static uint32_t hash_name(const unsigned char *bytes, size_t size) {
  const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15);
  uint64_t hash = (uint64_t)size * factor;
  while (size > 0) {
    uint64_t word = 0;
    size_t part = size < sizeof word ? size : sizeof word;
    memcpy(&word, bytes, part);
    hash = (hash ^ word) * factor;
    hash ^= hash >> 32;
    bytes += part;
    size -= part;
  }
  hash *= factor;
  return (uint32_t)(hash >> 32);
}

static size_t text_size(const unsigned char *text) {
  return (size_t)text[0] << 8 | text[1];
}

/* The slot of a name, or the empty one where it belongs. */
static astrum__name_slot *find_slot(const astrum__names *names, uint32_t hash,
                                    const void *bytes, size_t size) {
  size_t i = hash & (names->slot_count - 1);
  for (;;) {
    astrum__name_slot *slot = &names->slots[i];
    if (slot->id == ASTRUM_NO_TASK)
      return slot;
    if (slot->hash == hash) {
      const unsigned char *text = names->texts[slot->id];
      if (text_size(text) == size &&
          (size == 0 || memcmp(text + 2, bytes, size) == 0))
        return slot;
    }
    i = (i + 1) & (names->slot_count - 1);
  }
}

static uint32_t find_id(const astrum__names *names, uint32_t hash,
                        const void *bytes, size_t size) {
  return names->slot_count == 0 ? ASTRUM_NO_TASK
                                : find_slot(names, hash, bytes, size)->id;
}

static int slots_are_full(const astrum__names *names) {
  return names->count >= names->slot_count - names->slot_count / 4;
}

static astrum_err grow_slots(const astrum_alloc *a, astrum__names *names) {
  size_t count = names->slot_count == 0 ? FIRST_SLOTS : names->slot_count * 2;
  astrum__name_slot *slots = astrum__alloc_array(a, count, sizeof *slots);
  if (slots == NULL)
    return ASTRUM_ENOMEM;
  for (size_t i = 0; i < count; i++)
    slots[i].id = ASTRUM_NO_TASK;
  for (size_t i = 0; i < names->slot_count; i++) {
    if (names->slots[i].id == ASTRUM_NO_TASK)
      continue;
    size_t k = names->slots[i].hash & (count - 1);
    while (slots[k].id != ASTRUM_NO_TASK)
      k = (k + 1) & (count - 1);
    slots[k] = names->slots[i];
  }
  astrum__free(a, names->slots, names->slot_count * sizeof *slots);
  names->slots = slots;
  names->slot_count = count;
  return ASTRUM_OK;
}

/* Room for `size` bytes in the newest block, after adding one if need be. */
static astrum_err make_room(const astrum_alloc *a, astrum__names *names,
                            size_t size) {
  const astrum__name_block *newest = names->blocks;
  if (newest != NULL && newest->size - newest->used >= size)
    return ASTRUM_OK;
  size_t room = newest == NULL ? FIRST_BLOCK : newest->size * 2;
  while (room < size)
    room *= 2;
  if (room > LARGEST_BLOCK)
    room = LARGEST_BLOCK;
  astrum__name_block *block = astrum__realloc(a, NULL, 0, sizeof *block + room);
  if (block == NULL)
    return ASTRUM_ENOMEM;
  block->next = names->blocks;
  block->size = room;
  block->used = 0;
  names->blocks = block;
  return ASTRUM_OK;
}

static const unsigned char *copy_text(astrum__names *names, const void *bytes,
                                      size_t size) {
  astrum__name_block *block = names->blocks;
  unsigned char *text = block->bytes + block->used;
  block->used += size + 2;
  text[0] = (unsigned char)(size >> 8);
  text[1] = (unsigned char)(size & 0xff);
  if (size > 0)
    memcpy(text + 2, bytes, size);
  return text;
}

astrum_err astrum__names_add(const astrum_alloc *a, astrum__names *names,
                             const void *bytes, size_t size, uint32_t *id) {
  if (size > ASTRUM_NAME_MAX)
    return ASTRUM_ELIMIT;
  uint32_t hash = hash_name(bytes, size);
  uint32_t known = find_id(names, hash, bytes, size);
  if (known != ASTRUM_NO_TASK) {
    *id = known;
    return ASTRUM_EEXIST;
  }
  if (names->count >= ASTRUM_NO_TASK - 1)
    return ASTRUM_ELIMIT;
  if (astrum__grow(a, (void **)&names->texts, &names->text_capacity,
                   (size_t)names->count + 1, sizeof *names->texts) != ASTRUM_OK)
    return ASTRUM_ENOMEM;
  if (make_room(a, names, size + 2) != ASTRUM_OK)
    return ASTRUM_ENOMEM;
  if (slots_are_full(names) && grow_slots(a, names) != ASTRUM_OK)
    return ASTRUM_ENOMEM;
  astrum__name_slot *slot = find_slot(names, hash, bytes, size);
  names->texts[names->count] = copy_text(names, bytes, size);
  slot->hash = hash;
  slot->id = names->count;
  *id = names->count++;
  return ASTRUM_OK;
}

uint32_t astrum__names_find(const astrum__names *names, const void *bytes,
                            size_t size) {
  return find_id(names, hash_name(bytes, size), bytes, size);
}

const char *astrum__names_get(const astrum__names *names, uint32_t id,
                              size_t *size) {
  assert(id < names->count);
  *size = text_size(names->texts[id]);
  return (const char *)names->texts[id] + 2;
}

void astrum__names_trim(const astrum_alloc *a, astrum__names *names) {
  if (names->count == 0 || names->count == names->text_capacity)
    return;
  void *moved = astrum__realloc(a, (void *)names->texts,
                                names->text_capacity * sizeof *names->texts,
                                names->count * sizeof *names->texts);
  if (moved == NULL)
    return;
  names->texts = moved;
  names->text_capacity = names->count;
}

void astrum__names_free(const astrum_alloc *a, astrum__names *names) {
  while (names->blocks != NULL) {
    astrum__name_block *block = names->blocks;
    names->blocks = block->next;
    astrum__free(a, block, sizeof *block + block->size);
  }
  astrum__free(a, names->slots, names->slot_count * sizeof *names->slots);
  astrum__free(a, (void *)names->texts,
               names->text_capacity * sizeof *names->texts);
  *names = (astrum__names){0};
}
