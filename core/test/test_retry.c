/* How long a retry waits. */
#include "retry.h"

#include "check.h"

static const uint64_t second = UINT64_C(1000000000);

static uint64_t wait_of(astrum_policy policy, uint32_t attempt) {
  return astrum__retry_delay(&policy, attempt, 1, 0, 0);
}

TEST(a_retry_without_a_delay_does_not_wait) {
  astrum_policy policy = ASTRUM_POLICY_INIT;
  CHECK_EQ(wait_of(policy, 1), 0);
  policy.backoff = 2;
  policy.max_delay = second;
  policy.jitter = 1;
  CHECK_EQ(wait_of(policy, UINT32_MAX), 0);
}

TEST(without_backoff_every_wait_is_the_delay_to_the_nanosecond) {
  astrum_policy policy = ASTRUM_POLICY_INIT;
  policy.delay = (UINT64_C(1) << 60) + 1;
  CHECK_EQ(wait_of(policy, 1), policy.delay);
  policy.backoff = 1;
  CHECK_EQ(wait_of(policy, 7), policy.delay);
}

TEST(backoff_multiplies_the_delay_once_per_attempt_after_the_first) {
  astrum_policy policy = ASTRUM_POLICY_INIT;
  policy.delay = 100;
  policy.backoff = 1.5;
  CHECK_EQ(wait_of(policy, 1), 100);
  CHECK_EQ(wait_of(policy, 2), 150);
  CHECK_EQ(wait_of(policy, 3), 225);
  policy.backoff = 2;
  CHECK_EQ(wait_of(policy, 11), 102400);
}

TEST(no_wait_is_longer_than_max_delay) {
  astrum_policy policy = ASTRUM_POLICY_INIT;
  policy.delay = second;
  policy.backoff = 10;
  policy.max_delay = 25 * second;
  CHECK_EQ(wait_of(policy, 2), 10 * second);
  CHECK_EQ(wait_of(policy, 3), 25 * second);
  CHECK_EQ(wait_of(policy, UINT32_MAX), 25 * second);
  policy.delay = 30 * second;
  CHECK_EQ(wait_of(policy, 1), 25 * second);
}

TEST(a_wait_that_grows_without_bound_is_clamped) {
  astrum_policy policy = ASTRUM_POLICY_INIT;
  policy.delay = second;
  policy.backoff = 1e300;
  CHECK(wait_of(policy, 5) == ASTRUM_NEVER / 2);
  policy.delay = policy.max_delay = ASTRUM_NEVER;
  CHECK(wait_of(policy, 1) == ASTRUM_NEVER / 2);
}

TEST(jitter_takes_a_part_of_the_delay_that_only_the_three_numbers_decide) {
  astrum_policy policy = ASTRUM_POLICY_INIT;
  policy.delay = second;
  policy.jitter = 1;
  uint64_t first = astrum__retry_delay(&policy, 1, 42, 3, 0);
  CHECK(first <= second);
  CHECK(first == astrum__retry_delay(&policy, 1, 42, 3, 0));
  CHECK(first != astrum__retry_delay(&policy, 2, 42, 3, 0));
  CHECK(first != astrum__retry_delay(&policy, 1, 43, 3, 0));
  CHECK(first != astrum__retry_delay(&policy, 1, 42, 4, 0));
}

TEST(jitter_is_spread_over_the_whole_delay) {
  astrum_policy policy = ASTRUM_POLICY_INIT;
  policy.delay = 100;
  policy.jitter = 1;
  int quarters[4] = {0}, beyond = 0;
  for (uint32_t task = 0; task < 4000; task++) {
    uint64_t wait = astrum__retry_delay(&policy, 1, 7, task, 0);
    if (wait > 100)
      beyond++;
    else
      quarters[wait < 100 ? wait / 25 : 3]++;
  }
  CHECK_EQ(beyond, 0);
  for (int i = 0; i < 4; i++)
    CHECK(quarters[i] > 850 && quarters[i] < 1150);
}

TEST_MAIN(
    TEST_ENTRY(a_retry_without_a_delay_does_not_wait),
    TEST_ENTRY(without_backoff_every_wait_is_the_delay_to_the_nanosecond),
    TEST_ENTRY(backoff_multiplies_the_delay_once_per_attempt_after_the_first),
    TEST_ENTRY(no_wait_is_longer_than_max_delay),
    TEST_ENTRY(a_wait_that_grows_without_bound_is_clamped),
    TEST_ENTRY(
        jitter_takes_a_part_of_the_delay_that_only_the_three_numbers_decide),
    TEST_ENTRY(jitter_is_spread_over_the_whole_delay))
