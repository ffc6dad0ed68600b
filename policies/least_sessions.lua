--- The worker with the fewest sessions; of equals the first, as @socket.io/sticky's "least-connection" has it. Sessions that
--- begin at the same moment all go to one worker, because it has not reported the first one yet; least_connections spreads those as well.
---@type Policy
return {
  on_connect = function(_, workers)
    local least = workers[1]
    for _, worker in ipairs(workers) do
      if worker.sessions < least.sessions then least = worker end
    end
    return least
  end,
}
