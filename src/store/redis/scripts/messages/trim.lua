-- Counts the bytes of the message stream, and removes entries that are no longer needed. Follows the preludes of messages/publish.lua
-- and members/tick.lua.
--
--   sizes  list  "<last seq> <bytes before> <bytes after> <producer>" for each run of entries of one producer, of about RUN bytes;
--                the bytes are a running total. So the size of the stream is known without reading it.
--   sent   hash  producer -> bytes of its runs
-- Both cover the entries written since they were created, and both start over if one is lost. Entries that an older release of
-- clawster wrote meanwhile are missing from them; entries that it removed count until their run is trimmed. An entry counts
-- its body and ENTRY bytes.
local SIZES, SENT = PREFIX .. 'sizes', PREFIX .. 'sent'
local RUN, ENTRY, TRIMMED = 65536, 64, 64
local HOUR = 3600000
-- Faster than XDEL if the server has it with MINID. It is optional, so `doctor` does not check for it.
local QUICK = 'XTRIM'

local function read_run(at)
  local last, before, behind, producer = string.match(try('LINDEX', SIZES, at) or '', '^(%d+) (%d+) (%d+) (%S+)$')
  return last and { last = tonumber(last), before = tonumber(before), behind = tonumber(behind), producer = producer }
end

-- How many bytes the stream holds, and its newest run.
local function bytes_held()
  local first, newest = read_run(0), read_run(-1)
  return first and newest and math.max(0, newest.behind - first.before) or 0, newest
end

local function bytes_of(producer)
  return math.max(0, number(try('HGET', SENT, producer), 0))
end

-- Counts entries that were just written: { { last seq, bytes }, ... } of one producer, behind the newest run.
local function note_runs(producer, entries, newest)
  if not newest then
    call('DEL', SIZES, SENT)
  end
  local behind = newest and newest.behind or 0
  local goes_on = newest and newest.producer == producer and newest.behind - newest.before < RUN
  local before, last, total = goes_on and newest.before or behind, nil, 0
  local function put()
    local text = int(last) .. ' ' .. int(before) .. ' ' .. int(behind) .. ' ' .. producer
    if goes_on then
      call('LTRIM', SIZES, 0, -2)
    end
    call('RPUSH', SIZES, text)
    goes_on, before, last = false, behind, nil
  end
  for _, entry in ipairs(entries) do
    last, behind, total = entry[1], behind + entry[2], total + entry[2]
    if behind - before >= RUN then
      put()
    end
  end
  if last then
    put()
  end
  if not try('HINCRBY', SENT, producer, int(total)) then
    call('DEL', SENT)
    call('HSET', SENT, producer, int(total))
  end
end

-- Removes the runs of entries up to `gone` from the count.
local function forget_runs(gone)
  for _ = 1, 4 * TRIMMED do
    local oldest = read_run(0)
    if not oldest then
      call('DEL', SIZES, SENT)
      return
    elseif oldest.last > gone then
      return
    end
    call('LTRIM', SIZES, 1, -1)
    local left = try('HINCRBY', SENT, oldest.producer, int(oldest.before - oldest.behind))
    if left and left <= 0 then
      call('HDEL', SENT, oldest.producer)
    end
  end
end

-- Removes entries up to `floor`, at most about `most` runs. None of its commands needs memory.
local function trim(floor, most)
  local far = read_run(most - 1)
  if far and far.last < floor then
    floor = far.last
  end
  local trimmed = redis.pcall(QUICK, MESSAGES, 'MINID', '=', int(floor + 1) .. '-0')
  if type(trimmed) == 'table' and trimmed.err then
    -- Before Redis 6.2, or if an ACL forbids it, each entry must be read and removed by its id.
    local bytes = 0
    for _ = 1, 32 do
      local old = call('XRANGE', MESSAGES, '-', int(floor) .. '-0', 'COUNT', 16)
      for at = 1, #old do
        call('XDEL', MESSAGES, old[at][1])
        bytes = bytes + #old[at][2][#old[at][2]]
      end
      if #old < 16 then
        break
      elseif bytes > 8388608 then
        floor = number(string.match(old[16][1], '^%d+'), 0)
        break
      end
    end
  end
  forget_runs(floor)
end

-- Of the members whose backlog is kept (online, or away for less than an hour) the one with the lowest acknowledged number, and that
-- number; '' and infinity if there is none; nil while more members that are away for longer have to be passed over.
local function slowest()
  for _ = 1, 8 do
    local first = call('ZRANGE', ACKS, 0, 0, 'WITHSCORES')
    if not first[1] then
      return '', math.huge
    end
    local away = number(call('ZSCORE', AWAY, first[1]), nil)
    if not away or cluster_now() - away <= HOUR then
      return first[1], tonumber(first[2])
    end
    call('ZREM', ACKS, first[1])
  end
end

-- Removes what all of these have acknowledged, however new it is. Returns who needs the rest, and from which number on.
local function trim_acknowledged()
  local who, needed = slowest()
  if who then
    needed = math.min(needed, meta.message_seq)
    trim(needed, TRIMMED)
  end
  return who, needed
end
