--- An address may open so many connections a minute, --set most=60; further ones are answered with status 429.
local most = 60

---@type Policy
return {
  setup = function(options)
    most = tonumber(options.most) or most
  end,
  on_connect = function(conn)
    local opened = conn.ip and limpet.shared:incr("opened " .. conn.ip, 1, 60)
    if opened and opened > most then
      return limpet.refuse(429)
    end
  end,
}
