/* Starting a child process, for process.c. */
#ifndef ASTRUM_LAUNCH_H
#define ASTRUM_LAUNCH_H

#include <astrum.h>
#include <sys/types.h>

/*
 * Starts the child; `theirs` are the ends of pipes for its three standard
 * streams and its channel, or -1. Returns an errno; a bad directory is noticed
 * before the command is looked for.
 */
int astrum__spawn(const astrum_process_options *options, const int *theirs,
                  pid_t *pid);

#endif
