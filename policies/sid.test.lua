local policy = load_policy("sid.lua")

test("a session returns to its worker", function()
  local all = workers(4)
  session("kC3d", all[3])
  expect(policy:route{path = "/socket.io/?EIO=4", sid = "kC3d"}, all[3])
end)

test("a new session is not ours", function()
  expect(policy:route{path = "/socket.io/?EIO=4"}, nil)
end)

test("nor is one that nobody knows", function()
  expect(policy:route{sid = "unknown"}, nil)
end)

test("nor is one whose worker is gone", function()
  local all = workers(4)
  session("kC3d", all[3])
  stop(all[3])
  expect(policy:route{sid = "kC3d"}, nil)
end)

test("what is not ours goes to the next policy", function()
  local all = workers(4)
  local chain = load_policy("sid.lua", "ip_hash.lua")
  local home = chain:route{ip = "192.0.2.7"}
  local other = all[home.id % 4 + 1]
  session("kC3d", other)
  expect(chain:route{ip = "192.0.2.7", sid = "kC3d"}, other)
  expect(chain:route{ip = "192.0.2.7", sid = "unknown"}, home)
end)
