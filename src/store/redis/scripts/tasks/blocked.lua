-- Follows tasks/shared.lua in the scripts that submit, claim or end tasks: what keeps a task back besides its delay.
--
-- More fields of a task, where it has them: after ("<id> <id> ..." of the tasks that must be done first), pause (ms of delay that count once
-- they are), limit ("<at most> <concurrency key>"), origin ("<schedule id> <slot, server time>").
--   blocked              zset  task id -> its place in the order of submission; the tasks in the state 'blocked'
--   after:<task id>      set   ids of tasks that wait for it
--   limited              hash  running task id -> its concurrency key
--   in_use:<key>         set   ids of the running tasks with this key
--   parked_lanes:<key>   set   digests of lanes with tasks that wait for this key
--   parked:<key> <digest of the lane>   zset   those tasks, with the scores that they have in the lane
-- A blocked task is in no lane, and its `how` says what it waits for: 'after' or 'limit'. Versions that do not know the word leave such
-- a task alone. A task with a limit lies in its lane like any other. A claim that meets it while so many run parks it, so that it is in
-- nobody's way; when one of those ends, the first parked task of each lane comes back: of each, because nobody may meet the
-- requirements of one lane. What is missed here, because a set was lost or an earlier version ended a task, a later tick finds.
--
-- A script may have 200 local variables: `blocking` has what others need.
local blocking = { waiters_most = 1000 }
do
  local BLOCKED, LIMITED = PREFIX .. 'blocked', PREFIX .. 'limited'

  -- Runs a command on a set; a malformed one starts over.
  local function sure(command, key, ...)
    local answer = redis.pcall(command, key, ...)
    if type(answer) == 'table' and answer.err then
      call('DEL', key)
      answer = call(command, key, ...)
    end
    return answer
  end

  local blocked_exists, limited_exists
  local function any_blocked()
    if blocked_exists == nil then
      blocked_exists = call('EXISTS', BLOCKED) == 1
    end
    return blocked_exists
  end

  -- The tasks that ended in this call, and the concurrency keys of those that stopped running.
  local ended, freed = {}, {}

  note_end = function(id)
    if any_blocked() then
      ended[#ended + 1] = id
    end
  end

  note_stop = function(id)
    if limited_exists == nil then
      limited_exists = call('EXISTS', LIMITED) == 1
    end
    local key = limited_exists and try('HGET', LIMITED, id)
    if key then
      call('HDEL', LIMITED, id)
      try('SREM', PREFIX .. 'in_use:' .. key, id)
      freed[#freed + 1] = key
    end
  end

  local function block(id, what, is, how)
    call('HSET', TASK .. id, 'is', is_text('blocked', is, 0, how))
    sure('ZADD', BLOCKED, what.seq, id)
    blocked_exists = true
  end

  -- What the tasks of `after` say: 'ready', 'waits', or 'fails' with the text that tells why.
  local function look_after(ids)
    local waits = false
    for dep in string.gmatch(ids, '%S+') do
      local _, is = read_task(dep)
      if not is then
        return 'fails', 'task ' .. dep .. ', which must be done first, is unknown'
      elseif is.state == 'failed' or is.state == 'dead' then
        local word = is.how == 'cancelled' and 'was cancelled' or is.state == 'dead' and 'is dead' or 'has failed'
        return 'fails', 'task ' .. dep .. ', which must be done first, ' .. word
      end
      waits = waits or is.state ~= 'done'
    end
    return waits and 'waits' or 'ready'
  end

  -- Puts a task that nobody has begun where it belongs: it waits for others, fails because of them, is delayed, or is ready.
  -- Returns its state, and adds it to `delayed` if it is delayed.
  local function place_new(id, what, is, how, delayed)
    local fields = redis.pcall('HMGET', TASK .. id, 'after', 'pause')
    local after, pause = fields[1], number(fields[2], 0)
    if after then
      local verdict, why = look_after(after)
      if verdict == 'waits' then
        block(id, what, is, 'after')
        for dep in string.gmatch(after, '%S+') do
          local _, its = read_task(dep)
          if its and its.state ~= 'done' then
            sure('SADD', PREFIX .. 'after:' .. dep, id)
          end
        end
        return 'waiting'
      elseif verdict == 'fails' then
        end_task(id, what, is, 'failed', 'failed', why)
        return 'failed'
      end
    end
    if pause > 0 and delayed then
      local due = cluster_now() + pause
      call('HSET', TASK .. id, 'is', is_text('delayed', is, due, how))
      delayed[#delayed + 1] = due
      delayed[#delayed + 1] = id
      return 'delayed'
    end
    call('HSET', TASK .. id, 'is', is_text('waiting', is, 0, how))
    make_ready(id, what)
    return 'waiting'
  end

  local function parked_key(key, lane)
    local digest = redis.sha1hex(lane)
    return PREFIX .. 'parked:' .. key .. ' ' .. digest, digest
  end

  -- Takes a blocked task out of every set.
  local function unblock(id, what)
    call('ZREM', BLOCKED, id)
    local fields = redis.pcall('HMGET', TASK .. id, 'after', 'limit')
    for dep in string.gmatch(fields[1] or '', '%S+') do
      try('SREM', PREFIX .. 'after:' .. dep, id)
    end
    local key = string.match(fields[2] or '', '^%d+ (%S+)$')
    if key then
      local parked, digest = parked_key(key, what.lane)
      if try('ZREM', parked, id) == 1 and call('EXISTS', parked) == 0 then
        try('SREM', PREFIX .. 'parked_lanes:' .. key, digest)
      end
    end
  end

  -- How many tasks with this key run. If that is too many for one more, those that do not run any more are removed first.
  local function running_with(key, most)
    local set = PREFIX .. 'in_use:' .. key
    local count = try('SCARD', set)
    if not count then
      call('DEL', set)
      return 0
    elseif count >= most then
      for _, id in ipairs(call('SRANDMEMBER', set, 100)) do
        local _, is = read_task(id)
        if not is or is.state ~= 'running' then
          count = count - call('SREM', set, id)
          try('HDEL', LIMITED, id)
        end
      end
    end
    return count
  end

  -- Brings parked tasks of a key back to their lanes, as many of each as may run.
  local function unpark(key)
    local lanes = PREFIX .. 'parked_lanes:' .. key
    local digests = try('SMEMBERS', lanes) or {}
    table.sort(digests)
    for _, digest in ipairs(digests) do
      local parked, back = PREFIX .. 'parked:' .. key .. ' ' .. digest, 0
      while true do
        local id = (try('ZRANGE', parked, 0, 0) or {})[1]
        if not id then
          call('SREM', lanes, digest)
          break
        end
        local what, is = read_task(id)
        local most = number(string.match(try('HGET', TASK .. id, 'limit') or '', '^(%d+) '), 1)
        if what and is.state == 'blocked' then
          if running_with(key, most) + back >= most then
            break
          end
          call('ZREM', BLOCKED, id)
          call('HSET', TASK .. id, 'is', is_text('waiting', is, 0, 'none'))
          make_ready(id, what)
          back = back + 1
        end
        call('ZREM', parked, id)
      end
    end
  end

  -- Lets go on what waited for tasks that ended or stopped in this call, and puts what is ready into the lanes.
  settle_waiting = function()
    local at, budget, delayed = 1, 10000, {}
    while ended[at] and budget > 0 do
      local key = PREFIX .. 'after:' .. ended[at]
      local waiting = {}
      for _, id in ipairs(try('SMEMBERS', key) or {}) do
        local what, is = read_task(id)
        if what and is.state == 'blocked' and is.how == 'after' then
          waiting[#waiting + 1] = { what.seq, id, what, is }
        end
      end
      table.sort(waiting, function(a, b)
        return a[1] < b[1]
      end)
      for _, task in ipairs(waiting) do
        local _, id, what, is = unpack(task)
        call('ZREM', BLOCKED, id)
        place_new(id, what, is, 'none', delayed)
      end
      call('DEL', key)
      at, budget = at + 1, budget - #waiting - 1
    end
    ended = {}
    delay_tasks(delayed)
    local done = {}
    for _, key in ipairs(freed) do
      if not done[key] then
        done[key] = true
        unpark(key)
      end
    end
    freed = {}
    put_ready()
  end

  -- Looks at some blocked tasks, a page with each tick: lets those go on that wait for nothing any more.
  local function mend_blocked()
    if not any_blocked() then
      if call('HDEL', META, 'has_blocked') == 1 then
        -- All of them were let go, or the set was lost.
        start_walk()
      end
      return
    end
    call('HSET', META, 'has_blocked', 1)
    local at = call('HGET', META, 'blocked_at') or '0'
    local page = try('ZRANGEBYSCORE', BLOCKED, '(' .. at, '+inf', 'WITHSCORES', 'LIMIT', 0, 16) or {}
    call('HSET', META, 'blocked_at', page[32] or '0')
    for n = 1, #page, 2 do
      local id, delayed = page[n], {}
      local what, is = read_task(id)
      local fields = redis.pcall('HMGET', TASK .. id, 'after', 'limit')
      local most, key = string.match(fields[2] or '', '^(%d+) (%S+)$')
      if not what or is.state ~= 'blocked' then
        call('ZREM', BLOCKED, id)
      elseif is.how == 'after' and look_after(fields[1] or '') ~= 'waits' then
        unblock(id, what)
        place_new(id, what, is, 'none', delayed)
        delay_tasks(delayed)
      elseif is.how ~= 'after' and (not key or running_with(key, tonumber(most)) < tonumber(most)) then
        unblock(id, what)
        call('HSET', TASK .. id, 'is', is_text('waiting', is, 0, 'none'))
        make_ready(id, what)
      end
    end
  end

  blocking.set, blocking.limited, blocking.sure, blocking.block, blocking.unblock = BLOCKED, LIMITED, sure, block, unblock
  blocking.place_new, blocking.parked_key, blocking.running_with, blocking.mend = place_new, parked_key, running_with, mend_blocked
end
