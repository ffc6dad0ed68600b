/*
 * Lua's library is linked lazily on most systems, whatever this program is linked like: each function that it calls in
 * the C library, in libgcc or in itself is looked up by the dynamic linker at its first call. A policy that is stopped
 * by a jump should not be left in there, so what a policy can reach is called once before any policy runs.
 *
 * Limits: what is not reached here is looked up later, as it would have been. math.random is left alone, so that policies
 * draw what they would.
 */
#include "policy/private.h"

static const char chunk[] =
	"local s = ('a1 b2'):rep(2):upper():lower():reverse()\n"
	"s:find('b', 1, true) s:find('%d%s(%a)()') s:find('%f[%w]%b12') s:match('[^%s%p]+') s:byte(1, 2) s:sub(2, 3)\n"
	"s:gsub('%w', '<%0>') s:gsub('%w', { a = 'b' }) s:gsub('%w', function(c) return c end)\n"
	"for _ in s:gmatch('%a') do end\n"
	"string.char(65) string.len(s)\n"
	"s = ('%5.1f %5d %x %g %q %s %-5s %c %i %o %e %u'):format(1.5, 2, 3, 4.5, 'x\\n', {}, s, 65, 1, 8, 1.5, 2)\n"
	"local t = { 3, 1, 2 }\n"
	"table.insert(t, 4) table.insert(t, 1, 5) table.remove(t, 1) table.sort(t) table.concat(t, ', ') "
	"table.maxn(t)\n"
	"table.sort(t, function(a, b) return a > b end)\n"
	"for name, f in pairs(math) do\n"
	"  if type(f) == 'function' and name ~= 'random' and name ~= 'randomseed' then f(0.5, 2) end\n"
	"end\n"
	"for _, f in pairs(bit) do f(5, 2) end\n"
	"tonumber('0x10') tonumber('zz', 36) tonumber('1e5') tostring(2.5) tostring({}) tostring(math.sin) "
	"tostring(nil)\n"
	"rawset(t, 'x', 1) rawget(t, 'x') rawequal(t, t) next(t) select('#', unpack(t)) select(1, s)\n"
	"setmetatable(t, { __index = t, __tostring = function() return s end }) tostring(t) getmetatable(t)\n"
	"pcall(function() local x; return x.y end)\n"
	"pcall(function() return {} < {} end)\n"
	"pcall(string.rep)\n"
	"xpcall(function() error('x') end, function(e) return e .. 1.5 end)\n"
	"local x, y = tonumber('2.5'), tonumber('0.5')\n"
	"return x ^ y, x % y, x .. y, 'a' < s, #s\n";

void lp_policy_warm_up(lua_State *L)
{
	if (luaL_loadbuffer(L, chunk, sizeof(chunk) - 1, "=warm") != 0)
		lua_error(L);
	lua_call(L, 0, 0);
	/* Of the API, what of it calls more of it. */
	lua_newtable(L);
	lua_newtable(L);
	lua_setmetatable(L, -2);
	luaL_callmeta(L, -1, "__tostring");
	lua_pop(L, 1);
}
