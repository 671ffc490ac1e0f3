-- lease_list: reads named leases that are held or reserved for a waiter, those that end first in front. Changes nothing.
--
-- ARGV: how many
-- Returns: [now, [name, lease (see lease_reply), ...]]
-- Atomic, because a lease that is handed on must be listed once.
local limit = tonumber(ARGV.limit)
load_meta()
local reply = {}
for _, name in ipairs(try('ZRANGE', LEASES, 0, limit - 1) or {}) do
  local record = read_record(name, try)
  if record then
    reply[#reply + 1] = name
    reply[#reply + 1] = lease_reply(record)
  end
end
return { int(now), reply }
