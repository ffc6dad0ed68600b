test("clients of one address share a worker while it has room, and overflow when it has not", function()
  local nat = load_policy("nat.lua")
  local home = nat:route({ ip = "192.0.2.1", path = "/" })
  expect(nat:route({ ip = "192.0.2.1", path = "/" }), home)
  local crowd = { {}, {}, {}, {} }
  crowd[home.id].connections = 100
  workers(crowd)
  expect(nat:route({ ip = "192.0.2.1", path = "/" }) ~= home, true)
end)

test("a session stays with its worker, however full that is", function()
  local all = workers({ {}, { connections = 100 }, {}, {} })
  session("abc", all[2])
  expect(load_policy("nat.lua"):route({ ip = "192.0.2.1", sid = "abc" }), all[2])
end)
