-- task_redrive: makes a failed or dead task wait again, with all its attempts. What must be done first must be done, now or later.
--
-- ARGV: task id
-- Returns: [outcome ('yes'|'no'|'none'), state]
-- Atomic, because a task must lie in one set at a time.
local id = ARGV.id
load_meta()
guard_stall()
local what, is = read_task(id)
if not what then
  return { 'none', '' }
elseif is.state == 'waiting' and is.how == 'redriven' then
  return { 'yes', is.state }
elseif is.state == 'blocked' then
  return { 'no', 'waiting' }
elseif is.state ~= 'failed' and is.state ~= 'dead' then
  return { 'no', is.state }
end
call('ZREM', FAILED, id)
call('ZREM', DEAD, id)
-- The token stays: a repeated settlement under it is answered as stale from now on.
is.attempts = '0'
call('HDEL', TASK .. id, 'error')
local state = blocking.place_new(id, what, is, 'redriven')
settle_waiting()
return { 'yes', state }
