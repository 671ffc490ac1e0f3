-- task_redrive: makes a failed or dead task wait again, with all its attempts.
--
-- ARGV: 1 task id
-- Returns: [outcome ('yes'|'no'|'none'), state]
-- Atomic, because a task must lie in one set at a time.
local id = ARGV[1]
load_meta()
guard_stall()
local what, is = read_task(id)
if not what then
  return { 'none', '' }
elseif is.state == 'waiting' and is.how == 'redriven' then
  return { 'yes', is.state }
elseif is.state ~= 'failed' and is.state ~= 'dead' then
  return { 'no', is.state }
end
call('ZREM', FAILED, id)
call('ZREM', DEAD, id)
-- The token stays: a repeated settlement under it is answered as stale from now on.
is.attempts = '0'
call('HSET', TASK .. id, 'is', is_text('waiting', is, 0, 'redriven'))
call('HDEL', TASK .. id, 'error')
make_ready(id, what)
put_ready()
return { 'yes', 'waiting' }
