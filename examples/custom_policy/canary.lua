--- A few in a hundred new sessions meet the canary, worker 1, which runs the new release; --set percent=5 says how many.
--- Sessions stay where they began with `--policy sid` before this one.
local percent = 5

---@type Policy
return {
  setup = function(options)
    percent = tonumber(options.percent) or percent
  end,
  on_connect = function(_, workers)
    if math.random() * 100 < percent then
      return workers[1]
    end
    return workers[math.random(2, math.max(2, #workers))]
  end,
}
