local policy = load_policy("forwarded_for.lua")
local direct = conn{ip = "203.0.113.9"}
local proxied = conn{ip = "10.0.0.1", headers = {["X-Forwarded-For"] = "203.0.113.9"}}

test("behind a trusted proxy a client has the worker that it would have without one", function()
  trust("10.0.0.0/8")
  expect(policy:route(proxied), policy:route(direct))
end)

test("a header of a stranger is not believed", function()
  expect(policy:route(proxied), policy:route{ip = "10.0.0.1"})
end)

test("of several addresses the last that is no proxy counts", function()
  trust("10.0.0.0/8")
  local listed = conn{ip = "10.0.0.1", headers = {["X-Forwarded-For"] = "198.51.100.1, 203.0.113.9, 10.0.0.2"}}
  expect(policy:route(listed), policy:route(direct))
  local repeated = conn{ip = "10.0.0.1", headers = {["X-Forwarded-For"] = {"198.51.100.1", "203.0.113.9"}}}
  expect(policy:route(repeated), policy:route(direct))
end)

test("what a client adds in a header that its proxies do not write changes nothing", function()
  trust("10.0.0.0/8")
  local both = {["X-Forwarded-For"] = "203.0.113.9", Forwarded = "for=198.51.100.1", ["X-Real-IP"] = "unknown"}
  expect(policy:route{ip = "10.0.0.1", headers = both}, policy:route(direct))
end)

test("proxies may write Forwarded instead", function()
  trust("10.0.0.0/8", "forwarded")
  local headers = {Forwarded = "for=198.51.100.1, for=203.0.113.9", ["X-Forwarded-For"] = "unknown"}
  expect(policy:route{ip = "10.0.0.1", headers = headers}, policy:route(direct))
end)

test("a client that the proxy cannot name is not ours", function()
  trust("10.0.0.0/8")
  expect(policy:route{ip = "10.0.0.1", headers = {["X-Forwarded-For"] = "unknown"}}, nil)
end)

test("what is not HTTP is not ours", function()
  expect(policy:route{sni = "a.example"}, nil)
end)
