local policy = load_policy("round_robin.lua")

test("workers take turns", function()
  local all = workers(3)
  for turn = 0, 6 do
    expect(policy:route{}, all[turn % 3 + 1])
  end
end)

test("a worker that is gone is passed over", function()
  local all = workers(3)
  stop(all[2])
  expect(policy:route{}, all[1])
  expect(policy:route{}, all[3])
  expect(policy:route{}, all[1])
end)
