--- One worker after the other.
---@type Policy
return {
  on_connect = function(_, workers)
    return workers:next()
  end,
}
