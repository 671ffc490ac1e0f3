-- leave: ends the caller's membership and gives up its leadership, if it holds it.
--
-- ARGV: node id, incarnation, acknowledged message seq or ''
-- Returns: [status, now, resigned (1|0)]
-- Atomic, because a leader that leaves must not leave a record behind that candidates have to wait for.
local id, incarnation = ARGV.node_id, ARGV.incarnation
make_way()
load_meta()
guard_stall()
local status, row = identify(id, incarnation, '')
local resigned = 0
if status == 'ok' then
  if ARGV.acknowledged ~= '' and tonumber(ARGV.acknowledged) > number(call('HGET', CURSORS, id), 0) then
    call('HSET', CURSORS, id, ARGV.acknowledged)
    call('ZADD', ACKS, ARGV.acknowledged, id)
  end
  local leader = read_leader()
  if leader and leader.holder == id and leader.incarnation == incarnation then
    vacate_leader(leader, 'resigned')
    resigned = 1
  end
  end_life(id, row, 'left', 'left')
end
return { status, int(now), resigned }
