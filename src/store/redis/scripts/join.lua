-- join: makes a node a member, updates its metadata, or renames it.
--
-- ARGV: 1 node id, 2 process, 3 presence kind (connection|none), 4 metadata (JSON), 5 candidate (1|0), 6 interval, 7 ttl,
--   8 lease (ms), 9 known token, 10 known event seq, 11 known message seq, 12 fresh epoch, 13 force (1|0), 14 dead nonce
--   (the presence that the caller has seen gone for the grace time, or ''), 15 own incarnation (0: a new life),
--   16 presence nonce that is subscribed, or '', 17 producer, 18 own cursor or '', 19 epoch of that cursor or '',
--   20 rename from (node id) or '', 21 former process (a one-shot's, taken over by the host's node) or ''
-- Returns: ['joined', now, incarnation, joined at, cursor, rejoined (1|0), aliases, numbers, registered (1|0)] or
--   ['held', now, incarnation, presence nonce, subscribers, same server (1|0), ms to its deadline, its metadata]
--   or ['replaced', now].
-- Atomic, because two processes with one id must not both find it free, and because a rename must not lose its cursor.
local id, process, kind, metadata, candidate = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local force, dead_nonce, own, nonce = ARGV[13] == '1', ARGV[14], ARGV[15], ARGV[16]
local producer, own_cursor, cursor_epoch, rename_from, former = ARGV[17], ARGV[18], ARGV[19], ARGV[20], ARGV[21]

local good, named = pcall(cjson.decode, metadata)
local name = good and type(named) == 'table' and named.name or ''
if type(name) ~= 'string' or name == '' then
  name = id
end

open(ARGV[9], ARGV[10], ARGV[11], ARGV[12])
if meta.interval == 0 then
  meta.interval, meta.ttl, meta.lease = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
  call('HMSET', META, 'interval', ARGV[6], 'ttl', ARGV[7], 'lease', ARGV[8])
end
guard_stall()

local row = read_row(id)
local mine = row and (row.p == process or (former ~= '' and row.p == former))
local server = run_id()

if row and not mine and is_live(row) then
  local left = number(call('ZSCORE', BEATS, id), 0) - cluster_now()
  local held_nonce, held_server = read_presence(id)
  local there = held_nonce ~= '' and subscribers(presence_channel(held_nonce)) or 0
  local same = held_server == server
  local died = dead_nonce ~= '' and dead_nonce == held_nonce and there == 0 and same
  if own ~= '0' then
    -- A life that was replaced does not fight back.
    return { 'replaced', int(now) }
  elseif force then
    end_life(id, row, 'offline', 'replaced')
    call('PUBLISH', PREFIX .. 'all', 'register')
  elseif died then
    end_life(id, row, 'offline', 'process_died')
  elseif left < 0 then
    end_life(id, row, 'offline', 'heartbeat_timeout')
  else
    return { 'held', int(now), row.i, held_nonce, there, same and 1 or 0, int(left), row.m }
  end
  row = read_row(id)
elseif row and not mine and own ~= '0' and row.i ~= own then
  return { 'replaced', int(now) }
end

local known = row ~= nil or call('HEXISTS', CURSORS, id) == 1
local aliases = row and row.a or ''
local cursor = call('HGET', CURSORS, id)

if rename_from ~= '' and rename_from ~= id then
  local old = read_row(rename_from)
  if old and old.p == process then
    cursor = call('HGET', CURSORS, rename_from) or cursor
    -- When this rename comes a second time, the earlier aliases stand in the new row already.
    local earlier = old.a .. ' ' .. (mine and aliases or '')
    local taken = { [id] = true, [rename_from] = true }
    aliases = rename_from
    for alias in string.gmatch(earlier, '%S+') do
      if not taken[alias] and #aliases < 1000 then
        taken[alias] = true
        aliases = aliases .. ' ' .. alias
      end
    end
    local leader = read_leader()
    if leader and leader.holder == rename_from and leader.incarnation == old.i then
      vacate_leader(leader, 'resigned')
    end
    old.a, old.r = '', ''
    if is_live(old) then
      end_life(rename_from, old, 'left', 'left')
    end
    call('HDEL', CURSORS, rename_from)
    call('ZREM', ACKS, rename_from)
  end
end

-- Where receiving goes on: the acknowledged position, or the one that the node kept itself where that is higher; for a
-- node the cluster does not know, the newest message. A position of an earlier data set counts, so that what was lost
-- shows as a gap and what a stale copy still holds does not come twice, but skips nothing of this data set.
local kept
if own_cursor ~= '' and cursor_epoch == meta.epoch then
  kept = cursor and tonumber(own_cursor)
elseif own_cursor ~= '' and cursor_epoch ~= '' then
  kept = math.min(tonumber(own_cursor), meta.message_start)
end
cursor = int(math.max(number(cursor, -1), kept or -1))
if cursor == '-1' then
  cursor = int(meta.message_seq)
end

local fresh = not (row and mine and is_live(row))
local incarnation = own
if own == '0' then
  incarnation = (not fresh) and row.i or next_token()
end
local status = (not fresh) and row.s or 'online'
local joined = (not fresh) and row.j or int(now)
local after = { i = incarnation, p = process, s = status, k = kind, j = joined, c = candidate, r = producer, a = aliases, m = metadata }
-- What a newer version says of this life stays.
for field, value in pairs((not fresh) and row or {}) do
  after[field] = after[field] or value
end
local changed = fresh
for field, value in pairs(after) do
  changed = changed or row[field] ~= value
end
if changed then
  write_row(id, after)
end
call('ZADD', BEATS, int(cluster_now() + meta.ttl), id)
call('ZREM', AWAY, id)
call('HSET', CURSORS, id, cursor)
call('ZADD', ACKS, cursor, id)

local registered = 0
if nonce ~= '' and subscribers(presence_channel(nonce)) > 0 then
  call('HSET', PRESENCE, id, nonce .. ' ' .. server)
  registered = 1
elseif kind == 'none' then
  call('HDEL', PRESENCE, id)
end
if fresh then
  emit('node_joined', id, 'name', name, 'incarnation', incarnation, 'rejoined', known and 1 or 0)
end
return { 'joined', int(now), incarnation, joined, cursor, known and 1 or 0, aliases, numbers_reply(), registered }
