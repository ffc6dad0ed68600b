---@meta limpet

--- What a policy can use, for editors that read LuaCATS annotations (lua-language-server and those built on it). Nothing
--- runs this file; a test holds it against what limpet really has. README.md beside it is the guide.
---
--- `require "tenants.names"` is Lua's own to editors: it runs tenants/names.lua of the policy's folder, while loading only.

-- In *.test.lua files, which `limpet test` runs, and only there. First, because some have names that stand for other
-- things in policies.

--- A test. All of a file run in order after the file itself; each begins with four idle workers, no session, an empty
--- limpet.shared and nobody trusted.
---@param name string
---@param run fun()
function test(name, run) end

--- The test fails unless the two are the same.
---@param actual any
---@param expected any
function expect(actual, expected) end

--- Policies in order, named as by --policy, but that files are looked for beside the test; at last their options, if any.
--- They are loaded when this is called, and what they raise fails the test.
---@param ... string|table<string, string|number>
---@return LoadedPolicy
function load_policy(...) end

--- A connection for several routes: the same table, its names checked.
---@param fields ConnFields
---@return ConnFields
function conn(fields) end

--- Replace all workers: by this number of idle ones, or by one for each table of a list.
---@param what integer|WorkerFields[]
---@return Worker[] workers By id.
function workers(what) end

--- A worker is gone: policies are told, its sessions are forgotten.
---@param worker Worker
function stop(worker) end

--- A worker is back: policies are told.
---@param worker Worker
function start(worker) end

--- A session is known.
---@param sid string
---@param worker Worker
function session(sid, worker) end

--- A proxy is believed, and the header that it writes.
---@param cidr string
---@param header? "x-forwarded-for"|"forwarded"|"x-real-ip" X-Forwarded-For if it is left out.
function trust(cidr, header) end

--- Sessions are looked for there: conn.session. The first call takes the place of sid; further ones are added.
---@param what string As --session takes it: "cookie:NAME", "header:NAME", "query:NAME", "mcp", "sid".
function look_for(what) end

--- Time passes. It stands still otherwise.
---@param seconds number
function advance(seconds) end

do
  --- What load_policy gives.
  ---@class LoadedPolicy
  local policy = {}

  --- Where a connection goes: a worker, "refused 403", or nil for no opinion. An error of the policy fails the test.
  ---@param conn ConnFields
  ---@return Worker|string|nil
  function policy:route(conn) end
end

--- A made-up connection. What is left out is ordinary: GET / from 192.0.2.1 at :3000.
---@alias ConnFields { ip: string?, port: integer?, listener: string?, method: string?, path: string?, sid: string?, headers: table<string, string|string[]>?, sni: string?, alpn: string[]?, raw: string? }

--- A made-up worker.
---@alias WorkerFields { connections: integer?, waiting: integer? }

-- In policies.

--- What a policy file returns, or a list of these, or of lists. At least one hook must be there.
---@class Policy
---@field name? string How messages call it.
---@field route_each? "connection"|"session"|"request" Which requests on a kept connection it is asked about, if workers can give them back (dialects node and preload): the first alone (the default); also those of a session that the worker has not; or also those of none.
---@field setup? fun(options: table<string, string>) Runs once, at load. `options` are the --set key=value of the command line.
---@field on_connect? fun(conn: Conn, workers: Workers): Answer? Runs at once; nothing of the connection has been looked at.
---@field on_hello? fun(conn: Conn, workers: Workers): Answer? Runs when a TLS ClientHello is complete.
---@field on_request? fun(conn: Conn, workers: Workers): Answer? Runs when an HTTP request head is complete.
---@field on_worker_up? fun(worker: Worker) A worker can take connections from now on.
---@field on_worker_down? fun(worker: Worker) A worker is gone.
local policy = {}

--- A worker, a refusal, or nothing: nil and false mean "no opinion".
---@alias Answer Worker|Refusal|false

--- The connection that a hook is asked about. Read-only, and valid during the call.
---@class Conn
---@field ip string? The peer's address; IPv4 inside IPv6 is plain IPv4. nil on a unix socket.
---@field port integer? The peer's port. nil on a unix socket.
---@field listener string Where it came in, as --listen names it.
---@field method string? In on_request: "GET".
---@field path string? In on_request: the target without its query, as sent.
---@field sid string? In on_request: the query parameter `sid`, decoded; the first of several; nil if absent or empty.
---@field session string? In on_request: the session that --session names, of the first of them that the request has.
---@field client_ip string? In on_request: the client's address as --trust believes it; nil if a trusted proxy named nobody.
---@field sni string? In on_hello: the host that the client wants.
---@field alpn string[]? In on_hello: the protocols that the client speaks.
local conn = {}

