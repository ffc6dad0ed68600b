local policy = load_policy("least_connections.lua")

test("the worker with the fewest connections is taken", function()
  local all = workers{{connections = 3}, {connections = 1}, {connections = 2}}
  expect(policy:route{}, all[2])
end)

test("equals take turns", function()
  local all = workers{{connections = 3}, {connections = 1}, {connections = 1}}
  local first, second = policy:route{}, policy:route{}
  expect(first ~= all[1] and second ~= all[1], true)
  expect(first ~= second, true)
  expect(policy:route{}, first)
end)

test("a worker that is gone is not taken", function()
  local all = workers{{connections = 3}, {connections = 1}}
  stop(all[2])
  expect(policy:route{}, all[1])
end)
