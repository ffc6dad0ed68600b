--- How many of a thousand new sessions meet worker 1.
local function at_the_canary(percent)
  local canary = load_policy("sid", "canary.lua", { percent = percent })
  local all, met = workers(4), 0
  for _ = 1, 1000 do
    met = met + (canary:route({ path = "/" }) == all[1] and 1 or 0)
  end
  return met
end

test("nobody, everybody, or about as many as the operator says", function()
  expect(at_the_canary("0"), 0)
  expect(at_the_canary("100"), 1000)
  local half = at_the_canary("50")
  expect(half > 350 and half < 650, true)
end)

test("a session stays where it began", function()
  local canary = load_policy("sid", "canary.lua", { percent = "100" })
  session("abc", workers(4)[3])
  expect(canary:route({ sid = "abc" }), workers(4)[3])
end)

test("a canary that is the only worker is left to the fallback", function()
  workers(1)
  expect(load_policy("canary.lua", { percent = "0" }):route({ path = "/" }), nil)
end)
