#include "heap.h"

enum { WIDTH = 4 };

static int fires_before(const astrum__heap_entry *a,
                        const astrum__heap_entry *b) {
  return a->due != b->due ? a->due < b->due : a->timer->order < b->timer->order;
}

static void put(astrum__heap *heap, size_t i, astrum__heap_entry entry) {
  heap->entries[i] = entry;
  entry.timer->place = i + 1;
}

static void sift_up(astrum__heap *heap, size_t i, astrum__heap_entry entry) {
  while (i > 0 && fires_before(&entry, &heap->entries[(i - 1) / WIDTH])) {
    put(heap, i, heap->entries[(i - 1) / WIDTH]);
    i = (i - 1) / WIDTH;
  }
  put(heap, i, entry);
}

static void sift_down(astrum__heap *heap, size_t i, astrum__heap_entry entry) {
  for (;;) {
    size_t first = WIDTH * i + 1, end = first + WIDTH;
    if (first >= heap->count)
      break;
    if (end > heap->count)
      end = heap->count;
    for (size_t k = first + 1; k < end; k++)
      if (fires_before(&heap->entries[k], &heap->entries[first]))
        first = k;
    if (!fires_before(&heap->entries[first], &entry))
      break;
    put(heap, i, heap->entries[first]);
    i = first;
  }
  put(heap, i, entry);
}

void astrum__heap_add(astrum__heap *heap, astrum_timer *timer) {
  sift_up(heap, heap->count++, (astrum__heap_entry){timer->due, timer});
}

void astrum__heap_remove(astrum__heap *heap, astrum_timer *timer) {
  if (timer->place == 0)
    return;
  size_t i = timer->place - 1;
  timer->place = 0;
  astrum__heap_entry moved = heap->entries[--heap->count];
  if (moved.timer == timer)
    return;
  if (i > 0 && fires_before(&moved, &heap->entries[(i - 1) / WIDTH]))
    sift_up(heap, i, moved);
  else
    sift_down(heap, i, moved);
}
