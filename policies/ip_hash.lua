--- One client address, one worker, for as long as that worker lives.
---@type Policy
return {
  on_connect = function(conn, workers)
    return conn.ip and workers:hash(conn.ip)
  end,
}
