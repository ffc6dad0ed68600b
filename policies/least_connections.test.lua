local policy = load_policy("least_connections.lua")

test("the worker with the fewest connections is taken", function()
  local all = workers{{connections = 3}, {connections = 1}, {connections = 2}}
  expect(policy:route{}, all[2])
end)

test("of equals it is the first", function()
  local all = workers{{connections = 3}, {connections = 1}, {connections = 1}}
  expect(policy:route{}, all[2])
end)

test("a worker that is gone is not taken", function()
  local all = workers{{connections = 3}, {connections = 1}}
  stop(all[2])
  expect(policy:route{}, all[1])
end)
