-- Shared by the scripts of tasks and by those that end incarnations or check deadlines; placed between the prelude and each of them.
--
-- A task is a hash, `task:<id>`, with few fields, so that a transition costs few commands and no JSON:
--   what     "<seq> <priority> <attempts at most> <timeout, ms> <created, server time> <submitter> <nonce> <kind>
--            <requirements>"; never changes. seq: its place in the order of submission. nonce: the submission's. Requirements: canonical JSON, or nothing.
--   is       "<state> <token> <node> <incarnation> <attempts> <due> <changed, server time> <how>"; node '-': none yet. due: cluster
--            time at which it is taken from its worker or is ready again, else 0. how: what ended the last attempt or led to the
--            state: 'none', 'completed', 'failed' (reported by its worker), 'lost' (timed out, or its worker died), 'cancelled', 'redriven'.
--   payload, result (JSON texts), error
-- A task can wait for others (state 'blocked'): see tasks/blocked.lua.
-- A delayed task is ready once the server's clock or cluster time has reached its time. The server's clock continues in an outage, so
-- that tasks that fell due meanwhile are ready at once afterwards; cluster time bounds the delay after that clock was set back. A
-- jump forward makes tasks ready early, by at most its length: it looks like an outage. (The previous release uses `delayed` alone.)
-- The timeout of a worker is not a schedule but liveness: it cannot be extended during an outage, so it is in cluster time.
--
-- A lane holds the ready tasks of one kind with one set of requirements; it exists while it has tasks.
--
-- Every entry of a set is checked against the task's own state before use: a malformed task counts as missing and affects only its
-- owner. A malformed lane or node's set starts over; its tasks return by their timeouts, or can be redriven.
local RUNNING, DELAYED, DONE, LANES, FAILED, DEAD = unpack(KEYS, 14, 19)
local ANNOUNCED = PREFIX .. 'announced'
local SCHEDULED = PREFIX .. 'scheduled'
local TASK = PREFIX .. 'task:'

-- Called when a task ended, when it stopped running, and at the end of a call that may have done so. Defined in tasks/blocked.lua.
local note_end, note_stop, settle_waiting

-- How many ended tasks are kept, and for how long (ms): done and failed ones, and dead ones.
local ENDED_KEPT, ENDED_FOR, DEAD_FOR = 10000, 86400000, 604800000

-- The time of this call as text.
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

-- The lanes of tasks that became ready in this call, in order of their first task, and for each lane { score, id, ... }.
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

-- Counts the lanes, so that a tick can detect that `lanes` was lost (see tasks/repair.lua).
local function count_lanes(more)
  if more ~= 0 then
    call('HINCRBY', META, 'open_lanes', more)
  end
end

-- Starts a walk through all tasks. A listed lane without tasks was lost, but its tasks were not: the next ticks find them.
local function start_walk()
  if meta.walk_at == '' then
    meta.walk_at = '0'
    call('HSET', META, 'walk_at', 0)
  end
end

-- Puts ready tasks into their lanes, and announces the first task of each kind for which workers wait.
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
    local added = try('SADD', ANNOUNCED, kind)
    if added ~= 0 then
      emit('task_available', submitter, 'task', id, 'kind', kind)
      if not added or call('SCARD', ANNOUNCED) > 10000 then
        -- Kinds that are never claimed must not pile up; at worst a kind is announced once more.
        call('DEL', ANNOUNCED)
      end
    end
  end
  ready_lanes, ready, ready_first = {}, {}, {}
end

-- The earliest deadline that this call has set, in cluster time.
local earliest = math.huge

-- The leader handles due tasks at the time that its last tick returned. It is notified if this call set an earlier deadline, for
-- which its next heartbeat may be too late. Without a leader all nodes are notified, because the first candidate handles them.
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
  note_end(id)
  if state == 'dead' then
    call('ZADD', DEAD, cluster_now(), id)
    emit('task_dead', is.node ~= '-' and is.node or what.submitter, 'task', id, 'kind', what.kind)
  else
    call('ZADD', FAILED, cluster_now(), id)
  end
end

-- Stores when delayed tasks are ready: { due in cluster time, id, ... }. `has_delayed` says that there are some, so that a tick can
-- detect the loss of all of them.
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

-- Handles a failed attempt: retries the task after a pause, or ends it. Returns its state and when it is ready again, in cluster time.
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

-- The entries of a set that are due by this clock, at most `most`, and the time of the first one if none is due yet.
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

-- Makes due delayed tasks ready. Returns when the next one is due, in cluster time, or nil.
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

-- When a delayed task is ready by the server's clock; 0 if that is unknown, or the task is not delayed.
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
      note_stop(id)
      fail_attempt(id, what, is, 'timed out', 'lost', jitter)
    end
  end
  return due
end

-- The size of tasks: `task_bytes` holds the bytes of each (payload, result and TASK_BYTES), `meta.task_bytes` their sum. Tasks that
-- the previous release added are not counted; those that it removed are, until a tick notices (tasks/repair.lua).
local BYTES_OF, TASK_BYTES = PREFIX .. 'task_bytes', 300

-- Adds tasks to the count: { id, bytes, ... }.
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
      -- `task_bytes` was lost, or never existed.
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

-- The list of done tasks holds "<cluster time> <id>", oldest first. A list is enough, because a done task never changes again.
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

-- Removes ended tasks beyond ENDED_KEPT, at most `most` of each state.
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

-- Removes ended tasks whose time to be kept has passed, at most `most` of each state.
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

-- The running tasks of an incarnation that ends are ready again at once, or dead after their last attempt. Beyond a thousand tasks
-- they wait for their timeouts.
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
    note_stop(id)
    if tonumber(is.attempts) >= what.most then
      end_task(id, what, is, 'dead', 'lost', error)
    else
      call('HSET', TASK .. id, 'is', is_text('waiting', is, 0, 'lost'), 'error', error)
      make_ready(id, what)
    end
  end
  settle_waiting()
end
