local policy = load_policy("bounded_hash.lua")

test("an address has a home, the one that ip_hash gives it", function()
  local client = conn{ip = "192.0.2.7"}
  expect(policy:route(client), load_policy("ip_hash.lua"):route(client))
end)

test("a home that is too full is passed over, and taken again when there is room", function()
  local client = conn{ip = "192.0.2.7"}
  local home = policy:route(client)
  local loads = {{connections = 10}, {connections = 10}, {connections = 10}, {connections = 10}}
  loads[home.id].connections = 100
  workers(loads)
  local other = policy:route(client)
  expect(other ~= home, true)
  expect(policy:route(client), other)
  workers(4)
  expect(policy:route(client), home)
end)

test("a unix peer has no address, and is not ours", function()
  expect(policy:route{ip = "unix"}, nil)
end)
