-- task_settle: a worker reports on tasks that it claimed.
--
-- ARGV: node id, incarnation, then per task: id, token, verdict ('extend', 'complete', 'result' (complete with one), 'retry',
--   'fail'), text (the result or the error), jitter (thousandths)
-- Returns: [status, [state or 'stale' or 'none', due (server time) or 0, ...]]
-- Atomic, because a task may be completed only once: while it runs, with the token of its last claim, by the incarnation that claimed it.
-- If a verdict was accepted already, the same node gets the task's state again: its next incarnation may not have received the
-- answer.
local id, incarnation = ARGV.node_id, ARGV.incarnation
local texts = 0
for at = ARGV.settlements.first, #ARGV, ARGV.settlements.size do
  texts = texts + #ARGV[at].text
end
if texts <= 16384 then
  -- A full Redis accepts the end of a task, but not a large result.
  make_way()
end
load_meta()
guard_stall()
local status = identify(id, incarnation, '')
if status ~= 'ok' then
  return { status, {} }
end
local results, ids, done = {}, {}, {}
local stamp = int(cluster_now()) .. ' '
-- The state of a task after an accepted verdict.
local LEAVES = { complete = 'completed', result = 'completed', retry = 'failed', fail = 'failed' }

local function answer(state, due)
  results[#results + 1] = state
  results[#results + 1] = due == 0 and 0 or due + meta.skew
end

-- All cases except the most frequent one, below.
local function settle_other(task, key, is, token, verdict, text, jitter)
  if not is then
    return answer('none', 0)
  elseif is.token ~= token then
    return answer('stale', 0)
  elseif is.state ~= 'running' then
    if is.how == LEAVES[verdict] and is.node == id then
      return answer(is.state, tonumber(is.due))
    end
    return answer('stale', 0)
  elseif is.node ~= id or is.incarnation ~= incarnation then
    return answer('stale', 0)
  end
  local what = read_what(call('HGET', key, 'what'))
  if not what then
    return answer('none', 0)
  elseif verdict == 'extend' then
    local due = cluster_now() + what.timeout
    call('HSET', key, 'is', is_text('running', is, due, 'none'))
    call('ZADD', RUNNING, due, task)
    earliest = math.min(earliest, due)
    return answer('running', due)
  end
  ids[#ids + 1] = task
  note_stop(task)
  if verdict == 'retry' then
    return answer(fail_attempt(task, what, is, text, 'failed', tonumber(jitter)))
  end
  end_task(task, what, is, 'failed', 'failed', text)
  return answer('failed', 0)
end

local of = ' ' .. id .. ' ' .. incarnation .. ' '
local completed = ' 0 ' .. time .. ' completed'
for at = ARGV.settlements.first, #ARGV, ARGV.settlements.size do
  local task, token, verdict = ARGV[at].id, ARGV[at].token, ARGV[at].verdict
  local text, jitter = ARGV[at].text, ARGV[at].jitter
  local key = TASK .. task
  local stored = redis.pcall('HGET', key, 'is')
  local mine = token .. of
  if type(stored) == 'string' and string.sub(stored, 9, 8 + #mine) == mine and string.sub(stored, 1, 8) == 'running '
    and LEAVES[verdict] == 'completed' then
    -- The most frequent case: the caller's own task, completed.
    local attempts = string.match(stored, '^%d+', 9 + #mine) or '1'
    if verdict == 'result' then
      call('HSET', key, 'is', 'done ' .. mine .. attempts .. completed, 'result', text)
      if try('HINCRBY', BYTES_OF, task, #text) then
        call('HINCRBY', META, 'task_bytes', #text)
      end
    else
      call('HSET', key, 'is', 'done ' .. mine .. attempts .. completed)
    end
    ids[#ids + 1] = task
    done[#done + 1] = stamp .. task
    note_stop(task)
    note_end(task)
    answer('done', 0)
  else
    settle_other(task, key, read_is(stored), token, verdict, text, jitter)
  end
end
if #ids > 0 then
  call('ZREM', RUNNING, unpack(ids))
  try('SREM', PREFIX .. 'held:' .. id, unpack(ids))
end
if #done > 0 then
  call('RPUSH', DONE, unpack(done))
end
if #ids > 0 then
  settle_waiting()
  forget_most(#ids + 16)
end
call_leader()
return { status, results }
