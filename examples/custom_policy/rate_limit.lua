--- A client may open a limited number of connections per minute, --set most=60; further ones are answered with status 429.
--- A client is an IPv4 address or an IPv6 /64. When limpet.shared is full, new clients are refused with 503.
local most = 60

---@type Policy
return {
  setup = function(options)
    most = tonumber(options.most) or most
  end,
  on_connect = function(conn)
    local client = limpet.subnet(conn.ip)
    if not client then return end -- A unix socket.
    local opened = limpet.shared:incr("opened " .. client, 1, 60)
    if not opened then return limpet.refuse(503) end
    if opened > most then return limpet.refuse(429) end
  end,
}
