--- The worker with the fewest open connections; of equals the first.
---@type Policy
return {
  on_connect = function(_, workers)
    return workers:least("connections")
  end,
}
