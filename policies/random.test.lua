local policy = load_policy("random.lua")

test("every worker gets its share", function()
  local all, counts = workers(4), {0, 0, 0, 0}
  for _ = 1, 4000 do
    local id = policy:route{}.id
    counts[id] = counts[id] + 1
  end
  for id in ipairs(all) do
    expect(counts[id] > 800 and counts[id] < 1200, true)
  end
end)

test("a worker that is gone is not taken", function()
  local all = workers(2)
  stop(all[1])
  for _ = 1, 20 do
    expect(policy:route{}, all[2])
  end
end)
