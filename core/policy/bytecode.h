/**
 * The bytecode of a policy's functions, for those who look through it without running it. Knows Lua; for the policy*.c
 * files.
 *
 * jit.util shows the bytecode, in a state of its own that never runs the policy. Which number an instruction has changes
 * with LuaJIT's versions, so each is learnt from a line of Lua that is known to compile to it.
 */
#ifndef LP_POLICY_BYTECODE_H
#define LP_POLICY_BYTECODE_H

#include <lua.h>
#include <stdbool.h>

enum lp_opcode {
	LP_OP_GGET,  /**< A global is read: d is its name. */
	LP_OP_GSET,  /**< A global is set: d is its name. */
	LP_OP_TGETS, /**< A field with a name is read: of b, c is its name. */
	LP_OP_TGETV, /**< A field is read whose name is in a variable: of b, c. */
	LP_OP_TSETV, /**< A field is set whose name is in a variable. */
	LP_OP_TSETB, /**< A field is set whose name is a small number. */
	LP_OP_MOV,   /**< a becomes d. */
	LP_OP_KSTR,  /**< a becomes the text d. */
	LP_OPS,      /**< Any other. */
};

struct lp_instruction {
	enum lp_opcode op;
	int a;
	int b;
	int c;
	int d;
};

/** What reading needs to know of a state. */
struct lp_bytecode {
	int util; /**< Where jit.util is on the stack. */
	int ops[LP_OPS];
};

/**
 * Push jit.util and learn the opcodes.
 *
 * @param lua       A state that runs no policy. Raises.
 * @param bytecode  Filled; good while what was pushed stays where it is.
 */
void lp_bytecode_open(lua_State *lua, struct lp_bytecode *bytecode);

/**
 * A number that jit.util gives for a function: "bytecodes", "params", "linedefined", "lastlinedefined", "children"; at a
 * place in it, "currentline".
 *
 * @param lua       As opened. Raises.
 * @param bytecode  Of it.
 * @param function  Where a function or a prototype is on the stack.
 * @param pc        A place in it; 0 for what is of all of it.
 * @param field     One of these.
 */
int lp_bytecode_number(lua_State *lua, const struct lp_bytecode *bytecode, int function, int pc, const char *field);

/**
 * An instruction.
 *
 * @param lua       As opened. Raises.
 * @param bytecode  Of it.
 * @param function  As for lp_bytecode_number.
 * @param pc        From 1; before "bytecodes".
 */
struct lp_instruction lp_bytecode_at(lua_State *lua, const struct lp_bytecode *bytecode, int function, int pc);

/**
 * Push the text that an instruction names.
 *
 * @param lua       As opened. Raises.
 * @param bytecode  Of it.
 * @param function  As for lp_bytecode_number.
 * @param number    The instruction's c or d.
 *
 * @return The text, good while it is on the stack.
 */
const char *lp_bytecode_push_text(lua_State *lua, const struct lp_bytecode *bytecode, int function, int number);

/**
 * Push the next of a function's texts and of the functions in it.
 *
 * @param lua       As opened. Raises.
 * @param bytecode  Of it.
 * @param function  As for lp_bytecode_number.
 * @param at        0 at first; moved on.
 * @param is_text   Set to whether it is a text; else a prototype, or something else that is a constant.
 *
 * @return Whether there was one; nothing is pushed otherwise.
 */
bool lp_bytecode_push_constant(lua_State *lua, const struct lp_bytecode *bytecode, int function, int *at,
			       bool *is_text);

#endif
