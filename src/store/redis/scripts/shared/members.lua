-- Shared by every script, between shared/keys_and_clock.lua and shared/leases.lua: rows, streams, events and numbers.

-- Row: i incarnation, p process, s status, k presence kind, j joined at, c candidate ('1' or '0'), r producer
-- ('' after a rename moved it), a aliases (ids it had before a rename, separated by spaces), m metadata (JSON text), and, except
-- from old releases, v the number of the node's last statement about itself (it rises).
-- A malformed row counts as missing: its node gets the status 'unknown' and writes a new one.
local function read_row(id)
  local good, row = pcall(cjson.decode, call('HGET', MEMBERS, id) or '')
  if not good or type(row) ~= 'table' then
    return nil
  end
  for _, field in ipairs({ 'i', 'p', 's', 'k', 'j', 'c', 'r', 'a', 'm' }) do
    if type(row[field]) ~= 'string' then
      return nil
    end
  end
  row.v = type(row.v) == 'string' and row.v or nil
  return row
end

local function write_row(id, row)
  call('HSET', MEMBERS, id, cjson.encode(row))
  meta.version = call('HINCRBY', META, 'version', 1)
  call('ZADD', CHANGES, int(meta.version), id)
end

-- The registered presence of a member: its nonce and the server it was stored on; two empty texts when there is none.
local function read_presence(id)
  local nonce, server = string.match(call('HGET', PRESENCE, id) or '', '^(%S+) (%S+)$')
  return nonce or '', server or ''
end

local function is_live(row)
  return row.s == 'online' or row.s == 'draining'
end

-- Removes a member that is away, with its position in the messages. The floor rises, so that all readers drop its row, too.
local function remove_member(id, row)
  if row and row.r ~= '' then
    call('HDEL', PRODUCERS, row.r)
  end
  call('HDEL', MEMBERS, id)
  call('HDEL', CURSORS, id)
  call('ZREM', ACKS, id)
  call('ZREM', AWAY, id)
  call('ZREM', CHANGES, id)
  meta.version = call('HINCRBY', META, 'version', 1)
  meta.floor = meta.version
  call('HSET', META, 'floor', int(meta.floor))
end

-- Rewrites a stream without the entries after `last`: keeps its newest entries, at most 4,096 or 64 MiB. Older ones are lost and
-- appear as a gap.
local function rewrite_stream(key, last)
  local anew, first, count, bytes = key .. ':anew', nil, 0, 0
  local top = int(last)
  repeat
    local page = call('XREVRANGE', key, top .. '-0', '-', 'COUNT', 16)
    for _, entry in ipairs(page) do
      for _, text in ipairs(entry[2]) do
        bytes = bytes + #text
      end
      count = count + 1
      if count > 4096 or bytes > 67108864 then
        page = {}
        break
      end
      first = string.match(entry[1], '^%d+')
    end
    top = first and int(tonumber(first) - 1)
  until #page < 16 or tonumber(top) < 1
  call('DEL', anew)
  while first do
    local page = call('XRANGE', key, first .. '-0', int(last) .. '-0', 'COUNT', 16)
    for _, entry in ipairs(page) do
      first = string.match(entry[1], '^(%d+)%-0$') or first
      if entry[1] == first .. '-0' then
        call('XADD', anew, entry[1], unpack(entry[2]))
      end
    end
    first = #page == 16 and int(tonumber(first) + 1) or nil
  end
  if call('EXISTS', anew) == 1 then
    call('RENAME', anew, key)
  else
    call('DEL', key)
  end
end

-- Removes foreign entries after `last`, the last entry that this data set counts: the server accepts no entry below them, and
-- readers would find them for ever. Newer servers remember the highest id that was ever removed; there the stream is rewritten.
local function remove_foreign(key, last)
  for _, entry in ipairs(call('XRANGE', key, int(last + 1) .. '-0', '+', 'COUNT', 100)) do
    call('XDEL', key, entry[1])
  end
  local reset = redis.pcall('XSETID', key, int(last) .. '-0')
  if type(reset) == 'table' and reset.err then
    rewrite_stream(key, last)
  end
