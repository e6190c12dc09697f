/*
 * A wait asks before it begins, and getpid() is a system call. A page that is
 * empty in children answers at once; where the kernel knows none, or it has
 * been emptied, the number of the process decides.
 */
#include "origin.h"

#include <stddef.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

void astrum__origin_set(astrum__origin *origin) {
  origin->process = (int)getpid();
#ifdef MADV_WIPEONFORK
  /* The kernel rounds up to a page. */
  void *page =
      mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED)
    return;
  if (madvise(page, 1, MADV_WIPEONFORK) != 0) {
    munmap(page, 1);
    return;
  }
  origin->page = page;
  origin->page[0] = 1;
#endif
}

void astrum__origin_free(astrum__origin *origin) {
#ifdef MADV_WIPEONFORK
  if (origin->page != NULL)
    munmap(origin->page, 1);
#endif
  origin->page = NULL;
}

int astrum__origin_left(const astrum__origin *origin) {
  if (origin->page != NULL && origin->page[0] != 0)
    return 0;
  return origin->process != (int)getpid();
}
