--- A browser returns to its worker for as long as it has its cookie, wherever it is: --set cookie=NAME says which.
local cookie = "session"

---@type Policy
return {
  setup = function(options)
    cookie = options.cookie or cookie
  end,
  on_request = function(conn, workers)
    local value = conn:cookie(cookie)
    return value and workers:hash(value)
  end,
}
