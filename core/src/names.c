/*
 * Names to numbers. The slots keep the hash of each name, so a growing table
 * never looks at the names again. As they are in the order of the hash, it
 * grows from one end to the other instead of all over the memory. Texts go into
 * blocks that are filled one after the other and never moved.
 */
#include "names.h"

#include "internal.h"

#include <string.h>

enum { FIRST_SLOTS = 16, SMALLEST_BLOCK = 256 };

/* One more than there are numbers, so that there is always an empty one. */
#define MOST_SLOTS ((size_t)UINT32_MAX)

/* A place in a block has 16 bits, as the number of a block. */
#define LARGEST_BLOCK ((size_t)1 << 16)
#define MOST_BLOCKS ((uint32_t)1 << 16)

struct astrum__name_block {
  size_t size, used; /* of the bytes */
  unsigned char bytes[];
};

/* Up to 8 bytes as a number; those of one size have different numbers. */
static uint64_t read_word(const unsigned char *bytes, size_t size) {
  uint32_t low, high;
  if (size < sizeof low)
    return (uint64_t)bytes[0] | (uint64_t)bytes[size / 2] << 8 |
           (uint64_t)bytes[size - 1] << 16;
  memcpy(&low, bytes, sizeof low);
  memcpy(&high, bytes + size - sizeof high, sizeof high);
  return (uint64_t)high << 32 | low;
}

static uint32_t hash_name(const unsigned char *bytes, size_t size) {
  const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15);
  uint64_t hash = (uint64_t)size * factor;
  while (size > 0) {
    size_t part = size < sizeof hash ? size : sizeof hash;
    hash = (hash ^ read_word(bytes, part)) * factor;
    hash ^= hash >> 32;
    bytes += part;
    size -= part;
  }
  hash *= factor;
  return (uint32_t)(hash >> 32);
}

static const unsigned char *text_of(const astrum__names *names, uint32_t id) {
  uint32_t place = names->texts[id];
  return names->blocks[place / LARGEST_BLOCK]->bytes + place % LARGEST_BLOCK;
}

static size_t text_size(const unsigned char *text) {
  return (size_t)text[0] << 8 | text[1];
}

/* Where to look first for a hash among `count` slots. */
static size_t first_slot(uint32_t hash, size_t count) {
  return (size_t)((uint64_t)hash * count >> 32);
}

/* The slot of a name, or the empty one where it belongs. */
static astrum__name_slot *find_slot(const astrum__names *names, uint32_t hash,
                                    const void *bytes, size_t size) {
  size_t i = first_slot(hash, names->slot_count);
  for (;;) {
    astrum__name_slot *slot = &names->slots[i];
    if (slot->id == ASTRUM_NO_TASK)
      return slot;
    if (slot->hash == hash) {
      const unsigned char *text = text_of(names, slot->id);
      if (text_size(text) == size &&
          (size == 0 || memcmp(text + 2, bytes, size) == 0))
        return slot;
    }
    if (++i == names->slot_count)
      i = 0;
  }
}

/* Moves all names to a table of another size, which `limit` may fill. */
static astrum_err resize_slots(const astrum_alloc *a, astrum__names *names,
                               size_t count, size_t limit) {
  astrum__name_slot *slots = astrum__alloc_array(a, count, sizeof *slots);
  if (slots == NULL)
    return ASTRUM_ENOMEM;
  for (size_t i = 0; i < count; i++)
    slots[i].id = ASTRUM_NO_TASK;
  for (size_t i = 0; i < names->slot_count; i++) {
    if (names->slots[i].id == ASTRUM_NO_TASK)
      continue;
    size_t k = first_slot(names->slots[i].hash, count);
    while (slots[k].id != ASTRUM_NO_TASK)
      if (++k == count)
        k = 0;
    slots[k] = names->slots[i];
  }
  astrum__free(a, names->slots, names->slot_count * sizeof *slots);
  names->slots = slots;
  names->slot_count = count;
  names->slot_limit = limit;
  return ASTRUM_OK;
}

/* The fewest slots in which so many names are still found fast. */
static size_t fewest_slots(uint32_t names) {
  size_t count = (size_t)names + names / 7 + 1;
  return count < MOST_SLOTS ? count : MOST_SLOTS;
}

static astrum_err grow_slots(const astrum_alloc *a, astrum__names *names) {
  size_t count = FIRST_SLOTS;
  if (names->slot_count > MOST_SLOTS / 2)
    return resize_slots(a, names, MOST_SLOTS, MOST_SLOTS);
  if (names->slot_count > FIRST_SLOTS / 2)
    count = names->slot_count * 2;
  return resize_slots(a, names, count, count / 4 * 3);
}

/* Room for a text of `size` bytes in the newest block, after adding one if need
   be. */
