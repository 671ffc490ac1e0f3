-- task_cancel: ends a task that has not ended; its worker, if it has one, learns of it when it settles the task.
--
-- ARGV: task id
-- Returns: [outcome ('yes'|'no'|'none'), state]
-- Atomic, because a completion and a cancellation of one task must not both happen.
local id = ARGV.id
make_way()
load_meta()
guard_stall()
local what, is = read_task(id)
if not what then
  return { 'none', '' }
elseif is.how == 'cancelled' then
  return { 'yes', is.state }
elseif is.state == 'waiting' then
  local number = call('HGET', LANES, what.lane)
  local lane = PREFIX .. 'lane:' .. (number or '0')
  try('ZREM', lane, id)
  if call('EXISTS', lane) == 0 then
    count_lanes(-call('HDEL', LANES, what.lane))
  end
elseif is.state == 'delayed' then
  no_delay(id)
elseif is.state == 'blocked' then
  blocking.unblock(id, what)
elseif is.state == 'running' then
  call('ZREM', RUNNING, id)
  note_stop(id)
  try('SREM', PREFIX .. 'held:' .. is.node, id)
else
  return { 'no', is.state }
end
end_task(id, what, is, 'failed', 'cancelled', 'cancelled')
settle_waiting()
forget_most(16)
return { 'yes', 'failed' }
