/*
 * The allocator hook: defaults, overflow, growth, and what a failure leaves.
 */
#include "alloc.h"

#include "check.h"
#include "fault.h"

TEST(no_allocator_means_that_of_the_c_library) {
  astrum_alloc no_function = {.fn = NULL, .user = NULL};
  const astrum_alloc *given[] = {NULL, &no_function};
  for (int i = 0; i < 2; i++) {
    astrum_alloc alloc = astrum__alloc_or_default(given[i]);
    CHECK(alloc.fn != NULL);
    char *bytes = astrum__realloc(&alloc, NULL, 0, 10);
    CHECK(bytes != NULL);
    bytes[0] = 'a', bytes[9] = 'z';
    bytes = astrum__realloc(&alloc, bytes, 10, 10000);
    CHECK(bytes != NULL && bytes[0] == 'a' && bytes[9] == 'z');
    bytes = astrum__realloc(&alloc, bytes, 10000, 1);
    CHECK(bytes != NULL && bytes[0] == 'a');
    CHECK(astrum__realloc(&alloc, bytes, 1, 0) == NULL);
  }
}

TEST(a_given_allocator_is_used_with_its_user_pointer) {
  fault_state fault = fault_none();
  astrum_alloc given = fault_allocator(&fault);
  astrum_alloc alloc = astrum__alloc_or_default(&given);
  void *block = astrum__realloc(&alloc, NULL, 0, 7);
  CHECK_EQ(fault.live, 7);
  astrum__free(&alloc, block, 7);
  CHECK_EQ(fault.live, 0);
  CHECK_EQ(fault.wrong_size, 0);
}

TEST(freeing_nothing_is_allowed) {
  fault_state fault = fault_none();
  astrum_alloc alloc = fault_allocator(&fault);
  astrum__free(&alloc, NULL, 0);
  CHECK(astrum__realloc(&alloc, NULL, 0, 0) == NULL);
  CHECK_EQ(fault.count, 0);
}

TEST(an_array_whose_size_overflows_is_refused) {
  fault_state fault = fault_none();
  astrum_alloc alloc = fault_allocator(&fault);
  CHECK(astrum__alloc_array(&alloc, SIZE_MAX / 2, 3) == NULL);
  CHECK(astrum__alloc_array(&alloc, 3, SIZE_MAX / 2) == NULL);
  CHECK(astrum__zalloc(&alloc, SIZE_MAX / 8 + 1, 8) == NULL);
  CHECK_EQ(fault.count, 0);
}

TEST(an_array_of_nothing_takes_no_memory) {
  fault_state fault = fault_none();
  astrum_alloc alloc = fault_allocator(&fault);
  CHECK(astrum__alloc_array(&alloc, 0, 8) == NULL);
  CHECK(astrum__zalloc(&alloc, 8, 0) == NULL);
  CHECK_EQ(fault.count, 0);
}

TEST(zalloc_fills_with_zeros) {
  astrum_alloc alloc = astrum__alloc_or_default(NULL);
  unsigned char *bytes = astrum__zalloc(&alloc, 100, 3);
  int sum = 0;
  for (int i = 0; i < 300; i++)
    sum += bytes[i];
  CHECK_EQ(sum, 0);
  astrum__free(&alloc, bytes, 300);
}

TEST(growth_starts_at_16_and_doubles) {
  fault_state fault = fault_none();
  astrum_alloc alloc = fault_allocator(&fault);
  void *array = NULL;
  size_t capacity = 0;
  CHECK_EQ(astrum__grow(&alloc, &array, &capacity, 1, 4), ASTRUM_OK);
  CHECK_EQ(capacity, 16);
  CHECK_EQ(fault.live, 64);
  CHECK_EQ(astrum__grow(&alloc, &array, &capacity, 16, 4), ASTRUM_OK);
  CHECK_EQ(capacity, 16);
  CHECK_EQ(astrum__grow(&alloc, &array, &capacity, 17, 4), ASTRUM_OK);
  CHECK_EQ(capacity, 32);
  CHECK_EQ(astrum__grow(&alloc, &array, &capacity, 1000, 4), ASTRUM_OK);
  CHECK_EQ(capacity, 1000);
  astrum__free(&alloc, array, capacity * 4);
  CHECK_EQ(fault.live, 0);
}

