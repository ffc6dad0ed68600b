--- One client address, one worker, unless that worker has more than a quarter above its share: so an office behind one
--- address does not overload it. Its clients then overflow to a second worker, the same for all of them, while it is full.
local LOAD = 1.25

---@type Policy
return {
  on_connect = function(conn, workers)
    return conn.ip and workers:bounded_hash(conn.ip, LOAD)
  end,
}
