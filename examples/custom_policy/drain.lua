--- One worker, --set worker=3, is given nothing new, unless it is the last one left.
--- Its sessions stay with it until they end with `--policy sid` before this one.
local drained

---@type Policy
return {
  setup = function(options)
    drained = assert(tonumber(options.worker), "say which worker: --set worker=3")
  end,
  on_connect = function(_, workers)
    local emptiest
    for _, worker in ipairs(workers) do
      if worker.id ~= drained and (not emptiest or worker.connections < emptiest.connections) then
        emptiest = worker
      end
    end
    return emptiest
  end,
}
