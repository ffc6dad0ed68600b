--- A tenant on the list has a worker of its own; the list is a file beside this one.
local homes = require "homes.list"

---@type Policy
return {
  on_request = function(conn, workers)
    local home = homes[conn:header("X-Tenant")]
    for _, worker in ipairs(workers) do
      if worker.id == home then return worker end
    end
  end,
}
