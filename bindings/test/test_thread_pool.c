/*
 * Which threads a pool puts to work, and which jobs it gives back. A job begins
 * when `begun` is posted and ends when the test posts `go`.
 */
#include "check.h"
#include "thread_pool.h"

#include <errno.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>

enum { JOBS = 4 };

static struct {
  sem_t begun, go;
  thread_pool *pool;
  thread_work work;
  thread_job jobs[JOBS];
} t;

static void run(thread_worker *worker) {
  while (thread_pool_next(worker)) {
    sem_post(&t.begun);
    sem_wait(&t.go);
  }
}

static void wake(void *user) { (void)user; }

static void begin(int most) {
  int code;
  memset(&t, 0, sizeof t);
  sem_init(&t.begun, 0, 0);
  sem_init(&t.go, 0, 0);
  atomic_store(&t.work.typical, 5000);
  t.pool = thread_pool_new(most, run, wake, NULL, &code);
  CHECK(t.pool != NULL);
}

static void end(void) {
  for (int i = 0; i < 2 * JOBS; i++)
    sem_post(&t.go);
  thread_pool_close(t.pool);
  sem_destroy(&t.begun);
  sem_destroy(&t.go);
}

static void submit(int number, int is_shared) {
  t.jobs[number].work = &t.work;
  t.jobs[number].is_shared = is_shared;
  thread_pool_submit(t.pool, &t.jobs[number], 1);
  thread_pool_flush(t.pool);
}

/* Whether a job begins; there is no hurry. */
static int one_begins(void) {
  struct timespec end;
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += 20;
  int code;
  while ((code = sem_timedwait(&t.begun, &end)) != 0 && errno == EINTR) {
  }
  return code == 0;
}

static int count_of(const thread_event *events) {
  int count = 0;
  for (; events; events = events->next)
    count++;
  return count;
}

/* Takes until that many have been told of, and once more. */
static void take(int count) {
  while (count > 0)
    count -= count_of(thread_pool_take(t.pool));
  CHECK(thread_pool_take(t.pool) == NULL);
}

TEST(home_does_the_work_of_one_worker_while_all_jobs_are_shared) {
  begin(2);
  submit(0, 1);
  CHECK(one_begins());
  submit(1, 1);
  submit(2, 1);
  CHECK(thread_pool_reclaim(t.pool) != NULL);
  CHECK(thread_pool_reclaim(t.pool) != NULL);
  CHECK(thread_pool_reclaim(t.pool) == NULL);
  end();
}

TEST(all_workers_work_when_a_job_is_not_shared) {
  begin(2);
  submit(0, 1);
  CHECK(one_begins());
  submit(1, 0);
  CHECK(one_begins());
  end();
}

TEST(all_workers_work_when_home_does_not_come_to_what_is_shared) {
  begin(2);
  submit(0, 1);
  CHECK(one_begins());
  submit(1, 1);
  thread_pool_look(t.pool, 0);
  CHECK(one_begins());
  end();
}

TEST(a_pool_of_one_does_what_is_shared) {
  begin(1);
  submit(0, 1);
  CHECK(one_begins());
  end();
}

TEST(a_job_that_is_not_shared_is_not_given_back) {
  begin(1);
  submit(0, 0);
  CHECK(one_begins());
  submit(1, 0);
  CHECK(thread_pool_reclaim(t.pool) == NULL);
  CHECK_EQ(thread_pool_withdraw(t.pool, &t.jobs[1]), 1);
  end();
}

TEST(what_is_given_back_can_be_queued_again) {
  begin(1);
  submit(0, 1);
  CHECK(one_begins());
  submit(1, 1);
  CHECK(thread_pool_reclaim(t.pool) == &t.jobs[1]);
  submit(1, 0);
  sem_post(&t.go);
  CHECK(one_begins());
  sem_post(&t.go);
  take(2);
  end();
}

TEST(workers_are_busy_when_each_has_two_jobs_to_come) {
  begin(1);
  submit(0, 1);
  CHECK(one_begins());
  CHECK(!thread_pool_is_busy(t.pool));
  submit(1, 1);
  CHECK(!thread_pool_is_busy(t.pool));
  submit(2, 1);
  CHECK(thread_pool_is_busy(t.pool));
  end();
}

TEST_MAIN(
    TEST_ENTRY(home_does_the_work_of_one_worker_while_all_jobs_are_shared),
    TEST_ENTRY(all_workers_work_when_a_job_is_not_shared),
    TEST_ENTRY(all_workers_work_when_home_does_not_come_to_what_is_shared),
    TEST_ENTRY(a_pool_of_one_does_what_is_shared),
    TEST_ENTRY(a_job_that_is_not_shared_is_not_given_back),
    TEST_ENTRY(what_is_given_back_can_be_queued_again),
    TEST_ENTRY(workers_are_busy_when_each_has_two_jobs_to_come))
