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
