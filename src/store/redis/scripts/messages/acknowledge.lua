-- acknowledge: moves a member's cursor forward.
--
-- ARGV: 1 node id, 2 incarnation, 3 epoch, 4 message seq
-- Returns: [status, now]
-- Atomic, because a cursor never moves back, whatever order two calls arrive in.
local id, incarnation, epoch, seq = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
make_way()
load_meta()
local status = identify(id, incarnation, epoch)
if status == 'ok' and tonumber(seq) > number(call('HGET', CURSORS, id), 0) then
  call('HSET', CURSORS, id, seq)
  call('ZADD', ACKS, seq, id)
end
return { status, int(now) }
