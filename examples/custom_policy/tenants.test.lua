local function asks(ip, tenant)
  return { ip = ip, headers = { ["X-Tenant"] = tenant } }
end

test("requests of one tenant meet, wherever they are from", function()
  local tenants = load_policy("tenants.lua")
  local home = tenants:route(asks("192.0.2.1", "acme"))
  expect(home ~= nil, true)
  expect(tenants:route(asks("192.0.2.2", "acme")), home)
  expect(tenants:route(asks("2001:db8::1", "acme")), home)
end)

test("when its worker dies a tenant moves as a whole, and it comes back", function()
  local tenants = load_policy("tenants.lua")
  local home = tenants:route(asks("192.0.2.1", "acme"))
  stop(home)
  local shelter = tenants:route(asks("192.0.2.1", "acme"))
  expect(shelter ~= home, true)
  expect(tenants:route(asks("192.0.2.2", "acme")), shelter)
  start(home)
  expect(tenants:route(asks("192.0.2.2", "acme")), home)
end)

test("who names no tenant goes where there is room", function()
  expect(load_policy("tenants.lua"):route({ path = "/" }), nil)
end)

test("the header has the name that the operator gave it", function()
  local tenants = load_policy("tenants.lua", { header = "X-Org" })
  expect(tenants:route(asks("192.0.2.1", "acme")), nil)
  expect(tenants:route({ headers = { ["x-org"] = "acme" } }) ~= nil, true)
end)
