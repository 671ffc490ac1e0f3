-- Shared by the scripts of tasks and by those that end lives or watch deadlines; it stands between the prelude and each of
-- them.
--
-- A task is a hash, `task:<id>`, of few texts, so that a transition costs few commands and no JSON:
--   what     "<seq> <priority> <attempts at most> <timeout, ms> <created, server time> <submitter> <nonce> <kind>
--            <requirements>"; never changes. seq: its place in the order of submission. nonce: the submission's. Requirements: canonical JSON, or nothing.
--   is       "<state> <token> <node> <incarnation> <attempts> <due> <changed, server time> <how>"; node '-': none yet. due: cluster
--            time at which it is taken from its worker or is ready again, else 0. how: what ended the last attempt or led to the
--            state: 'none', 'completed', 'failed' (by its worker's word), 'lost' (timed out, or its worker died), 'cancelled', 'redriven'.
--   payload, result (JSON texts), error
-- A delayed task is ready as soon as the server's clock or cluster time says so. The server's clock goes on in an outage, so that what
-- fell due then is ready at once afterwards; cluster time bounds a jump of that clock back, which would hold tasks up. A jump
-- forward makes them ready early, by its length at most: it looks like an outage. (The version before goes by `delayed` alone.)
-- What a worker has time for is no schedule but liveness: it could not extend it in an outage, so it is cluster time.
--
-- A lane holds the ready tasks of one kind with one set of requirements; it exists while it holds some.
--
-- What a set names is compared with the task's own state before anything is done: a task that somebody else broke counts as
-- none, and costs nobody but its owner. A lane or a node's set that is broken is begun anew; its tasks come back by their timeouts,
-- or are there to be redriven.
local RUNNING, DELAYED, DONE, LANES, FAILED, DEAD = unpack(KEYS, 14, 19)
local ANNOUNCED = PREFIX .. 'announced'
local SCHEDULED = PREFIX .. 'scheduled'
local TASK = PREFIX .. 'task:'

-- How long and how many ended tasks are kept.
local ENDED_KEPT, ENDED_FOR, DEAD_FOR = 10000, 86400000, 604800000

-- The time of this call as every script of tasks writes it.
local time = int(now)

local function read_is(text)
  if type(text) ~= 'string' then
    return nil
  end
  local state, token, node, incarnation, attempts, due, how =
    string.match(text, '^(%l+) (%d+) (%S+) (%d+) (%d+) (%-?%d+) %d+ (%l+)$')
  return state and { state = state, token = token, node = node, incarnation = incarnation, attempts = attempts, due = due,
    how = how }
end

local function read_what(text)
  if type(text) ~= 'string' then
    return nil
  end
  local seq, priority, most, timeout, submitter, nonce, lane =
    string.match(text, '^(%d+) (%-?%d+) (%d+) (%d+) %d+ (%S+) (%S+) (%S+.*)$')
  return seq and { seq = tonumber(seq), priority = tonumber(priority), most = tonumber(most), timeout = tonumber(timeout),
    submitter = submitter, nonce = nonce, lane = lane, kind = string.match(lane, '^%S+') }
end

-- Both halves of a task, or nil.
local function read_task(id)
  local texts = redis.pcall('HMGET', TASK .. id, 'what', 'is')
  local what, is = read_what(texts[1]), read_is(texts[2])
  if what and is then
    return what, is
  end
end

local function is_text(state, is, due, how)
  return state .. ' ' .. is.token .. ' ' .. is.node .. ' ' .. is.incarnation .. ' ' .. is.attempts .. ' ' .. int(due) .. ' '
    .. time .. ' ' .. how
end

-- Tasks that became ready in this call: { lane, ... } in order of their first task, and for each lane { score, id, ... }.
local ready_lanes, ready = {}, {}
local ready_first = {}

local function make_ready(id, what)
  local list = ready[what.lane]
  if not list then
    list = {}
    ready[what.lane] = list
    ready_lanes[#ready_lanes + 1] = what.lane
    ready_first[what.lane] = { id, what.submitter, what.kind }
  end
  list[#list + 1] = -what.priority * 1e12 + what.seq
  list[#list + 1] = id
end

-- Keeps count of the lanes, by which a tick notices that `lanes` was lost (see tasks/repair.lua).
local function count_lanes(more)
  if more ~= 0 then
    call('HINCRBY', META, 'open_lanes', more)
  end
end

-- A lane that is listed holds tasks. One that does not was lost, and its tasks are not: the next ticks look for them.
local function start_walk()
  if meta.walk_at == '' then
    meta.walk_at = '0'
    call('HSET', META, 'walk_at', 0)
  end
end

-- Puts them into their lanes, and tells of the first one of each kind whose workers found nothing since the last time.
local function put_ready()
  for _, lane in ipairs(ready_lanes) do
    local number = call('HGET', LANES, lane)
    local added = number and try('ZADD', PREFIX .. 'lane:' .. number, unpack(ready[lane]))
    if added and added > 0 and call('ZCARD', PREFIX .. 'lane:' .. number) == added then
      start_walk()
    elseif not added then
      number = int(call('HINCRBY', META, 'lane_seq', 1))
      count_lanes(call('HSET', LANES, lane, number))
      call('ZADD', PREFIX .. 'lane:' .. number, unpack(ready[lane]))
    end
  end
  for _, lane in ipairs(ready_lanes) do
    local id, submitter, kind = unpack(ready_first[lane])
    local told = try('SADD', ANNOUNCED, kind)
    if told ~= 0 then
      emit('task_available', submitter, 'task', id, 'kind', kind)
      if not told or call('SCARD', ANNOUNCED) > 10000 then
        -- Kinds that nobody ever claims must not pile up; at worst one of them is told of once more.
        call('DEL', ANNOUNCED)
      end
    end
  end
  ready_lanes, ready, ready_first = {}, {}, {}
end

-- The earliest deadline that this call has set, in cluster time.
local earliest = math.huge

-- The leader looks for what is due when its last beat said so. It is called when something is due before that: a set's first
-- deadline is this call's, and its next beat may come too late. Without a leader everybody is, for the first in rank looks then.
local function call_leader()
  if earliest - cluster_now() >= meta.interval then
    return
  end
  for _, key in ipairs({ RUNNING, DELAYED }) do
    local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if first[2] and tonumber(first[2]) == earliest then
      local leader = read_leader()
      local nonce = leader and leader.holder ~= '' and read_presence(leader.holder) or ''
      call('PUBLISH', nonce ~= '' and presence_channel(nonce) or PREFIX .. 'all', 'register')
      return
    end
  end
end

-- Ends a task without success: 'failed' or 'dead'.
local function end_task(id, what, is, state, how, error)
  call('HSET', TASK .. id, 'is', is_text(state, is, 0, how), 'error', error)
  if state == 'dead' then
    call('ZADD', DEAD, cluster_now(), id)
    emit('task_dead', is.node ~= '-' and is.node or what.submitter, 'task', id, 'kind', what.kind)
  else
    call('ZADD', FAILED, cluster_now(), id)
  end
end

-- Notes when delayed tasks are ready: { due in cluster time, id, ... }. That there are some is noted, too, so that a tick notices when all
-- of them are lost.
local function delay_tasks(tasks)
  if #tasks > 0 then
    call('ZADD', DELAYED, unpack(tasks))
    call('HSET', META, 'has_delayed', 1)
    for at = 1, #tasks, 2 do
      earliest = math.min(earliest, tasks[at])
      tasks[at] = tasks[at] + meta.skew
    end
    if not try('ZADD', SCHEDULED, unpack(tasks)) then
      call('DEL', SCHEDULED)
      call('ZADD', SCHEDULED, unpack(tasks))
    end
  end
end

local function note_delayed()
  if call('EXISTS', DELAYED) == 0 then
    call('HDEL', META, 'has_delayed')
  end
end

local function no_delay(id)
  call('ZREM', DELAYED, id)
  try('ZREM', SCHEDULED, id)
  note_delayed()
end

-- A failed attempt: another one after a pause, or the end. Returns the state and when it is ready again, in cluster time.
local function fail_attempt(id, what, is, error, how, jitter)
  local attempts = tonumber(is.attempts)
  if attempts >= what.most then
    end_task(id, what, is, 'dead', how, error)
    return 'dead', 0
  end
  local whole = math.min(60000, 1000 * 2 ^ math.min(attempts - 1, 16))
  local due = cluster_now() + math.floor(whole * (1000 + jitter) / 2000)
  call('HSET', TASK .. id, 'is', is_text('delayed', is, due, how), 'error', error)
  delay_tasks({ due, id })
  return 'delayed', due
end

-- The members of a set whose time has come by this clock, at most `most`, and the time of the first one if it is still to come.
local function take_due(key, most, clock_now)
  local first = try('ZRANGE', key, 0, 0, 'WITHSCORES') or {}
  local due = first[2] and tonumber(first[2])
  if not due or due > clock_now or most <= 0 then
    return {}, due
  end
  local ids = call('ZRANGEBYSCORE', key, '-inf', int(clock_now), 'LIMIT', 0, most)
  call('ZREM', key, unpack(ids))
  return ids, clock_now
end

-- Makes delayed tasks ready whose time has come. Returns when the next one's comes, in cluster time, or nil.
local function promote_due(most)
  local due
  for _, by in ipairs({ { SCHEDULED, now, DELAYED }, { DELAYED, cluster_now(), SCHEDULED } }) do
    local ids, at = take_due(by[1], most, by[2])
    most = most - #ids
    for _, id in ipairs(ids) do
      try('ZREM', by[3], id)
      local what, is = read_task(id)
      if what and is.state == 'delayed' then
        call('HSET', TASK .. id, 'is', is_text('waiting', is, 0, is.how))
        make_ready(id, what)
      end
    end
    if ids[1] then
      note_delayed()
    end
    at = at and at - by[2] + cluster_now()
    due = at and due and math.min(at, due) or at or due
  end
  return due
end

-- When a delayed task is ready by the server's clock; 0 where that is not known, or the task is not delayed.
local function scheduled_at(id, is)
  local at = is and string.sub(is, 1, 8) == 'delayed ' and try('ZSCORE', SCHEDULED, id)
  return int(number(at, 0))
end

-- Takes overdue tasks from their workers. Returns when the next one is overdue, or nil.
local function end_overdue(most, jitter)
  local ids, due = take_due(RUNNING, most, cluster_now())
  for _, id in ipairs(ids) do
    local what, is = read_task(id)
    if what and is.state == 'running' then
      try('SREM', PREFIX .. 'held:' .. is.node, id)
      fail_attempt(id, what, is, 'timed out', 'lost', jitter)
    end
  end
  return due
end

-- What tasks take: `task_bytes` holds the bytes of each (payload, result and TASK_BYTES), `meta.task_bytes` their sum. What the version
-- before added is not counted; what it removed is, until a tick finds out (tasks/repair.lua).
local BYTES_OF, TASK_BYTES = PREFIX .. 'task_bytes', 300

-- Counts tasks: { id, bytes, ... }.
local function count_bytes(sizes)
  local sum = 0
  for at = 2, #sizes, 2 do
    sum = sum + sizes[at]
  end
  if sum > 0 then
    if not try('HMSET', BYTES_OF, unpack(sizes)) then
      call('DEL', BYTES_OF)
      call('HMSET', BYTES_OF, unpack(sizes))
    end
    if call('HLEN', BYTES_OF) * 2 <= #sizes then
      -- It was lost, or there was none.
      call('HSET', META, 'task_bytes', int(sum))
    else
      call('HINCRBY', META, 'task_bytes', int(sum))
    end
  end
end

local function uncount_bytes(ids)
  local sum = 0
  for _, bytes in ipairs(try('HMGET', BYTES_OF, unpack(ids)) or {}) do
    sum = sum + number(bytes, 0)
  end
  if sum > 0 then
    call('HDEL', BYTES_OF, unpack(ids))
    call('HINCRBY', META, 'task_bytes', int(-sum))
  end
end

local function forget_tasks(key, ids)
  if #ids > 0 then
    local names = {}
    for at, id in ipairs(ids) do
      names[at] = TASK .. id
    end
    call('ZREM', key, unpack(ids))
    call('DEL', unpack(names))
    uncount_bytes(ids)
  end
end

-- The list of done tasks holds "<cluster time> <id>", oldest first: a done task never changes again, and a list is cheap.
local function forget_done(entries)
  if #entries > 0 then
    local names, ids = {}, {}
    for at, entry in ipairs(entries) do
      ids[at] = string.match(entry, ' (.*)$') or ''
      names[at] = TASK .. ids[at]
    end
    call('LTRIM', DONE, #entries, -1)
    call('DEL', unpack(names))
    uncount_bytes(ids)
  end
end

-- Forgets ended tasks beyond those that are kept, at most `most` of each sort.
local function forget_most(most)
  local over = math.min(most, call('LLEN', DONE) - ENDED_KEPT)
  if over > 0 then
    forget_done(call('LRANGE', DONE, 0, over - 1))
  end
  for _, key in ipairs({ FAILED, DEAD }) do
    over = math.min(most, call('ZCARD', key) - ENDED_KEPT)
    if over > 0 then
      forget_tasks(key, call('ZRANGE', key, 0, over - 1))
    end
  end
end

-- Forgets ended tasks that were kept for long enough, at most `most` of each sort.
local function forget_old(most)
  local oldest, old = call('LINDEX', DONE, 0), {}
  if oldest and number(string.match(oldest, '^%-?%d+'), 0) <= cluster_now() - ENDED_FOR then
    for _, entry in ipairs(call('LRANGE', DONE, 0, most - 1)) do
      if number(string.match(entry, '^%-?%d+'), 0) > cluster_now() - ENDED_FOR then
        break
      end
      old[#old + 1] = entry
    end
  end
  forget_done(old)
  forget_tasks(FAILED, call('ZRANGEBYSCORE', FAILED, '-inf', cluster_now() - ENDED_FOR, 'LIMIT', 0, most))
  forget_tasks(DEAD, call('ZRANGEBYSCORE', DEAD, '-inf', cluster_now() - DEAD_FOR, 'LIMIT', 0, most))
end

-- What a life worked on is ready again at once, or dead if that was the last attempt. What is more than a thousand tasks
-- waits for its timeout.
release_tasks = function(node, reason)
  call('DEL', PREFIX .. 'claimed:' .. node)
  local ids = try('SPOP', PREFIX .. 'held:' .. node, 1000)
  if not ids then
    call('DEL', PREFIX .. 'held:' .. node)
  end
  if not ids or #ids == 0 then
    return
  end
  call('ZREM', RUNNING, unpack(ids))
  local tasks = {}
  for _, id in ipairs(ids) do
    local what, is = read_task(id)
    if what and is.state == 'running' and is.node == node then
      tasks[#tasks + 1] = { id, what, is }
    end
  end
  table.sort(tasks, function(a, b)
    return a[2].seq < b[2].seq
  end)
  local error = 'its node ' .. node .. ' ended: ' .. reason
  for _, task in ipairs(tasks) do
    local id, what, is = unpack(task)
    if tonumber(is.attempts) >= what.most then
      end_task(id, what, is, 'dead', 'lost', error)
    else
      call('HSET', TASK .. id, 'is', is_text('waiting', is, 0, 'lost'), 'error', error)
      make_ready(id, what)
    end
  end
  put_ready()
end
