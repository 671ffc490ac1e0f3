-- task_submit: adds tasks; one whose id exists is left as it is. One that this submission added already is no other's.
--
-- ARGV: 1 node id, 2 incarnation, then per task: id, kind, requirements (canonical JSON or ''), priority, delay (ms), attempts
--   at most, timeout (ms), payload, the submission's nonce
-- Returns: [status, results]; a result per task: 1 added, now or earlier with this nonce, 0 there is another one of this id, -1 too many lanes
-- Atomic, because two submissions of one id must not both find it free, and because a task must lie in its lane.
local id, incarnation = ARGV[1], ARGV[2]
local FIRST, EACH, LANES_MOST = 3, 9, 4096
load_meta()
guard_stall()
local status = identify(id, incarnation, '')
if status ~= 'ok' then
  return { status, {} }
end
local seq = call('HINCRBY', META, 'task_seq', (#ARGV - FIRST + 1) / EACH) - (#ARGV - FIRST + 1) / EACH
local waiting = 'waiting 0 - 0 0 0 ' .. time .. ' none'
local room = {}
local delayed, results = {}, {}
for at = FIRST, #ARGV, EACH do
  local task, kind, requires = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local lane = requires == '' and kind or kind .. ' ' .. requires
  if room[lane] == nil then
    room[lane] = call('HEXISTS', LANES, lane) == 1 or call('HLEN', LANES) < LANES_MOST
  end
  local key = TASK .. task
  if call('EXISTS', key) == 1 then
    local there = read_what(try('HGET', key, 'what'))
    results[#results + 1] = there and there.nonce == ARGV[at + 8] and 1 or 0
  elseif not room[lane] then
    results[#results + 1] = -1
  else
    results[#results + 1] = 1
    seq = seq + 1
    local delay = tonumber(ARGV[at + 4])
    local what = seq .. ' ' .. ARGV[at + 3] .. ' ' .. ARGV[at + 5] .. ' ' .. ARGV[at + 6] .. ' ' .. time .. ' ' .. id .. ' '
      .. ARGV[at + 8] .. ' ' .. lane
    if delay > 0 then
      local due = cluster_now() + delay
      call('HSET', key, 'what', what, 'is', 'delayed 0 - 0 0 ' .. int(due) .. ' ' .. time .. ' none', 'payload', ARGV[at + 7])
      delayed[#delayed + 1] = due
      delayed[#delayed + 1] = task
    else
      call('HSET', key, 'what', what, 'is', waiting, 'payload', ARGV[at + 7])
      make_ready(task, { seq = seq, priority = tonumber(ARGV[at + 3]), submitter = id, kind = kind, lane = lane })
    end
  end
end
delay_tasks(delayed)
put_ready()
call_leader()
return { status, results }
