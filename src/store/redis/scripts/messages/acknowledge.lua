-- acknowledge: moves a member's cursor forward.
--
-- ARGV: node id, incarnation, epoch, message seq
-- Returns: [status, now]
-- Atomic, because a cursor never moves back, whatever order two calls arrive in.
local id, incarnation, epoch, seq = ARGV.node_id, ARGV.incarnation, ARGV.epoch, ARGV.seq
make_way()
load_meta()
local status = identify(id, incarnation, epoch)
if status == 'ok' and tonumber(seq) > number(call('HGET', CURSORS, id), 0) then
  call('HSET', CURSORS, id, seq)
  call('ZADD', ACKS, seq, id)
end
return { status, int(now) }