TEST(growth_keeps_the_elements) {
  astrum_alloc alloc = astrum__alloc_or_default(NULL);
  void *array = NULL;
  size_t capacity = 0;
  for (uint32_t i = 0; i < 1000; i++) {
    CHECK_EQ(astrum__grow(&alloc, &array, &capacity, i + 1, 4), ASTRUM_OK);
    ((uint32_t *)array)[i] = i;
  }
  size_t right = 0;
  for (uint32_t i = 0; i < 1000; i++)
    right += ((uint32_t *)array)[i] == i;
  CHECK_EQ(right, 1000);
  astrum__free(&alloc, array, capacity * 4);
}

TEST(growth_that_fails_changes_nothing) {
  fault_state fault = fault_none();
  astrum_alloc alloc = fault_allocator(&fault);
  void *array = NULL;
  size_t capacity = 0;
  CHECK_EQ(astrum__grow(&alloc, &array, &capacity, 16, 8), ASTRUM_OK);
  void *before = array;
  fault_after(&fault, 0, 1);
  CHECK_EQ(astrum__grow(&alloc, &array, &capacity, 17, 8), ASTRUM_ENOMEM);
  CHECK_EQ(astrum__grow(&alloc, &array, &capacity, SIZE_MAX / 8 + 1, 8),
           ASTRUM_ENOMEM);
  CHECK(array == before);
  CHECK_EQ(capacity, 16);
  astrum__free(&alloc, array, capacity * 8);
  CHECK_EQ(fault.live, 0);
}

#ifdef NDEBUG
enum { DEBUG_BUILD = 0 };
#else
enum { DEBUG_BUILD = 1 };
#endif

/* The last block of 8 bytes as it was when it came back. */
static unsigned char freed[8];

static void *watching_alloc(void *user, void *ptr, size_t old_size,
                            size_t new_size) {
  if (ptr != NULL && old_size == sizeof freed)
    memcpy(freed, ptr, sizeof freed);
  return fault_alloc(user, ptr, old_size, new_size);
}

TEST(debug_builds_mark_new_and_freed_bytes) {
  if (!DEBUG_BUILD)
    return;
  fault_state fault = fault_none();
  astrum_alloc alloc = {.fn = watching_alloc, .user = &fault};
  unsigned char *bytes = astrum__realloc(&alloc, NULL, 0, 8);
  CHECK(bytes[0] == 0xAA && bytes[7] == 0xAA);
  memset(bytes, 1, 8);
  bytes = astrum__realloc(&alloc, bytes, 8, 9);
  CHECK(bytes[7] == 1 && bytes[8] == 0xAA);
  bytes = astrum__realloc(&alloc, bytes, 9, 8);
  bytes = astrum__realloc(&alloc, bytes, 8, 3);
  CHECK(freed[2] == 1 && freed[3] == 0x55 && freed[7] == 0x55);
  astrum__free(&alloc, bytes, 3);
  bytes = astrum__realloc(&alloc, NULL, 0, 8);
  astrum__free(&alloc, bytes, 8);
  CHECK(freed[0] == 0x55 && freed[7] == 0x55);
}

TEST(a_sweep_fails_each_allocation_once_and_for_ever) {
  int rounds = 0;
  size_t failed = 0;
  FAULT_SWEEP(fault) {
    astrum_alloc alloc = fault_allocator(&fault);
    void *first = astrum__alloc_array(&alloc, 1, 1);
    void *second = astrum__alloc_array(&alloc, 2, 1);
    astrum__free(&alloc, first, 1);
    astrum__free(&alloc, second, 2);
    failed += fault.failed;
    rounds++;
  }
  CHECK_EQ(rounds, 6);
  CHECK_EQ(failed, 1 + 1 + 0 + 2 + 1 + 0);
}

TEST_MAIN(TEST_ENTRY(no_allocator_means_that_of_the_c_library),
          TEST_ENTRY(a_given_allocator_is_used_with_its_user_pointer),
          TEST_ENTRY(freeing_nothing_is_allowed),
          TEST_ENTRY(an_array_whose_size_overflows_is_refused),
          TEST_ENTRY(an_array_of_nothing_takes_no_memory),
          TEST_ENTRY(zalloc_fills_with_zeros),
          TEST_ENTRY(growth_starts_at_16_and_doubles),
          TEST_ENTRY(growth_keeps_the_elements),
          TEST_ENTRY(growth_that_fails_changes_nothing),
          TEST_ENTRY(debug_builds_mark_new_and_freed_bytes),
          TEST_ENTRY(a_sweep_fails_each_allocation_once_and_for_ever))
