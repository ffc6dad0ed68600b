--- A session whose id begins with its worker's number ("3_…", as the application makes it) returns to that worker.
---@type Policy
return {
  route_each = "session",
  on_request = function(conn, workers)
    local id = conn.sid and tonumber(conn.sid:match("^(%d+)_"))
    for _, worker in ipairs(workers) do
      if worker.id == id then return worker end
    end
  end,
}
