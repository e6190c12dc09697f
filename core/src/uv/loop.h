/* What the files under uv/ know of the loop. */
#ifndef ASTRUM_LOOP_H
#define ASTRUM_LOOP_H

#include <astrum.h>

/* Valid until the loop is freed. */
const astrum_alloc *astrum__loop_alloc(astrum_loop *loop);

/* Head of the list of the loop's child processes, kept by process.c. */
struct astrum_process **astrum__loop_processes(astrum_loop *loop);

/* Kills and reaps all child processes and closes their handles; nobody is
   told. The memory goes when the handles are closed. In process.c. */
void astrum__processes_kill_all(astrum_loop *loop);

#endif
