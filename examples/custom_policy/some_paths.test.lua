test("the chat sticks", function()
  local some = load_policy("some_paths.lua")
  local home = some:route({ ip = "192.0.2.1", path = "/socket.io/?EIO=4" })
  expect(home ~= nil, true)
  expect(some:route({ ip = "192.0.2.1", path = "/socket.io/?EIO=4&transport=websocket" }), home)
end)

test("everything else goes where there is room", function()
  local some = load_policy("some_paths.lua")
  for _, path in ipairs({ "/", "/socketXio/", "/a/socket.io/", "/logo.png?from=/socket.io/" }) do
    expect(some:route({ ip = "192.0.2.1", path = path }), nil)
  end
end)

test("the operator says where the chat is", function()
  local some = load_policy("some_paths.lua", { path = "/chat/" })
  expect(some:route({ ip = "192.0.2.1", path = "/chat/room" }) ~= nil, true)
  expect(some:route({ ip = "192.0.2.1", path = "/socket.io/" }), nil)
end)
