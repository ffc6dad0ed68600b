test("an address that asks too often is refused, and no other", function()
  local limit = load_policy("rate_limit.lua", { most = "3" })
  for _ = 1, 3 do
    expect(limit:route({ ip = "192.0.2.1" }), nil)
  end
  expect(limit:route({ ip = "192.0.2.1" }), "refused 429")
  expect(limit:route({ ip = "192.0.2.2" }), nil)
end)

test("after a minute it may ask again", function()
  local limit = load_policy("rate_limit.lua", { most = "1" })
  expect(limit:route({ ip = "192.0.2.1" }), nil)
  advance(59)
  expect(limit:route({ ip = "192.0.2.1" }), "refused 429")
  advance(2)
  expect(limit:route({ ip = "192.0.2.1" }), nil)
end)

test("an IPv6 network is one client", function()
  local limit = load_policy("rate_limit.lua", { most = "2" })
  expect(limit:route({ ip = "2001:db8:1:2::1" }), nil)
  expect(limit:route({ ip = "2001:db8:1:2:3:4:5:6" }), nil)
  expect(limit:route({ ip = "2001:db8:1:2::7" }), "refused 429")
  expect(limit:route({ ip = "2001:db8:1:3::7" }), nil)
end)

test("who cannot be counted is refused, and who is counted already is not", function()
  local limit = load_policy("rate_limit.lua", { most = "3" })
  expect(limit:route({ ip = "192.0.2.1" }), nil)
  local number = 0
  repeat
    number = number + 1
  until not limpet.shared:set("filler " .. number, true)
  expect(limit:route({ ip = "192.0.2.2" }), "refused 503")
  expect(limit:route({ ip = "192.0.2.1" }), nil)
end)

test("a unix socket has no address to count", function()
  local limit = load_policy("rate_limit.lua", { most = "1" })
  expect(limit:route({ ip = "unix" }), nil)
  expect(limit:route({ ip = "unix" }), nil)
end)
