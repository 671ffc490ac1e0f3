-- slot_release: ends a slot.
--
-- ARGV: node id, incarnation, name, token
-- Returns: [now, released (1|0), slots in use]
-- Atomic, because only the holder of exactly this token may end it, and the first waiter is called at the same moment. A second release by
-- the same caller gets the same answer for ten minutes, in case the first answer was lost.
local id, incarnation, name, token = ARGV.node_id, ARGV.incarnation, ARGV.name, ARGV.token
make_way()
load_meta()
guard_stall()
local released = PREFIX .. 'slot_released:' .. token
local mine = id .. ' ' .. incarnation .. ' ' .. name
if own_slot(name, token, id, incarnation) then
  end_slot(name, token)
  call('SET', released, mine, 'PX', 600000)
elseif try('GET', released) ~= mine then
  return { int(now), 0, 0 }
end
expire_slots(name)
return { int(now), 1, offer_freed(name) }
