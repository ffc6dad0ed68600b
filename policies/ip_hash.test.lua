local policy = load_policy("ip_hash.lua")

test("an address returns to its worker", function()
  local home = policy:route{ip = "192.0.2.7"}
  expect(home ~= nil, true)
  expect(policy:route{ip = "192.0.2.7", port = 50001, path = "/other"}, home)
end)

test("IPv4 inside IPv6 is the same client", function()
  expect(policy:route{ip = "::ffff:192.0.2.7"}, policy:route{ip = "192.0.2.7"})
end)

test("a worker's death moves only its own clients, and its return brings them home", function()
  workers(8)
  local homes = {}
  for i = 1, 200 do
    homes[i] = policy:route{ip = "198.51.100." .. i}
  end
  local dead = homes[1]
  stop(dead)
  for i = 1, 200 do
    local now = policy:route{ip = "198.51.100." .. i}
    expect(now ~= dead, true)
    if homes[i] ~= dead then
      expect(now, homes[i])
    end
  end
  start(dead)
  for i = 1, 200 do
    expect(policy:route{ip = "198.51.100." .. i}, homes[i])
  end
end)

test("a unix peer has no address, and is not ours", function()
  expect(policy:route{ip = "unix"}, nil)
end)

test("without a worker there is no answer", function()
  workers(0)
  expect(policy:route{}, nil)
end)
