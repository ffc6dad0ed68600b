--- A worker of weight 2 holds twice the connections of one of weight 1: --set 1=2 gives worker 1 that weight.
--- Those without one weigh 1. Sessions stay where they began with `--policy sid` before this one.
local weights

---@type Policy
return {
  setup = function(options)
    weights = options
  end,
  on_connect = function(_, workers)
    local lightest, least = nil, math.huge
    for _, worker in ipairs(workers) do
      local load = (worker.connections + 1) / (tonumber(weights[tostring(worker.id)]) or 1)
      if load < least then
        lightest, least = worker, load
      end
    end
    return lightest
  end,
}
