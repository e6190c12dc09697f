/* The Lua files of astrum, compiled into the program. */
#ifndef ASTRUM_EMBED_H
#define ASTRUM_EMBED_H

#include <stddef.h>

typedef struct {
  const char *module; /* "astrum.task", what a script requires */
  const char *chunk;  /* "=astrum/task.lua(embedded)", no file has it */
  const char *code;   /* text or what Lua made of it; no NUL ends it */
  size_t size;
} astrum_embedded;

extern const astrum_embedded astrum__embedded[];
extern const size_t astrum__embedded_count;

#endif
