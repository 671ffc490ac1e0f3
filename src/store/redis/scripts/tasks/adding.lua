-- Follows tasks/blocked.lua and shared/byte_bound.lua: adds new tasks, for tasks/submit.lua and schedules/fire.lua.
--
-- The maximum number of lanes of one kind; of all kinds before a kind may have only one; of all kinds.
local LANES_OF_KIND, LANES_MOST, LANES_END = 256, 4096, 8192

-- Adds the tasks of ARGV for the submitter `id`; they and those that there are take at most `most_bytes`. `full`: whether Redis is. Returns the results
-- as tasks/submit.lua gives them, or an error.
local function add_tasks(id, most_bytes, full)
  local bound, coming = bounded(most_bytes, 4, full), 0
  for at = ARGV.tasks.first, #ARGV, ARGV.tasks.size do
    coming = coming + #ARGV[at].payload + #ARGV[at].after + TASK_BYTES
  end

  local function has_room()
    local held = number(call('HGET', META, 'task_bytes'), 0)
    return not full and (held == 0 or held + coming <= bound)
  end

  -- Removes ended tasks to make room, the oldest done ones first; in a full Redis only those that ended at least ten minutes ago. Dead
  -- tasks stay, because an operator may want to redrive them.
  -- (After the first write nothing shows whether Redis is still full: the next call finds out.)
  local YOUNG = 600000
  local fits = has_room()
  for _ = 1, full and 1 or 16 do
    if fits then
      break
    end
    local done = call('LRANGE', DONE, 0, 63)
    local before = full and int(cluster_now() - YOUNG) or '+inf'
    if full then
      -- Other data may fill Redis: do not remove tasks that were done a moment ago for that.
      while done[1] and tonumber(string.match(done[#done], '^%d+') or 0) > cluster_now() - YOUNG do
        done[#done] = nil
      end
    end
    local failed = not done[1] and call('ZRANGEBYSCORE', FAILED, '-inf', before, 'LIMIT', 0, 64) or {}
    if not done[1] and not failed[1] then
      break
    end
    forget_done(done)
    forget_tasks(FAILED, failed)
    fits = has_room()
  end
  if full then
    -- The error that the first write would have returned.
    return redis.error_reply('OOM tasks need memory')
  end

  -- The number of lanes, and of each kind; counted only when a kind may have too many.
  local all_lanes, of_kind, new_lanes = call('HLEN', LANES), nil, {}
  local function has_lane(lane, kind)
    if call('HEXISTS', LANES, lane) == 1 then
      return true
    elseif all_lanes < LANES_OF_KIND then
      all_lanes, new_lanes[kind] = all_lanes + 1, (new_lanes[kind] or 0) + 1
      return true
    elseif not of_kind then
      of_kind = new_lanes
      local all = call('HGETALL', LANES)
      for at = 1, #all, 2 do
        local its = string.match(all[at], '^%S+') or ''
        of_kind[its] = (of_kind[its] or 0) + 1
      end
    end
    local own = of_kind[kind] or 0
    if own >= LANES_OF_KIND or all_lanes >= (own == 0 and LANES_END or LANES_MOST) then
      return false
    end
    of_kind[kind], all_lanes = own + 1, all_lanes + 1
    return true
  end

  -- Why a task cannot wait for these; nil if it can.
  local function refuse_after(after)
    local n = 0
    for dep in string.gmatch(after, '%S+') do
      if not read_task(dep) then
        return -100 - n
      elseif number(try('SCARD', PREFIX .. 'after:' .. dep), 0) >= blocking.waiters_most then
        return -3
      end
      n = n + 1
    end
  end

  local count = (#ARGV - ARGV.tasks.first + 1) / ARGV.tasks.size
  local seq = call('HINCRBY', META, 'task_seq', count) - count
  local waiting = 'waiting 0 - 0 0 0 ' .. time .. ' none'
  local room = {}
  local delayed, results, sizes = {}, {}, {}
  for at = ARGV.tasks.first, #ARGV, ARGV.tasks.size do
    local task, kind, requires = ARGV[at].id, ARGV[at].kind, ARGV[at].requires
    local lane = requires == '' and kind or kind .. ' ' .. requires
    if room[lane] == nil then
      room[lane] = has_lane(lane, kind)
    end
    local key = TASK .. task
    if call('EXISTS', key) == 1 then
      local there = read_what(try('HGET', key, 'what'))
      results[#results + 1] = there and there.nonce == ARGV[at].submission and 1 or 0
    elseif not fits then
      results[#results + 1] = -2
    elseif not room[lane] then
      results[#results + 1] = -1
    elseif ARGV[at].after ~= '' and refuse_after(ARGV[at].after) then
      results[#results + 1] = refuse_after(ARGV[at].after)
    else
      results[#results + 1] = 1
      sizes[#sizes + 1], sizes[#sizes + 2] = task, #ARGV[at].payload + #ARGV[at].after + TASK_BYTES
      seq = seq + 1
      local delay = tonumber(ARGV[at].delay)
      local what = seq .. ' ' .. ARGV[at].priority .. ' ' .. ARGV[at].max_attempts .. ' ' .. ARGV[at].timeout .. ' ' .. time .. ' ' .. id .. ' '
        .. ARGV[at].submission .. ' ' .. lane
      for name, value in pairs({ after = ARGV[at].after, limit = ARGV[at].limit, origin = ARGV[at].origin }) do
        if value ~= '' then
          call('HSET', key, name, value)
        end
      end
      if ARGV[at].after ~= '' then
        call('HSET', key, 'what', what, 'is', waiting, 'payload', ARGV[at].payload, 'pause', int(delay))
        blocking.place_new(task, read_what(what), read_is(waiting), 'none', delayed)
      elseif delay > 0 then
        local due = cluster_now() + delay
        call('HSET', key, 'what', what, 'is', 'delayed 0 - 0 0 ' .. int(due) .. ' ' .. time .. ' none', 'payload', ARGV[at].payload)
        delayed[#delayed + 1] = due
        delayed[#delayed + 1] = task
      else
        call('HSET', key, 'what', what, 'is', waiting, 'payload', ARGV[at].payload)
        make_ready(task, { seq = seq, priority = tonumber(ARGV[at].priority), submitter = id, kind = kind, lane = lane })
      end
    end
  end
  count_bytes(sizes)
  delay_tasks(delayed)
  settle_waiting()
  call_leader()
  return results
end
