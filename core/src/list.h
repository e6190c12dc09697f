/*
 * Intrusive doubly linked ring. A node is part of the structure it links; a
 * list is a node of its own; a node that is in no list links to itself.
 */
#ifndef ASTRUM_LIST_H
#define ASTRUM_LIST_H

typedef struct astrum__list {
  struct astrum__list *previous, *next;
} astrum__list;

static inline void astrum__list_init(astrum__list *node) {
  node->previous = node->next = node;
}

static inline int astrum__list_linked(const astrum__list *node) {
  return node->next != node;
}

/* Takes a node out of whatever list it is in. */
static inline void astrum__list_remove(astrum__list *node) {
  node->previous->next = node->next;
  node->next->previous = node->previous;
  astrum__list_init(node);
}

/* Puts a node that is in no list at the end of one. */
static inline void astrum__list_append(astrum__list *list, astrum__list *node) {
  node->previous = list->previous;
  node->next = list;
  list->previous->next = node;
  list->previous = node;
}

#endif
