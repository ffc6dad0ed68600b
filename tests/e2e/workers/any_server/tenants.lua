--- Each tenant has a worker of its own: tenant 1 the first, tenant 2 the second.
---@type Policy
return {
  route_each = "request",
  on_request = function(conn, workers)
    return workers[tonumber(conn:header("Tenant"))]
  end,
}
