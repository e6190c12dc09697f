/*
 * Editing of a line on a terminal, by libedit where the build found it. One
 * line at a time; whoever reads calls editor_key when a key can be read, so
 * that the loop goes on while the user types.
 */
#ifndef ASTRUM_EDITOR_H
#define ASTRUM_EDITOR_H

#include <stddef.h>

/* What the editor asks of the prompt. */
typedef struct {
  /* Fills `names` for the line up to the byte `end`, each one beginning at the
     byte `start`. Returns 0 when the names of files are wanted instead. */
  int (*complete)(void *user, const char *line, int start, int end);
  /* The next of them, to be freed with free(), or NULL. */
  char *(*next_name)(void *user);
  /* Whether a signal ends the line. Asked when a key is waited for that belongs
     to the one before, as in a search. */
  int (*is_interrupted)(void *user);
  void *user;
} editor_host;

/* Whether lines can be edited: standard input and output are a terminal that
   can move its cursor, and the build has libedit. */
int editor_works(void);

/* To be called before the others; it is stdout of this moment that lines are
   shown on. A second call does nothing. */
void editor_open(void);

/* Shows the prompt. `host` must stay where it is until editor_end. */
void editor_begin(const char *prompt, const editor_host *host);

/* Takes one key. Returns 1 when the line is over: `*line` is what was typed, to
   be freed with free(), or NULL at the end of the input. */
int editor_key(char **line);

/* Gives the terminal back as it was. After a line that is over it does nothing
   else; one that is not over is left on the screen. */
void editor_end(void);

/* Takes the line from the screen, for something to be printed there, and shows
   it again. */
void editor_hide(void);
void editor_show(void);

/* The terminal has another size. */
void editor_resize(void);

/* The terminal had been given to others. */
void editor_resume(void);

/* What the keys for history go through, the oldest line first. */
void editor_clear_history(void);
void editor_add_history(const char *line);

#endif
