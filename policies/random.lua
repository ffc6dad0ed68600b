--- Any worker.
---@type Policy
return {
  on_connect = function(_, workers)
    return workers:random()
  end,
}
