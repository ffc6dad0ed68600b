--- Clients of one address share a worker while it has room; the rest of a large office overflows to the next one.
--- A session stays with the worker that opened it, however full that is. --set load=1.25: a quarter above the mean.
local load = 1.25

---@type Policy
return {
  setup = function(options)
    load = tonumber(options.load) or load
  end,
  on_request = function(conn, workers)
    local home = conn.sid and workers:session(conn.sid)
    return home or conn.client_ip and workers:bounded_hash(conn.client_ip, load)
  end,
}
