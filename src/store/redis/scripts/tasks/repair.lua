-- Follows tasks/shared.lua in ticks only: detects and repairs losses as members/repair.lua does, for tasks.
--
-- Every task contains its state, its lane and its worker. So a set that lacks tasks is restored from the tasks themselves: a worker's
-- running tasks from its own set, lanes by their numbers, and everything by a walk through the keys, one page per tick (`meta.walk_at`).
-- A walk starts when a set has vanished without being emptied. It may start needlessly, after the last task of a set has left it.
local WALK_PAGE, LANES_PAGE = 500, 2000

local function tell_kind(id, what)
  if try('SADD', ANNOUNCED, what.kind) ~= 0 then
    emit('task_available', what.submitter, 'task', id, 'kind', what.kind)
  end
end

-- Restores deadlines of a node's running tasks, which otherwise would never time out.
local function mend_running(node)
  local held = PREFIX .. 'held:' .. node
  local any = try('SRANDMEMBER', held)
  if not any or call('ZSCORE', RUNNING, any) then
    return
  end
  for at, id in ipairs(try('SMEMBERS', held) or {}) do
    local what, is = read_task(id)
    if not what or is.state ~= 'running' or is.node ~= node then
      call('SREM', held, id)
    elseif not call('ZSCORE', RUNNING, id) then
      call('ZADD', RUNNING, is.due, id)
    end
    if at == 1000 then
      break
    end
  end
end

-- Restores the entry of a lane from its first task. Returns false if work is left for the next tick.
local function list_lane(number)
  local key = PREFIX .. 'lane:' .. number
  for _ = 1, 100 do
    local first = try('ZRANGE', key, 0, 0)
    if not first or not first[1] then
      return true
    end
    local what, is = read_task(first[1])
    if what and is.state == 'waiting' then
      local other = call('HGET', LANES, what.lane)
      if not other then
        call('HSET', LANES, what.lane, number)
      elseif other ~= number then
        -- The lane was created again for later tasks: merge both.
        local tasks, moved = call('ZRANGE', key, 0, 999, 'WITHSCORES'), {}
        for at = 1, #tasks, 2 do
          moved[at], moved[at + 1] = tasks[at + 1], tasks[at]
        end
        call('ZADD', PREFIX .. 'lane:' .. other, unpack(moved))
        call('ZREMRANGEBYRANK', key, 0, 999)
      end
      tell_kind(first[1], what)
      return other == false or call('EXISTS', key) == 0
    end
    call('ZREM', key, first[1])
  end
  return false
end

local function mend_lanes()
  local listed = call('HLEN', LANES)
  if listed > meta.open_lanes then
    -- Entries of an earlier release.
    call('HSET', META, 'open_lanes', listed)
  end
  if listed >= meta.open_lanes then
    return
  end
  local at = number(call('HGET', META, 'lane_at'), number(call('HGET', META, 'lane_seq'), 0))
  local known = {}
  for _, lane in ipairs(call('HVALS', LANES)) do
    known[lane] = true
  end
  for _ = 1, LANES_PAGE / 100 do
    local keys = {}
    for n = at, math.max(1, at - 99), -1 do
      keys[#keys + 1] = PREFIX .. 'lane:' .. int(n)
    end
    if #keys > 0 and call('EXISTS', unpack(keys)) > 0 then
      for n = at, at - #keys + 1, -1 do
        if not known[int(n)] and not list_lane(int(n)) then
          call('HSET', META, 'lane_at', int(n))
          return
        end
      end
    end
    at = at - #keys
  end
  if at > 0 then
    call('HSET', META, 'lane_at', int(at))
  else
    call('HDEL', META, 'lane_at')
    call('HSET', META, 'open_lanes', call('HLEN', LANES))
  end
end

-- Puts a task into the set of its state.
local function place_task(id)
  local what, is = read_task(id)
  if not what then
    return
  elseif is.state == 'waiting' then
    local lane = call('HGET', LANES, what.lane)
    if not lane or not try('ZSCORE', PREFIX .. 'lane:' .. lane, id) then
      make_ready(id, what)
      tell_kind(id, what)
    end
  elseif is.state == 'delayed' then
    if not call('ZSCORE', DELAYED, id) then
      call('ZADD', DELAYED, is.due, id)
    end
  elseif is.state == 'running' then
    if not call('ZSCORE', RUNNING, id) then
      call('ZADD', RUNNING, is.due, id)
    end
    try('SADD', PREFIX .. 'held:' .. is.node, id)
  elseif is.state == 'blocked' then
    if not try('ZSCORE', blocking.set, id) then
      if is.how == 'after' then
        blocking.place_new(id, what, is, 'none', nil)
      else
        call('HSET', TASK .. id, 'is', is_text('waiting', is, 0, 'none'))
        make_ready(id, what)
      end
    end
  elseif is.state == 'done' then
    -- Searching the list of done tasks would be slow: let the task expire by itself.
    call('PEXPIRE', TASK .. id, ENDED_FOR)
  else
    local key = is.state == 'dead' and DEAD or FAILED
    if not call('ZSCORE', key, id) then
      call('ZADD', key, int(cluster_now()), id)
    end
  end
end

-- Which sets of ended tasks exist.
local function ended_sets()
  return (call('EXISTS', DONE) == 1 and 'o' or '') .. (call('EXISTS', FAILED) == 1 and 'f' or '') .. (call('EXISTS', DEAD) == 1 and 'd' or '')
end

local function walk_tasks()
  local delayed_lost = meta.has_delayed and call('EXISTS', DELAYED) == 0
  local ended = ended_sets()
  for set in string.gmatch(meta.ended, '.') do
    delayed_lost = delayed_lost or not string.find(ended, set, 1, true)
  end
  if delayed_lost and meta.walk_at == '' then
    meta.walk_at = '0'
    call('HDEL', META, 'has_delayed')
  end
  if meta.walk_at == '' then
    return
  end
  local page = try('SCAN', meta.walk_at, 'MATCH', TASK .. '*', 'COUNT', WALK_PAGE)
  if not page then
    call('HDEL', META, 'walk_at')
    return
  end
  for _, key in ipairs(page[2]) do
    place_task(string.sub(key, #TASK + 1))
  end
  if page[1] == '0' then
    call('HDEL', META, 'walk_at')
    if call('EXISTS', DELAYED) == 1 then
      call('HSET', META, 'has_delayed', 1)
    end
  else
    call('HSET', META, 'walk_at', page[1])
  end
end

-- Stops counting the bytes of tasks that no longer exist, because an earlier release or an operator removed them.
local function mend_bytes()
  local at = call('HGET', META, 'bytes_at') or '0'
  local page = try('HSCAN', BYTES_OF, at, 'COUNT', 50)
  if not page then
    return
  end
  local gone = {}
  for n = 1, #page[2], 2 do
    if call('EXISTS', TASK .. page[2][n]) == 0 then
      gone[#gone + 1] = page[2][n]
    end
  end
  if #gone > 0 then
    uncount_bytes(gone)
  end
  if page[1] ~= at then
    call('HSET', META, 'bytes_at', page[1])
  end
end

local function note_ended()
  local ended = ended_sets()
  if ended ~= meta.ended then
    call('HSET', META, 'ended', ended)
  end
end
