/*
 * Names: numbering, lookup, texts that stay where they are, want of memory.
 */
#include "names.h"

#include "check.h"
#include "fault.h"

static uint32_t add(const astrum_alloc *a, astrum__names *names,
                    const char *text) {
  uint32_t id = ASTRUM_NO_TASK;
  CHECK_EQ(astrum__names_add(a, names, text, strlen(text), &id), ASTRUM_OK);
  return id;
}

static uint32_t find(const astrum__names *names, const char *text) {
  return astrum__names_find(names, text, strlen(text));
}

TEST(names_are_numbered_from_0_as_they_come) {
  astrum_alloc a = astrum__alloc_or_default(NULL);
  astrum__names names = {0};
  CHECK_EQ(add(&a, &names, "load"), 0);
  CHECK_EQ(add(&a, &names, "price"), 1);
  CHECK_EQ(add(&a, &names, "report"), 2);
  CHECK_EQ(names.count, 3);
  CHECK_EQ(find(&names, "report"), 2);
  CHECK_EQ(find(&names, "load"), 0);
  astrum__names_free(&a, &names);
}

TEST(an_unknown_name_is_not_found) {
  astrum_alloc a = astrum__alloc_or_default(NULL);
  astrum__names names = {0};
  CHECK_EQ(find(&names, "load"), ASTRUM_NO_TASK);
  add(&a, &names, "load");
  CHECK_EQ(find(&names, "loa"), ASTRUM_NO_TASK);
  CHECK_EQ(find(&names, "load "), ASTRUM_NO_TASK);
  CHECK_EQ(find(&names, ""), ASTRUM_NO_TASK);
  astrum__names_free(&a, &names);
}

TEST(a_name_is_taken_once) {
  astrum_alloc a = astrum__alloc_or_default(NULL);
  astrum__names names = {0};
  add(&a, &names, "load");
  add(&a, &names, "price");
  uint32_t id = 7;
  CHECK_EQ(astrum__names_add(&a, &names, "load", 4, &id), ASTRUM_EEXIST);
  CHECK_EQ(id, 0);
  CHECK_EQ(names.count, 2);
  astrum__names_free(&a, &names);
}

TEST(names_may_hold_any_bytes_and_none) {
  astrum_alloc a = astrum__alloc_or_default(NULL);
  astrum__names names = {0};
  const char *bytes[] = {"a\0b", "a\0c", "a\0", "a", "\0", "\0\0", ""};
  const size_t sizes[] = {3, 3, 2, 1, 1, 2, 0};
  for (uint32_t i = 0; i < 7; i++) {
    uint32_t id = ASTRUM_NO_TASK;
    CHECK_EQ(astrum__names_add(&a, &names, bytes[i], sizes[i], &id), ASTRUM_OK);
    CHECK_EQ(id, i);
  }
  for (uint32_t i = 0; i < 7; i++) {
    size_t size;
    CHECK_EQ(astrum__names_find(&names, bytes[i], sizes[i]), i);
    const char *text = astrum__names_get(&names, i, &size);
    CHECK_EQ(size, sizes[i]);
    CHECK(memcmp(text, bytes[i], size) == 0);
  }
  CHECK_EQ(astrum__names_find(&names, NULL, 0), 6);
  astrum__names_free(&a, &names);
}

TEST(a_name_has_at_most_1024_bytes) {
  astrum_alloc a = astrum__alloc_or_default(NULL);
  astrum__names names = {0};
  char text[ASTRUM_NAME_MAX + 1];
  memset(text, 'x', sizeof text);
  uint32_t id = 7;
  CHECK_EQ(astrum__names_add(&a, &names, text, sizeof text, &id),
           ASTRUM_ELIMIT);
  CHECK_EQ(id, 7);
  CHECK_EQ(astrum__names_add(&a, &names, text, ASTRUM_NAME_MAX, &id),
           ASTRUM_OK);
  CHECK_EQ(astrum__names_find(&names, text, ASTRUM_NAME_MAX), 0);
  CHECK_EQ(astrum__names_find(&names, text, sizeof text), ASTRUM_NO_TASK);
  size_t size;
  CHECK(memcmp(astrum__names_get(&names, 0, &size), text, ASTRUM_NAME_MAX) ==
        0);
  CHECK_EQ(size, ASTRUM_NAME_MAX);
  astrum__names_free(&a, &names);
}

TEST(numbers_end_before_the_one_that_means_none) {
  astrum_alloc a = astrum__alloc_or_default(NULL);
  astrum__names names = {0};
  uint32_t id = add(&a, &names, "load");
  names.count = ASTRUM_NO_TASK - 1;
  CHECK_EQ(astrum__names_add(&a, &names, "price", 5, &id), ASTRUM_ELIMIT);
  CHECK_EQ(astrum__names_add(&a, &names, "load", 4, &id), ASTRUM_EEXIST);
  names.count = 1;
  astrum__names_free(&a, &names);
}

enum { MANY = 100000 };

