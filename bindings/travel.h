/*
 * A Lua function as bytes, for a body that runs in another Lua state of the
 * same version of the program: in a thread or a child process.
 *
 * It takes along its code and its upvalues. Of these travel
 *   - data, as the codec does it, by copy;
 *   - Lua functions by their code, also inside tables, with upvalues of their
 *     own; functions that share a variable share it afterwards, and functions
 *     and tables may refer to each other in a circle;
 *   - modules (package.loaded[name]) and what is in them
 *     (package.loaded[name][field]), functions, tables and userdata, by name:
 *     the other state loads the module with `require` if need be;
 *   - _G and the functions of the basic library by name. Other globals of the
 *     script do not travel: the function sees those of its new state.
 * All else is refused with the name of the upvalue.
 *
 * Bytecode is trusted: made by hand it can crash the program. So bytes are read
 * from our own parent process or another thread only, never from a file or a
 * network.
 *
 * The format is that of codec.h with
 *
 *   message   A7 'A' 'F', version (1), string of ASTRUM_VERSION, u32 shared,
 *             count (1), value
 *   10        function: u32 size, bytecode, u8 upvalues, and for each
 *               0, value: a variable of its own
 *               1, u32 offset, u8 n: the variable of upvalue n (from 1) of the
 *               function whose tag is at the offset
 *   11        the same, and something refers to it
 *   12        export: string of the module, 0 | 1, string of the field
 *
 * where a string is its length and its bytes.
 */
#ifndef ASTRUM_TRAVEL_H
#define ASTRUM_TRAVEL_H

#include "codec.h"

/*
 * Pushes a table of what the modules that are loaded now export, for
 * travel_pack. Making it takes longer than packing, so it is made once for many
 * functions. Raises only for want of memory.
 */
void travel_push_exports(lua_State *L);

/*
 * Appends the function at a stack index; `exports` is that of such a table.
 * EINVAL: something does not travel, as `upvalue 'cfg.handle' is a userdata`.
 * ELIMIT: too deep or larger than `limit` (0: CODEC_SIZE_MAX). ENOMEM. After an
 * error the buffer holds what it held. Runs no Lua code, raises nothing, and
 * leaves the stack as it was.
 */
astrum_err travel_pack(lua_State *L, int index, int exports, size_t limit,
                       codec_buffer *out, codec_error *error);

/*
 * Pushes the function. EINVAL, with nothing pushed: the bytes are of another
 * version, damaged, or name a module that cannot be loaded here. Runs the code
 * of modules that are not loaded yet. Raises only for want of memory.
 *
 * `modules`: 0, or the stack index of a table of tables by name that stand for
 * the modules; then no code runs, and what is not in them cannot be loaded.
 */
astrum_err travel_unpack(lua_State *L, const void *bytes, size_t size,
                         int modules, codec_error *error);

#endif
