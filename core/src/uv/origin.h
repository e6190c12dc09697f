/*
 * In which process something was made: a forked one must not use it as its
 * own.
 */
#ifndef ASTRUM_ORIGIN_H
#define ASTRUM_ORIGIN_H

/* All zero has not been set. */
typedef struct {
  int process;
  unsigned char *page; /* where the kernel can empty it in a child, else NULL */
} astrum__origin;

void astrum__origin_set(astrum__origin *origin);
void astrum__origin_free(astrum__origin *origin);

/* Whether this is another process than that which set it. */
int astrum__origin_left(const astrum__origin *origin);

#endif