TEST(a_hundred_thousand_names_are_found_and_never_move) {
  fault_state fault = fault_none();
  astrum_alloc a = fault_allocator(&fault);
  astrum__names names = {0};
  const char **texts = malloc(MANY * sizeof *texts);
  char name[32];
  size_t right = 0, size, bytes = 0;
  for (uint32_t i = 0; i < MANY; i++) {
    snprintf(name, sizeof name, "task_%u", (unsigned)i);
    add(&a, &names, name);
    texts[i] = astrum__names_get(&names, i, &size);
    bytes += size + 2;
  }
  astrum__names_trim(&a, &names);
  for (uint32_t i = 0; i < MANY; i++) {
    int length = snprintf(name, sizeof name, "task_%u", (unsigned)i);
    const char *text = astrum__names_get(&names, i, &size);
    right += find(&names, name) == i && text == texts[i] &&
             size == (size_t)length && memcmp(text, name, size) == 0;
  }
  CHECK_EQ(right, MANY);
  CHECK(names.slot_count < MANY / 5 * 6);
  CHECK_EQ(find(&names, "task_100000"), ASTRUM_NO_TASK);
  /* One growing array, one table, blocks: no allocation per name. */
  CHECK(fault.count < 100);
  size_t arrays = names.slot_count * sizeof *names.slots +
                  names.text_capacity * sizeof *names.texts;
  CHECK(fault.live - arrays < bytes + 70000);
  free((void *)texts);
  astrum__names_free(&a, &names);
  CHECK_EQ(fault.live, 0);
  CHECK_EQ(fault.wrong_size, 0);
}

TEST(names_are_added_after_a_trim) {
  astrum_alloc a = astrum__alloc_or_default(NULL);
  astrum__names names = {0};
  astrum__names_trim(&a, &names);
  add(&a, &names, "load");
  astrum__names_trim(&a, &names);
  CHECK_EQ(names.text_capacity, 1);
  CHECK_EQ(add(&a, &names, "price"), 1);
  CHECK_EQ(find(&names, "load"), 0);
  CHECK_EQ(find(&names, "price"), 1);
  astrum__names_free(&a, &names);
}

TEST(one_name_is_found_among_the_fewest_slots) {
  astrum_alloc a = astrum__alloc_or_default(NULL);
  for (uint32_t count = 1; count < 20; count++) {
    astrum__names names = {0};
    char name[2] = "a";
    for (uint32_t i = 0; i < count; i++, name[0]++) {
      add(&a, &names, name);
      astrum__names_trim(&a, &names);
      CHECK_EQ(find(&names, "a"), 0);
      CHECK_EQ(find(&names, "unknown"), ASTRUM_NO_TASK);
    }
    astrum__names_free(&a, &names);
  }
}

TEST(a_trim_without_memory_loses_nothing) {
  FAULT_SWEEP(fault) {
    astrum_alloc a = fault_allocator(&fault);
    astrum__names names = {0};
    fault_pause(&fault, 1);
    for (uint32_t i = 0; i < 20; i++)
      add(&a, &names, (char[]){(char)('a' + i), 0});
    fault_pause(&fault, 0);
    astrum__names_trim(&a, &names);
    CHECK_EQ(find(&names, "t"), 19);
    CHECK_EQ(find(&names, "u"), ASTRUM_NO_TASK);
    astrum__names_free(&a, &names);
  }
}

TEST(want_of_memory_leaves_the_names_as_they_were) {
  FAULT_SWEEP(fault) {
    astrum_alloc a = fault_allocator(&fault);
    astrum__names names = {0};
    char name[200];
    memset(name, 'n', sizeof name);
    for (uint32_t i = 0; i < 60; i++) {
      snprintf(name + sizeof name - 8, 8, "%u", (unsigned)i);
      size_t failed = fault.failed;
      uint32_t id = 7, count = names.count;
      astrum_err err = astrum__names_add(&a, &names, name, sizeof name, &id);
      CHECK_EQ(err, fault.failed > failed ? ASTRUM_ENOMEM : ASTRUM_OK);
      CHECK_EQ(id, err == ASTRUM_OK ? count : 7);
      CHECK_EQ(names.count, err == ASTRUM_OK ? count + 1 : count);
      CHECK_EQ(astrum__names_find(&names, name, sizeof name),
               err == ASTRUM_OK ? count : ASTRUM_NO_TASK);
    }
    astrum__names_free(&a, &names);
  }
}

TEST_MAIN(TEST_ENTRY(names_are_numbered_from_0_as_they_come),
          TEST_ENTRY(an_unknown_name_is_not_found),
          TEST_ENTRY(a_name_is_taken_once),
          TEST_ENTRY(names_may_hold_any_bytes_and_none),
          TEST_ENTRY(a_name_has_at_most_1024_bytes),
          TEST_ENTRY(numbers_end_before_the_one_that_means_none),
          TEST_ENTRY(a_hundred_thousand_names_are_found_and_never_move),
          TEST_ENTRY(names_are_added_after_a_trim),
          TEST_ENTRY(one_name_is_found_among_the_fewest_slots),
          TEST_ENTRY(a_trim_without_memory_loses_nothing),
          TEST_ENTRY(want_of_memory_leaves_the_names_as_they_were))
