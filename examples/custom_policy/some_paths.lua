--- The chat sticks, everything else goes where there is room: --set path=/chat/ says where the chat is.
local path = "/socket.io/"

---@type Policy
return {
  setup = function(options)
    path = options.path or path
  end,
  on_request = function(conn, workers)
    if conn.path:sub(1, #path) == path and conn.client_ip then
      return workers:hash(conn.client_ip)
    end
  end,
}
