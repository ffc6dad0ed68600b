--- The worker with the fewest open connections; equals take turns.
---@type Policy
return {
  on_connect = function(_, workers)
    return workers:least("connections")
  end,
}
