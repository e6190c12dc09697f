/* Attempts and the strands they have (lua_task.c, lua_strand.c). */
#ifndef ASTRUM_TASK_H
#define ASTRUM_TASK_H

#include "run.h"

struct attempt {
  run *run;
  astrum_ticket ticket;
  uint32_t items;     /* counted by an expansion */
  uint64_t begin;     /* of one that is limited */
  strand *strands;    /* alive, the newest first */
  strand *root;       /* the body, while it is alive */
  uint32_t busy;      /* strands that need the slot */
  uint32_t processes; /* being ended, which the answer has to wait for; bodies
                         in worker threads, too */
  run *child_runs;    /* not closed, likewise */
  uint8_t outcome;
  uint8_t ended;    /* the body is over, `outcome` is set */
  uint8_t slot;     /* holds its slot */
  uint8_t asked;    /* has asked for it again */
  uint8_t context;  /* a context userdata points here */
  uint8_t expands;  /* counts the items of a map */
  uint8_t limited;  /* must be over at some time */
  uint8_t late;     /* took too long; its error has been kept */
  uint8_t declined; /* the condition said no */
  uint8_t told;     /* an event has told that it started */
  uint8_t placed;   /* PLACED_...: it is kept where the guard has stopped it */
  uint8_t noted;    /* stopped with its run, and the report tells where */
  input_problem problem;
  struct thread_call *call; /* its body, which is in a worker thread and has no
                               strand */
  attempt *next;            /* among the free ones */
};

/* A member of astrum.all has been stopped; the body itself. */
enum { PLACED_NOT, PLACED_MEMBER, PLACED_BODY };

typedef enum {
  WAIT_NONE,
  WAIT_START, /* has not begun */
  WAIT_TIMER,
  WAIT_CALLBACK,
  WAIT_GROUP,
  WAIT_PROCESS,
  WAIT_RUN,
  WAIT_SLOT,
  WAIT_THREAD,
  WAIT_CANCEL /* the guard has stopped it; it is never resumed */
} wait_kind;

struct strand {
  engine *engine;
  attempt *attempt; /* NULL below the main program */
  lua_State *co;
  int number;         /* of the coroutine */
  uint8_t waits;      /* wait_kind */
  uint8_t granted;    /* the engine resumes it, nobody else */
  group *member_of;   /* NULL for a body */
  int place;          /* among the group's members, from 1 */
  group *joins;       /* the group it waits for */
  astrum_timer timer; /* ends a sleep; wakes it after the other waits */
  waiter waiter;
  struct child *child;       /* process that it waits for */
  struct thread_call *call;  /* body in a worker thread, likewise */
  int depth;                 /* groups around it */
  strand *peer, **peer_link; /* among the members of its group */
  strand *next, **link;
};

/* User values of a group. */
enum {
  GROUP_RESULTS = 1,
  GROUP_ERROR,
  GROUP_TRACEBACK, /* of the member that failed */
  GROUP_VALUES = GROUP_TRACEBACK
};

/* The members of an astrum.all. */
struct group {
  strand *owner;   /* who waits; NULL: the main program */
  strand *members; /* that are alive, the newest first */
  int left;
  int failed, over;
};

/* Makes a strand with a coroutine; NULL when there is no memory. */
strand *binding_new_strand(engine *e, attempt *a);

/* Ends a strand: undoes its wait, closes its coroutine, frees it. */
void binding_end_strand(engine *e, strand *s);

/* Tells that an attempt has started, once. */
void binding_tell_start(engine *e, attempt *a);

/* Whether the condition of the task has to be asked in this attempt. */
int binding_asks(lua_State *L, const attempt *a);

/* Ends all strands of an attempt, which nobody will answer, and frees it. */
void binding_drop_attempt(engine *e, attempt *a);

/* Frees what is kept for later use. */
void binding_free_pools(engine *e);

/* The strand goes on in the loop's next turn. */
void binding_wake_soon(strand *s);

/* A process or child run that an attempt had to wait for is gone. */
void binding_attempt_relieved(engine *e, attempt *a);

/* A strand stops, or starts, to need the slot of its attempt. */
void binding_rest(strand *s);
void binding_need_slot(strand *s);

/*
 * The strand that may wait now in L, or NULL for the main program. Raises an
 * error that says why nobody may wait here; `what` is the waiting function.
 */
strand *binding_waiting_strand(engine *e, lua_State *L, const char *what);

/* Suspends the strand; the continuation calls binding_resumed first, which
   raises when somebody else than the engine has resumed the coroutine. */
int binding_suspend(lua_State *L, strand *s, wait_kind kind, lua_KContext ctx,
                    lua_KFunction k);
strand *binding_resumed(lua_State *L);

/* Calls the function on the top of engine->L, for which nothing may wait;
   pops it. What it raises is told as an error of `where`. Raises nothing. */
void binding_call_cleanup(engine *e, const char *where);

/* The executor of the loop. */
extern const astrum_executor binding_executor;

#endif
