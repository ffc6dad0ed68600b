--- One client, one worker, also behind proxies: those of --trust are believed when they name the client.
---@type Policy
return {
  route_each = "request",
  on_request = function(conn, workers)
    return conn.client_ip and workers:hash(conn.client_ip)
  end,
}