--- A query parameter, decoded; the first of several. nil outside of on_request.
---@param name string
---@return string?
function conn:query(name) end

--- A header; repeated ones are joined by ", " in order (Cookie by "; "). nil outside of on_request.
---@param name string Without regard to case.
---@return string?
function conn:header(name) end

--- A cookie, as sent, without quotes; the first of several. nil outside of on_request.
---@param name string
---@return string?
function conn:cookie(name) end

--- The workers that can take a connection now, in slot order. Read-only: to sort them, copy them with `{ unpack(workers) }`.
---@class Workers: { [integer]: Worker }
local workers = {}

--- The worker that a key belongs to (rendezvous hashing): a worker's death moves only its own keys, and its return brings
--- them home.
---@param key string|number
---@return Worker?
function workers:hash(key) end

--- The same, passing over workers with more than `load` times the mean of open connections (the mean taken one higher).
---@param key string|number
---@param load number From 1 up; 1.25 lets a worker have a quarter more than the mean.
---@return Worker?
function workers:bounded_hash(key, load) end

--- The worker that has a session, or nil. If the key is conn.sid or conn.session and unknown, limpet first hears what workers have to
--- say, and asks the hook again from its beginning. If its worker lives, but is stuck or has no room, the hook is asked
--- again once that has changed. A worker that drains is not among `workers`, but keeps its sessions: it is returned here.
---@param key string|number
---@return Worker?
function workers:session(key) end

--- Make a session: from now on workers:session(key) is that worker.
---@param key string|number Of 1 to 1024 bytes.
---@param worker Worker
---@return Worker worker The same.
function workers:bind(key, worker) end

--- The worker with the least of something. Of equals, the one with fewer sessions (of "connections") or connections (of
--- the others). Workers that are equal in both take turns.
---@param measure "connections"|"sessions"|"waiting"
---@return Worker?
function workers:least(measure) end

--- The worker after the one given last, round and round.
---@return Worker?
function workers:next() end

--- Any worker, each equally likely.
---@return Worker?
function workers:random() end

--- One worker. There is one a slot: the process that takes a dead one's place is the same worker. Read-only.
---@class Worker
---@field id integer Its slot, from 1.
---@field pid integer? nil while no process is there.
---@field connections integer Open now, those on the way to it included.
---@field sessions integer Bound to it.
---@field waiting integer Of its connections, handed over and not yet acknowledged.
---@field uptime number Seconds since it was ready.
local worker = {}

--- What limpet.refuse gives.
---@class Refusal

--- What limpet.cidr gives.
---@class Networks
local networks = {}

--- Whether an address lies in one of the networks; false for nil and for what is no address.
---@param ip string?
---@return boolean
function networks:contains(ip) end

---@class limpet
---@field log limpet.log
---@field shared limpet.shared
limpet = {}

--- To return: refuse the connection. An HTTP client is answered with the status, any other is closed.
---@param status integer 400 to 599.
---@return Refusal
function limpet.refuse(status) end

--- Seconds on a clock that is never set. For differences.
---@return number
function limpet.now() end

--- Networks such as "10.0.0.0/8", "fd00::/8", "192.0.2.1". Make them once, outside of the hooks.
---@param ... string
---@return Networks
function limpet.cidr(...) end

--- Whom to count as one client: an IPv4 address as it is, of an IPv6 address its /64, which one subscriber has all of:
--- "192.0.2.7", "2001:db8:1:2::/64". nil for nil.
---@param ip string?
---@return string?
function limpet.subnet(ip) end

--- limpet's log; each line begins with the policy's name. Past ten lines a second, all policies together, lines are only
--- counted.
---@class limpet.log
limpet.log = {}

---@param ... any
function limpet.log.error(...) end

---@param ... any
function limpet.log.warning(...) end

---@param ... any
function limpet.log.info(...) end

---@param ... any
function limpet.log.debug(...) end

--- A small dictionary that all policies share and reloads do not empty. Numbers and strings are the same keys: 7 is "7".
---@class limpet.shared
limpet.shared = {}

---@param key string|number
---@return string|number|boolean|nil
function limpet.shared:get(key) end

---@param key string|number
---@param value string|number|boolean
---@param ttl? number Seconds until it is forgotten; without it, never.
---@return true? done nil when there is no room.
---@return string? why_not
function limpet.shared:set(key, value, ttl) end

--- Add to a number; a key that is not there starts at 0.
---@param key string|number
---@param by? number 1 if left out.
---@param ttl? number Seconds from that start until it is forgotten; later additions do not renew it.
---@return number? sum nil when there is no room, or the key holds no number.
---@return string? why_not
function limpet.shared:incr(key, by, ttl) end

---@param key string|number
function limpet.shared:delete(key) end
