-- slot_renew: extends a slot.
--
-- ARGV: node id, incarnation, name, token, ttl (ms) or '' (as before)
-- Returns: [now, expires at (server time), or 0 if the token is stale]
-- Atomic, because only the holder of exactly this token may extend it, while it has not expired.
local id, incarnation, name, token = ARGV.node_id, ARGV.incarnation, ARGV.name, ARGV.token
make_way()
load_meta()
guard_stall()
local slot = own_slot(name, token, id, incarnation)
if not slot then
  return { int(now), 0 }
end
local ttl = number(ARGV.ttl, slot.ttl)
local key, by = slot_keys(name)
local expires = cluster_now() + ttl
call('ZADD', key, int(expires), token)
call('HSET', by, token, id .. ' ' .. incarnation .. ' ' .. int(ttl) .. ' ' .. slot.ticket)
call('PEXPIRE', key, 259200000)
call('PEXPIRE', by, 259200000)
try('ZADD', SLOTS, int(math.max(expires, number(try('ZSCORE', SLOTS, name), 0))), name)
return { int(now), int(expires + meta.skew) }
