-- leave: ends the caller's membership and gives up its leadership, if it holds it.
--
-- ARGV: 1 node id, 2 incarnation, 3 acknowledged message seq or ''
-- Returns: [status, now, resigned (1|0)]
-- Atomic, because a leader that leaves must not leave a record behind that candidates have to wait for.
local id, incarnation = ARGV[1], ARGV[2]
make_way()
load_meta()
guard_stall()
local status, row = identify(id, incarnation, '')
local resigned = 0
if status == 'ok' then
  if ARGV[3] ~= '' and tonumber(ARGV[3]) > number(call('HGET', CURSORS, id), 0) then
    call('HSET', CURSORS, id, ARGV[3])
    call('ZADD', ACKS, ARGV[3], id)
  end
  local leader = read_leader()
  if leader and leader.holder == id and leader.incarnation == incarnation then
    vacate_leader(leader, 'resigned')
    resigned = 1
  end
  end_life(id, row, 'left', 'left')
end
return { status, int(now), resigned }
