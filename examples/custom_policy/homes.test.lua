local homes = load_policy("homes.lua")
local list = require "homes.list"

test("a tenant on the list meets its worker", function()
  for tenant, id in pairs(list) do
    expect(homes:route({ headers = { ["X-Tenant"] = tenant } }).id, id)
  end
end)

test("nobody else is sent anywhere, nor is a tenant whose worker is gone", function()
  expect(homes:route({ headers = { ["X-Tenant"] = "initech" } }), nil)
  expect(homes:route({ path = "/" }), nil)
  stop(workers(4)[list.acme])
  expect(homes:route({ headers = { ["X-Tenant"] = "acme" } }), nil)
end)
