--- Requests of one tenant meet in one worker, whose caches then hold that tenant and few others.
--- The header that names the tenant is X-Tenant, or --set header=NAME.
local header = "X-Tenant"

---@type Policy
return {
  setup = function(options)
    header = options.header or header
  end,
  on_request = function(conn, workers)
    local tenant = conn:header(header)
    return tenant and workers:hash(tenant)
  end,
}