static astrum_err make_room(const astrum_alloc *a, astrum__names *names,
                            size_t size) {
  if (names->block_count > 0) {
    const astrum__name_block *newest = names->blocks[names->block_count - 1];
    if (newest->size - newest->used >= size)
      return ASTRUM_OK;
  }
  if (names->block_count == MOST_BLOCKS)
    return ASTRUM_ELIMIT;
  if (astrum__grow(a, (void **)&names->blocks, &names->block_capacity,
                   (size_t)names->block_count + 1,
                   sizeof *names->blocks) != ASTRUM_OK)
    return ASTRUM_ENOMEM;
  /* A quarter of what there is, so that little stays empty. */
  size_t room = names->text_size / 4;
  if (room < SMALLEST_BLOCK)
    room = SMALLEST_BLOCK;
  if (room < size)
    room = size;
  if (room > LARGEST_BLOCK)
    room = LARGEST_BLOCK;
  astrum__name_block *block = astrum__realloc(a, NULL, 0, sizeof *block + room);
  if (block == NULL)
    return ASTRUM_ENOMEM;
  block->size = room;
  block->used = 0;
  names->blocks[names->block_count++] = block;
  return ASTRUM_OK;
}

/* Returns its place. */
static uint32_t copy_text(astrum__names *names, const void *bytes,
                          size_t size) {
  uint32_t number = names->block_count - 1;
  astrum__name_block *block = names->blocks[number];
  unsigned char *text = block->bytes + block->used;
  uint32_t place = number * (uint32_t)LARGEST_BLOCK + (uint32_t)block->used;
  block->used += size + 2;
  names->text_size += size + 2;
  text[0] = (unsigned char)(size >> 8);
  text[1] = (unsigned char)(size & 0xff);
  if (size > 0)
    memcpy(text + 2, bytes, size);
  return place;
}

static astrum_err texts_room(const astrum_alloc *a, astrum__names *names,
                             size_t count) {
  return astrum__grow(a, (void **)&names->texts, &names->text_capacity, count,
                      sizeof *names->texts);
}

astrum_err astrum__names_reserve(const astrum_alloc *a, astrum__names *names,
                                 uint32_t count) {
  if (texts_room(a, names, count) != ASTRUM_OK)
    return ASTRUM_ENOMEM;
  if (count <= names->slot_limit)
    return ASTRUM_OK;
  return resize_slots(a, names, fewest_slots(count), count);
}

astrum_err astrum__names_add(const astrum_alloc *a, astrum__names *names,
                             const void *bytes, size_t size, uint32_t *id) {
  if (size > ASTRUM_NAME_MAX)
    return ASTRUM_ELIMIT;
  if (names->count >= names->slot_limit && grow_slots(a, names) != ASTRUM_OK)
    return ASTRUM_ENOMEM;
  uint32_t hash = hash_name(bytes, size);
  astrum__name_slot *slot = find_slot(names, hash, bytes, size);
  if (slot->id != ASTRUM_NO_TASK) {
    *id = slot->id;
    return ASTRUM_EEXIST;
  }
  if (names->count >= ASTRUM_NO_TASK - 1)
    return ASTRUM_ELIMIT;
  astrum_err err =
      astrum__grow(a, (void **)&names->texts, &names->text_capacity,
                   (size_t)names->count + 1, sizeof *names->texts);
  if (err == ASTRUM_OK)
    err = make_room(a, names, size + 2);
  if (err != ASTRUM_OK)
    return err;
  names->texts[names->count] = copy_text(names, bytes, size);
  slot->hash = hash;
  slot->id = names->count;
  *id = names->count++;
  return ASTRUM_OK;
}

uint32_t astrum__names_find(const astrum__names *names, const void *bytes,
                            size_t size) {
  if (names->slot_count == 0)
    return ASTRUM_NO_TASK;
  return find_slot(names, hash_name(bytes, size), bytes, size)->id;
}

const char *astrum__names_get(const astrum__names *names, uint32_t id,
                              size_t *size) {
  assert(id < names->count);
  const unsigned char *text = text_of(names, id);
  *size = text_size(text);
  return (const char *)text + 2;
}

void astrum__names_trim(const astrum_alloc *a, astrum__names *names) {
  /* Where there is no memory to move what is there, it stays. */
  size_t slots = fewest_slots(names->count);
  if (slots < names->slot_count)
    resize_slots(a, names, slots, names->count);
  if (names->count == 0 || names->count == names->text_capacity)
    return;
  uint32_t *moved =
      astrum__realloc(a, names->texts, names->text_capacity * sizeof *moved,
                      names->count * sizeof *moved);
  if (moved == NULL)
    return;
  names->texts = moved;
  names->text_capacity = names->count;
}

void astrum__names_free(const astrum_alloc *a, astrum__names *names) {
  for (uint32_t i = 0; i < names->block_count; i++)
    astrum__free(a, names->blocks[i],
                 sizeof **names->blocks + names->blocks[i]->size);
  astrum__free(a, (void *)names->blocks,
               names->block_capacity * sizeof *names->blocks);
  astrum__free(a, names->slots, names->slot_count * sizeof *names->slots);
  astrum__free(a, names->texts, names->text_capacity * sizeof *names->texts);
  *names = (astrum__names){0};
}
