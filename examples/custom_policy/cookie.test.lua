local function browser(ip, cookies)
  return { ip = ip, headers = { Cookie = cookies } }
end

test("a browser returns to its worker from wherever it is", function()
  local cookie = load_policy("cookie.lua")
  local home = cookie:route(browser("192.0.2.1", "theme=dark; session=s3cret"))
  expect(home ~= nil, true)
  for i = 1, 9 do
    expect(cookie:route(browser("2001:db8::" .. i, "session=s3cret")), home)
  end
end)

test("without the cookie it goes where there is room", function()
  local cookie = load_policy("cookie.lua")
  expect(cookie:route({ path = "/" }), nil)
  expect(cookie:route(browser("192.0.2.1", "Session=s3cret")), nil)
end)

test("the cookie has the name that the operator gave it", function()
  local cookie = load_policy("cookie.lua", { cookie = "io" })
  expect(cookie:route(browser("192.0.2.1", "io=s3cret")) ~= nil, true)
  expect(cookie:route(browser("192.0.2.1", "session=s3cret")), nil)
end)
