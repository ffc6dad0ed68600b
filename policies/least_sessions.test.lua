local policy = load_policy("least_sessions.lua")

--- Give each worker this number of sessions.
local function give(all, counts)
  for i, worker in ipairs(all) do
    for number = 1, counts[i] do session(i .. "_" .. number, worker) end
  end
end

test("the worker with the fewest sessions is taken, whatever its connections", function()
  local all = workers{{connections = 0}, {connections = 9}, {connections = 0}}
  give(all, {3, 1, 2})
  expect(policy:route{}, all[2])
end)

test("of equals it is the first, whatever their connections", function()
  local all = workers{{connections = 0}, {connections = 9}, {connections = 0}}
  give(all, {2, 1, 1})
  expect(policy:route{}, all[2])
end)

test("a worker that is gone is not taken", function()
  local all = workers(2)
  give(all, {3, 1})
  stop(all[2])
  expect(policy:route{}, all[1])
end)

test("a session that is known returns to its worker, with sid before it", function()
  local chain = load_policy("sid.lua", "least_sessions.lua")
  local all = workers(2)
  give(all, {0, 5})
  expect(chain:route{sid = "2_3"}, all[2])
  expect(chain:route{path = "/socket.io/?EIO=4"}, all[1])
end)
