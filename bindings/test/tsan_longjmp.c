/*
 * Only in builds with the thread sanitizer. Debian's liblua raises errors and
 * yields by __longjmp_chk, which the sanitizer of gcc does not know: it would
 * keep every C function that is left so on its stack of calls, until that is
 * full. This one takes the place of libc's.
 */
#include <setjmp.h>

__attribute__((visibility("default"), noreturn)) void
__longjmp_chk(jmp_buf place, int value);

void __longjmp_chk(jmp_buf place, int value) { longjmp(place, value); }
