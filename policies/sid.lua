--- A session returns to the worker that opened it; a new or unknown one is not ours, and goes to the least busy worker.
---@type Policy
return {
  route_each = "session",
  on_request = function(conn, workers)
    local sid = conn.sid
    return sid and workers:session(sid)
  end,
}
