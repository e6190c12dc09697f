/*
 * Exponential backoff with full jitter: the n-th wait is a random part of
 * delay * backoff^(n-1), at most max_delay. The random number is a hash, so a
 * run that is repeated with the same seed waits the same.
 */
#include "retry.h"

#define LONGEST (ASTRUM_NEVER / 2)

/* The finalizer of SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x) {
  x += UINT64_C(0x9e3779b97f4a7c15);
  x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

/* factor^exponent by squaring, for an exponent may be in the millions. */
static double power(double factor, uint32_t exponent) {
  double result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1)
      result *= factor;
    factor *= factor;
  }
  return result;
}

uint64_t astrum__retry_delay(const astrum_policy *policy, uint32_t attempt,
                             uint64_t seed, uint32_t task, uint32_t item) {
  if (policy->delay == 0)
    return 0;
  uint64_t bound = policy->max_delay ? policy->max_delay : LONGEST;
  if (bound > LONGEST)
    bound = LONGEST;
  uint64_t delay = policy->delay;
  if (policy->backoff > 1) {
    double wait = (double)delay * power(policy->backoff, attempt - 1);
    delay = wait < (double)bound ? (uint64_t)wait : bound;
  }
  if (delay > bound)
    delay = bound;
  if (policy->jitter) {
    uint64_t random = mix(seed ^ task);
    if (item)
      random = mix(random ^ item);
    delay = mix(random ^ attempt) % (delay + 1);
  }
  return delay;
}
