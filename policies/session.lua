--- A session that --session names returns to the worker that opened it; a new or unknown one is not ours.
---@type Policy
return {
  route_each = "session",
  on_request = function(conn, workers)
    local session = conn.session
    return session and workers:session(session)
  end,
}
