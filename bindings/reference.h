/* References and graphs (lua_ref.c, lua_graph.c). */
#ifndef ASTRUM_REFERENCE_H
#define ASTRUM_REFERENCE_H

#include "binding.h"

astrum_graph *astrum_binding_graph(lua_State *L, int index);
int astrum_binding_is_reference(lua_State *L, int index);

/*
 * For functions whose first upvalue is the metatable of references, which
 * astrum_binding_push_reference_type pushes.
 *
 * astrum_binding_read_reference pushes task, key or nil, and source of the
 * reference at `at` to a result or to a field of one, on top of whatever, and
 * returns the number of its keys; -1: it is something else, or of another owner
 * than that at `owner`. astrum_binding_push_handle pushes a handle. A source
 * is a text or the function whose source it is.
 */
void astrum_binding_push_reference_type(lua_State *L);
int astrum_binding_read_reference(lua_State *L, int at, int owner, int *line,
                                  int *is_owned);
void astrum_binding_push_handle(lua_State *L, int name, int owner, int source,
                                int line);

#endif
