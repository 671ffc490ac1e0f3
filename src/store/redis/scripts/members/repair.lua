-- Precedes members/tick.lua: detects that a key was lost (deleted or evicted), and restores it from other keys.
--
-- Detection costs a few commands per tick. Repair is bounded; the next tick continues it. docs/data.md lists all keys and what the loss
-- of each means.
--   * Each row has its version in `changes`, and an entry in `beats` (live) or in `away`. If the numbers differ, the rows are
--     searched, one page per tick. Entries that remain after that have no row, and are not searched again (`mended`).
--   * A tick checks the caller's own entries in `acks`, `cursors` and `presence`, its leases in `leases`, its running tasks in `running`.
--   * `lanes` holds as many lanes as `meta.open_lanes` says. Missing lanes are found by their numbers, the newest first.

-- The number of rows that one tick searches.
local ROWS_PAGE = 100

local function mend_members()
  local rows, changed, placed = call('HLEN', MEMBERS), call('ZCARD', CHANGES), call('ZCARD', BEATS) + call('ZCARD', AWAY)
  if rows == changed and rows == placed then
    return
  end
  local at, mended = unpack(call('HMGET', META, 'mend_at', 'mended'))
  if mended == rows .. ' ' .. changed .. ' ' .. placed then
    return
  end
  at = at or '0'
  local page = try('HSCAN', MEMBERS, at, 'COUNT', ROWS_PAGE)
  if not page then
    return
  end
  if at == '0' and changed > rows then
    -- Rows were lost: nodes that have them in their view must drop them.
    call('DEL', CHANGES)
    meta.version = call('HINCRBY', META, 'version', 1)
    meta.floor = meta.version
    call('HSET', META, 'floor', int(meta.floor))
  end
  for n = 1, #page[2], 2 do
    local id = page[2][n]
    if not call('ZSCORE', CHANGES, id) then
      meta.version = call('HINCRBY', META, 'version', 1)
      call('ZADD', CHANGES, int(meta.version), id)
    end
    local row = read_row(id)
    if row and is_live(row) then
      if not call('ZSCORE', BEATS, id) then
        call('ZADD', BEATS, int(cluster_now() + meta.ttl), id)
      end
    elseif not call('ZSCORE', AWAY, id) then
      call('ZADD', AWAY, int(cluster_now()), id)
    end
  end
  if page[1] ~= '0' then
    call('HSET', META, 'mend_at', page[1])
    return
  end
  placed = call('ZCARD', BEATS) + call('ZCARD', AWAY)
  call('HMSET', META, 'mend_at', '0', 'mended', call('HLEN', MEMBERS) .. ' ' .. call('ZCARD', CHANGES) .. ' ' .. placed)
end

-- Members whose backlog is kept have their position in both `cursors` and `acks`: each restores the other.
local function mend_cursors(id)
  local cursor, ack = call('HGET', CURSORS, id), call('ZSCORE', ACKS, id)
  if cursor and not ack then
    local kept = call('ZRANGEBYSCORE', AWAY, int(cluster_now() - 3600000), '+inf', 'LIMIT', 0, 1000)
    kept[#kept + 1] = id
    for _, other in ipairs(kept) do
      local seq = tonumber(call('HGET', CURSORS, other) or false)
      if seq and not call('ZSCORE', ACKS, other) then
        call('ZADD', ACKS, int(seq), other)
      end
    end
  elseif ack and not cursor then
    local acks = call('ZRANGE', ACKS, 0, 999, 'WITHSCORES')
    acks[#acks + 1], acks[#acks + 2] = id, ack
    for at = 1, #acks, 2 do
      if call('HEXISTS', CURSORS, acks[at]) == 0 then
        call('HSET', CURSORS, acks[at], int(tonumber(acks[at + 1])))
      end
    end
  end
end

-- Registers the caller's presence on this server again, if its registration is lost, or if a late join replaced it by one that has
-- ended.
local function mend_presence(id, nonce)
  if nonce == '' then
    return
  end
  local registered, where = read_presence(id)
  if (registered ~= nonce or where ~= run_id()) and subscribers(presence_channel(nonce)) > 0
    and (where ~= run_id() or subscribers(presence_channel(registered)) == 0) then
    call('HSET', PRESENCE, id, nonce .. ' ' .. run_id())
  end
end

local function mend_leases(id)
  local any = try('SRANDMEMBER', owned_key(id))
  if not any or call('ZSCORE', LEASES, any) then
    return
  end
  for at, name in ipairs(try('SMEMBERS', owned_key(id)) or {}) do
    local record = name ~= 'leader' and read_record(name, try) or nil
    if not record or record.holder ~= id then
      call('SREM', owned_key(id), name)
    elseif not call('ZSCORE', LEASES, name) then
      call('ZADD', LEASES, int(ends_at(record) + 1), name)
    end
    if at == 1000 then
      break
    end
  end
end

local function mend(id, nonce)
  mend_members()
  mend_cursors(id)
  mend_presence(id, nonce)
  mend_leases(id)
  for key, last in pairs({ [EVENTS] = meta.event_seq, [MESSAGES] = meta.message_seq }) do
    if #call('XRANGE', key, int(last + 1) .. '-0', '+', 'COUNT', 1) > 0 then
      remove_foreign(key, last)
    end
  end
end