end

-- Adds the entry `seq` to a stream whose last entry is `last`.
local function append(key, last, ...)
  local added = redis.pcall('XADD', key, ...)
  if type(added) == 'table' and added.err then
    if string.find(added.err, 'equal or smaller', 1, true) or string.find(added.err, 'exhausted', 1, true) then
      remove_foreign(key, last)
    end
    -- Any other cause is an error of this script.
    call('XADD', key, ...)
  end
end

local function emit(event, node, ...)
  -- The entry first: if it cannot be added, no number is used.
  append(EVENTS, meta.event_seq, 'MAXLEN', '~', 10000, int(meta.event_seq + 1) .. '-0', 'event', event, 'at', int(now), 'node', node, ...)
  meta.event_seq = meta.event_seq + 1
  call('HSET', META, 'event_seq', int(meta.event_seq))
end

local function next_token()
  meta.token = call('HINCRBY', META, 'token', 1)
  return int(meta.token)
end

-- Whether the caller is the incarnation in the member table: 'ok', 'unknown' (no row, or that of an earlier incarnation, as in a
-- stale copy), 'replaced' (by a later incarnation), 'gone' (declared dead or left), 'epoch' (the caller knows another data set).
local function identify(id, incarnation, epoch)
  if meta.epoch == '' or (epoch ~= '' and epoch ~= meta.epoch) then
    return 'epoch'
  end
  local row = read_row(id)
  if not row then
    return 'unknown'
  elseif row.i ~= incarnation then
    -- Incarnations come from the one counter, which only rises, also across a loss of data.
    return number(row.i, 0) > number(incarnation, 0) and 'replaced' or 'unknown', row
  elseif not is_live(row) then
    return 'gone', row
  end
  return 'ok', row
end

-- The numbers of the data set as a reply.
local function numbers_reply()
  return { meta.epoch, whole(meta.token), whole(meta.event_seq), whole(meta.message_seq), whole(meta.event_start),
    whole(meta.message_start), whole(meta.interval), whole(meta.ttl), whole(meta.lease), whole(meta.grace), meta.mode, whole(meta.settings) }
end

-- The changes of the member table after `version`: [reset, version reached, more, floor, [id, row, ...]]. `reset` asks the
-- caller to drop its rows, because rows were removed (the floor rose) or the data set is another one; the caller sends the
-- floor with its next request, so that the pages after a reset continue.
local function delta_reply(version, floor, epoch, limit)
  local reset = 0
  if epoch ~= meta.epoch or floor ~= meta.floor or version > meta.version then
    reset = 1
    version = 0
  end
  if version == meta.version then
    return { reset, whole(version), 0, whole(meta.floor), {} }
  end
  local ids = call('ZRANGEBYSCORE', CHANGES, '(' .. int(version), '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
  local rows, bytes = {}, 0
  local more = #ids == 2 * limit and 1 or 0
  for at = 1, #ids, 2 do
    local row = call('HGET', MEMBERS, ids[at])
    if row then
      rows[#rows + 1] = ids[at]
      rows[#rows + 1] = row
      bytes = bytes + #row
    end
    version = tonumber(ids[at + 1])
    if bytes > 262144 and at + 1 < #ids then
      -- Large rows: a page must arrive in time over a slow link, too.
      more = 1
      break
    end
  end
  if more == 0 then
    version = meta.version
  end
  return { reset, whole(version), more, whole(meta.floor), rows }
end

-- Members by their last heartbeat, oldest first: [offset, [id, deadline, ...]], at most `limit`. Deadline plus offset is the
-- server time of the last heartbeat. The reader adds them, because 32 sums here cost as much as half a tick.
local function beats_reply(limit)
  return { whole(meta.skew - meta.ttl), limit > 0 and call('ZRANGE', BEATS, 0, limit - 1, 'WITHSCORES') or {} }
end
