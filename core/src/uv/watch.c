/*
 * Descriptors that the host reads itself.
 *
 * libuv makes a descriptor non-blocking. Standard input shares that flag with
 * standard output and with other processes, which would lose what they write,
 * so it is set back at once; it is not needed for waiting.
 */
#include "loop.h"

#include "../alloc.h"
#include "../internal.h"

#include <fcntl.h>
#include <uv.h>

struct astrum_watch {
  astrum_alloc alloc;
  uv_poll_t poll;
  void (*readable)(void *user);
  void *user;
};

static void on_readable(uv_poll_t *poll, int status, int events) {
  (void)status; /* the host meets the same error when it reads */
  (void)events;
  astrum_watch *watch = astrum__container_of(poll, astrum_watch, poll);
  watch->readable(watch->user);
}

static void on_close(uv_handle_t *handle) {
  astrum_watch *watch =
      astrum__container_of((uv_poll_t *)handle, astrum_watch, poll);
  astrum_alloc alloc = watch->alloc;
  astrum__free(&alloc, watch, sizeof *watch);
}

astrum_err astrum_loop_watch(astrum_loop *loop, int descriptor,
                             void (*readable)(void *user), void *user,
                             astrum_watch **out) {
  const astrum_alloc *alloc = astrum__loop_alloc(loop);
  int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0 || !readable)
    return ASTRUM_EINVAL;
  astrum_watch *watch = astrum__zalloc(alloc, 1, sizeof *watch);
  if (!watch)
    return ASTRUM_ENOMEM;
  watch->alloc = *alloc;
  watch->readable = readable;
  watch->user = user;
  int failed = uv_poll_init(astrum_loop_uv(loop), &watch->poll, descriptor);
  fcntl(descriptor, F_SETFL, flags);
  if (failed) {
    astrum__free(alloc, watch, sizeof *watch);
    return ASTRUM_ESYSTEM;
  }
  watch->poll.data = NULL;
  if (uv_poll_start(&watch->poll, UV_READABLE, on_readable) != 0) {
    astrum_watch_stop(watch);
    return ASTRUM_ESYSTEM;
  }
  *out = watch;
  return ASTRUM_OK;
}

void astrum_watch_stop(astrum_watch *watch) {
  if (watch)
    uv_close((uv_handle_t *)&watch->poll, on_close);
}
